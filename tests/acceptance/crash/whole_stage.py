"""Where whole workflows run on one scheduler after the other, each killed where a test says, and what is seen of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from muster.identity import uuid7
from muster.model.definition.workflow import Workflow
from muster.model.log.envelope import Event
from tests.acceptance.crash.plays import outcome, reflected
from tests.fixtures.logbook import OUTCOMES
from tests.fixtures.processes import ALONE_S, Installation
from tests.fixtures.severing import Severing

SCHEDULER: dict[str, Any] = {
    "beat_interval_s": 0.05,
    "takeover_after_s": ALONE_S,
    "tick_s": 0.05,
}
REACHES_S = 30.0

Cut = Callable[["Stage", str], Any]
"""Waits until the scheduler is to be killed while it works on this execution."""


def before(number: int) -> Cut:
    """Everything of the scheduler about the execution is in the log before its event of this number, and no more."""
    return lambda stage, id_: stage.severed(id_, number, after=False)


def behind(number: int) -> Cut:
    """As ``before``, and the event too; the scheduler does not know, and has sent no command for it."""
    return lambda stage, id_: stage.severed(id_, number, after=True)


def told(number: int) -> Cut:
    """So much has been said of the execution by the agent."""
    return lambda stage, id_: stage.told(id_, number)


class Stage:
    """A broker, agent and view that live on, and one scheduler after the other."""

    def __init__(self, site: Installation, severing: Severing) -> None:
        self.site, self.severing = site, severing
        self.scheduler = site.scheduler(**SCHEDULER)
        self.scheduler._environment["MUSTER_URL"] = severing.url
        self.was_cut = False
        self.scheduler.launch()

    async def run(self, workflow: Workflow, cut: Cut | None = None) -> tuple[str, list[str]]:
        """Run it to its end; where it is cut the scheduler is killed and another started. Its id, and what is seen."""
        id_, log, self.was_cut = uuid7(), self.site.log, False
        self.severing.arm(id_, 0)
        begun = len(log.events)
        async with asyncio.TaskGroup() as tasks:
            people = tasks.create_task(self.people(id_, begun))
            killing = tasks.create_task(self.killed(cut(self, id_))) if cut is not None else None
            await self.site.client.submit(workflow, execution=id_)
            await log.ended(id_)
            people.cancel()
            if killing is not None and not self.severing.reached.is_set():
                killing.cancel()  # it ended before it came so far, or it is done
        await log.at_rest()
        await reflected(self.site.view, log)
        return id_, [line for name, each in self.family(id_, begun) for line in await self.seen(name, each)]

    # ---- cuts

    async def killed(self, reached: Any) -> None:
        """Once it is time."""
        async with asyncio.timeout(REACHES_S):
            await reached
        self.was_cut = True
        self.scheduler.kill()
        self.severing.sever()
        self.scheduler.launch()

    async def severed(self, id_: str, number: int, *, after: bool) -> None:
        """The scheduler has come to its event of this number."""
        self.severing.arm(id_, number, after=after)
        await self.severing.reached.wait()

    async def told(self, id_: str, number: int) -> None:
        """The agent has said so much."""
        log = self.site.log
        begun = len(log.events)
        await log.holds(lambda: len(list(self.facts(id_, begun))) >= number, f"{number} facts")

    def facts(self, id_: str, begun: int) -> list[Event]:
        """What the agent said of the execution and its children."""
        events = (recorded.event for recorded in self.site.log.events[begun:])
        return [event for event in events if event.writer == "m1" and event.execution.startswith(id_)]

    # ---- people

    async def people(self, id_: str, begun: int) -> None:
        """Whatever is asked is answered, once; a step called ``pending`` is cancelled with its execution as it runs."""
        log, seen = self.site.log, begun
        while True:
            await log.holds(lambda seen=seen: len(log.events) > seen, "event")
            fresh = [recorded.event for recorded in log.events[seen:]]
            seen += len(fresh)
            for event in fresh:
                if event.execution.startswith(id_):
                    await self.react(id_, event)

    async def react(self, id_: str, event: Event) -> None:
        """What somebody does about it."""
        name = (event.step or "").rpartition("/")[2]
        if (
            event.kind == "step.waiting"
            and getattr(event.data, "reason", "") == "input"
            and name != "trigger"
        ):
            await self.site.client.resume(event.execution, {"ok": True}, step=event.step)
        elif event.kind == "attempt.started" and name == "triggers":
            await self.site.client.resume(id_, {"ok": True}, step="trigger")
        elif event.kind == "attempt.started" and name == "pending":
            await self.site.client.cancel(id_, "enough")

    # ---- what is seen

    def family(self, id_: str, begun: int) -> list[tuple[str, str]]:
        """The execution and what its steps run, by the steps that run them."""
        found = {id_: ""}
        for recorded in self.site.log.events[begun:]:
            parent = getattr(recorded.event.data, "parent", None)
            if parent is not None and parent.execution in found:
                found[recorded.event.execution] = f"{found[parent.execution]}/{parent.step}"
        return [(name, each) for each, name in found.items()]

    async def seen(self, name: str, id_: str) -> list[str]:
        """What the view says, where each step has one outcome in the log and no event of the scheduler stands twice."""
        events = [recorded.event for recorded in self.site.log.about(id_)]
        outcomes = Counter(event.step for event in events if event.kind in OUTCOMES)
        ids = Counter(event.id for event in events)
        assert set(outcomes.values()) == set(ids.values()) == {1}, (outcomes, ids)
        found = await asyncio.to_thread(outcome, self.site.view, id_)
        return sorted(f"{name} {line}" for line in map(_timeless, found) if line)


_OWN = ("child", "source_execution", "source_at", "cache_key")
"""What is there in each run, and another one in each."""


def _timeless(line: str) -> str:
    """Without ids, and without what depends on who is faster: whether all else stood still when somebody was asked."""
    table, _, text = line.partition(" ")
    row: dict[str, Any] = json.loads(text)
    if table == "transition":
        return "" if row["type"] in {"wait", "resume"} else f"{table} {json.dumps(row | {'before': ''})}"
    row = {key: value for key, value in row.items() if key not in {"parent", "transitions"}}
    named = {key: "its own" for key in _OWN if row.get(key)}
    return f"{table} {json.dumps(row | named)}"
