"""The workflows that the tests of crashes run, and what a view says about them when everything went well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from muster.broker.interface import Appended
from muster.broker.nats import NatsBroker
from muster.model.log.envelope import Recorded
from tests.fixtures.logbook import Logbook
from tests.fixtures.views import ask, rows

ROUND = 200  # all of them are answered in time on a busy machine, or nearly always
ATTEMPTS = 5
_QUICK_RETRY = {"max_attempts": 3, "backoff": {"initial": "50ms", "jitter": False}}
_PRINTS = {"said": {"type": "string", "source": "stdout"}}


def step(id_: str, command: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "image": "none", "command": command, "outputs": _PRINTS, **more}


DIAMOND: dict[str, Any] = {
    "name": "diamond",
    "inputs": {"word": {"type": "string", "default": "hey"}},
    "steps": [
        step("first", "echo ${{ inputs.word }}"),
        # Fails the first time it is tried.
        step(
            "left",
            "test $MUSTER_ATTEMPT -gt 1 && echo ${{ steps.first.outputs.said }}-left",
            retry=_QUICK_RETRY,
        ),
        step("right", "echo ${{ steps.first.outputs.said }}-right"),
        step("last", "echo ${{ steps.left.outputs.said }} ${{ steps.right.outputs.said }}"),
    ],
    "outputs": {"text": "${{ steps.last.outputs.said }}"},
}
"""A diamond with a step that has to be tried again."""

BROKEN: dict[str, Any] = {
    "name": "broken",
    "steps": [
        step("good", "echo fine"),
        step("bad", "exit 3", needs=["good"], retry=_QUICK_RETRY | {"max_attempts": 2}),
        step("never", "echo never", needs=["bad"]),
    ],
}
"""Fails with its second step, after two tries."""


NOTHING: dict[str, Any] = {"name": "nothing", "steps": [{"id": "work", "image": "none", "command": "true"}]}
"""What also the noop runtime can run, which makes no outputs."""


def lone(command: str, **more: Any) -> dict[str, Any]:
    """One step, called work, that runs this command."""
    return {"name": "lone", "steps": [step("work", command, **more)]}


def first_one_waits(place: Path) -> dict[str, Any]:
    """One step whose first attempt goes on until there is a file at ``place``; each says which one it is."""
    return lone(
        f'test "$MUSTER_ATTEMPT" = 1 && until test -e {place}; do sleep 0.05; done; echo "$MUSTER_ATTEMPT"'
    )


def chain(*commands: str) -> dict[str, Any]:
    """Steps one after the other, called s1, s2 and so on."""
    steps = [
        step(f"s{number}", command, needs=[f"s{number - 1}"] if number > 1 else [])
        for number, command in enumerate(commands, 1)
    ]
    return {"name": "chain", "steps": steps}


_TIMES = {"created_at", "started_at", "ended_at", "updated_at", "scheduled_at", "at", "due_at"}
_PLACES = {"machine", "attempt", "sequence", "number", "event_id", "id", "execution", "retries", "metadata"}


def outcome(view: Path, execution: str) -> list[str]:
    """What the view says about an execution but for times, attempts, machines and places in the log: a line a row."""
    found = {
        "execution": ask(view, "SELECT * FROM executions WHERE id = ?", execution),
        "step": ask(view, "SELECT * FROM steps WHERE execution = ? ORDER BY step", execution),
        "transition": ask(
            view, "SELECT * FROM transitions WHERE execution = ? ORDER BY type, step", execution
        ),
    }
    return [f"{table} {json.dumps(_bare(row))}" for table, rows_ in found.items() for row in rows_]


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without(json.loads(value)) if name in {"error", "output", "outputs"} and value else value
        for name, value in row.items()
        if name not in _TIMES | _PLACES
    }


def _without(value: Any) -> Any:
    """An error as a value, without where and on which try it happened."""
    if isinstance(value, dict):
        return {name: _without(each) for name, each in value.items() if name not in _PLACES}
    return [_without(each) for each in value] if isinstance(value, list) else value


async def appended(broker: NatsBroker, events: Sequence[Recorded]) -> int:
    """Write the events, and give where the log ends then.

    What comes twice is sent once: the broker would drop it, but take nothing that is in one batch with it.
    """
    once = list({each.event.id: each.event for each in events}.values())
    for start in range(0, len(once), ROUND):
        for _ in range(ATTEMPTS):  # the broker drops what was answered too late
            outcomes = await broker.log.append(once[start : start + ROUND])
            if all(isinstance(outcome, Appended) for outcome in outcomes):
                break
        else:
            raise AssertionError(outcomes[-1])
    return (await broker.log.position()).last


def _sequence(view: Path) -> int:
    return int(rows(view, "position")[0]["sequence"]) if view.exists() else -1


async def reflected(view: Path, log: Logbook, timeout_s: float = 20.0) -> int:
    """Wait until the view has folded what the log holds now; gives the sequence."""
    wanted = log.last
    async with asyncio.timeout(timeout_s):
        while await asyncio.to_thread(_sequence, view) < wanted:
            await asyncio.sleep(0.02)
    return wanted
