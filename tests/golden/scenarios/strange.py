"""What a log may hold beside what this release writes: repetitions, newer kinds and versions, foreign attributes."""

from __future__ import annotations

import json
from typing import Any

from muster.fixtures import load
from muster.model.errors import PlacementError
from muster.model.log.catalogue import AttemptFailed
from muster.model.log.envelope import Event, Recorded, decode, encode
from muster.model.log.names import SCHEDULER
from muster.model.proof.recording import record
from muster.model.proof.redaction import redact
from tests.golden.scenario import derived, prints, scenario, step
from tests.golden.stage import Stage
from tests.golden.store import history

KEY = b"golden"


@scenario
async def told_twice(stage: Stage) -> None:
    """An outbox that heard no acknowledgement writes every fact a second time, some long after: each counts once."""
    await stage.leader()
    agent = await stage.machine()
    hangs = prints("b", "test $MUSTER_ATTEMPT = 2 || exec sleep 60; echo b")
    await stage.submit("twice-1", prints("a", "echo a"), hangs)
    await stage.log.until("step.succeeded")
    await stage.log.until("attempt.started", count=2)
    await _repeat(stage)
    await agent.end()
    await stage.log.until("machine.disconnected")
    agent.launch()
    assert await stage.log.ended("twice-1") == ["succeeded"]
    await _repeat(stage)
    assert await stage.run("twice-2", step("a")) == "succeeded"


async def _repeat(stage: Stage) -> None:
    """Not who connected: that is written under a fence, and not from the outbox."""
    facts = {each.event.id: each.event for each in stage.log.events if each.event.writer != SCHEDULER}
    for fact in facts.values():
        if fact.kind != "machine.connected":
            await stage.put(encode(fact))


@scenario
async def no_room_there(stage: Stage) -> None:
    """An agent answers a start that it has no room for it: the step is given a machine again, and no retry is spent."""
    await stage.leader()
    agent = await stage.machine(interval_s=5.0)
    agent.pause()
    await stage.submit("room-1", prints("it", "echo there"))
    ordered = (await stage.log.until("step.scheduled")).event
    agent.kill()
    # Written for the agent: its own says this only of what the scheduler does not count.
    where: dict[str, Any] = {"step": "it", "machine": "m1", "attempt": 1}
    error = PlacementError("The machine m1 has no room: 1 slots are asked for and 0 free.")
    answer = AttemptFailed(error=error.info(phase="pull", **where), phase="pull", reason="no_capacity")
    event = Event(id="m1/1", writer="m1", time=ordered.time, data=answer, execution="room-1", n=1, **where)
    await stage.put(encode(event))
    await stage.log.until("step.retrying")
    agent.launch()
    assert await stage.log.ended("room-1") == ["succeeded"]


@scenario
async def from_a_newer_release(stage: Stage) -> None:
    """A log that a newer release began, with kinds, versions and attributes this one does not know; it goes on."""
    seeded = []
    for number, recorded in enumerate(load(history("chain"))):
        event: dict[str, Any] = json.loads(encode(recorded.event))
        if event["type"] == "io.muster.attempt.accepted.v1":
            break
        event["traceparent"] = f"00-{number:032x}-{number:016x}-01"
        event["data"] |= {"zone": {"floor": number}}
        seeded.append(json.dumps(event).encode())
    connected = next(line for line in seeded if b"machine.connected" in line)
    seeded.append(_newer(connected, "machine.warmed", 1, 1))
    seeded.append(_newer(connected, "attempt.progress", 9, 2))
    seeded.append(_newer(seeded[0], "fleet.counted", 3, None))
    await stage.seed(seeded)
    await stage.leader("second")
    await stage.machine()
    assert await stage.log.ended("chain-1") == ["succeeded"]


def _newer(line: bytes, kind: str, version: int, n: int | None) -> bytes:
    event: dict[str, Any] = json.loads(line)
    event |= {"id": f"newer-{kind}", "type": f"io.muster.{kind}.v{version}", "data": [1, {"as": "it is"}]}
    for name in ("n", "basis", "cause"):
        event.pop(name, None)
    return json.dumps(event | ({"n": n} if n is not None else {})).encode()


@derived("hello")
def from_an_early_release(log: list[Recorded]) -> list[Recorded]:
    """A leader that did not record its policy: what it decided rests on the default."""
    first, *rest = log
    event: dict[str, Any] = json.loads(encode(first.event))
    del event["data"]["policy"]
    return [Recorded(first.sequence, decode(json.dumps(event, separators=(",", ":")).encode())), *rest]


@derived("two-executions")
def one_of_two(log: list[Recorded]) -> list[Recorded]:
    """One of two executions that competed for room, as `muster events EXECUTION --json` records it."""
    return record(log, "green-1")


@derived("chain")
def redacted(log: list[Recorded]) -> list[Recorded]:
    """A recording that can be shared: values have stand-ins, and what was decided is decided again from those."""
    return _shared(log)


@derived("retries-exhausted")
def redacted_error(log: list[Recorded]) -> list[Recorded]:
    """A recording that can be shared, of an execution that failed."""
    return _shared(log)


def _shared(log: list[Recorded]) -> list[Recorded]:
    found = redact(log, KEY)
    assert found.remarks == []
    return found.records


@derived("late-fact")
def one_with_its_machines(log: list[Recorded]) -> list[Recorded]:
    """One execution with the machine events that its decisions rest on, and nothing of the execution after it."""
    return record(log, "late-1")
