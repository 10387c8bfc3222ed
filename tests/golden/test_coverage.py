"""Nothing is written into a log today that no history shows: every kind of event, every error, every transition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from muster.model.errors import by_code
from muster.model.log.catalogue import CATALOGUE
from muster.model.log.transitions import STEP_TERMINAL, TABLE, TERMINAL
from tests.golden.store import history, names

OPERATORS = "there is no command for it yet"
CLIENT = "raised by who reads the log or asks for something, and never written into a log"

UNWRITTEN_KINDS = {
    "machine.draining": OPERATORS,
    "machine.drained": OPERATORS,
    "machine.removed": OPERATORS,
}
"""Kinds of events that nothing writes today."""

UNWRITTEN_ERRORS = {
    "archive_damaged": CLIENT,
    "archive_unavailable": CLIENT,
    "execution_timeout": CLIENT,
    "fixture_invalid": CLIENT,
    "broker": CLIENT,
    "broker_unsuitable": CLIENT,
    "log_changed": CLIENT,
    "replaced": CLIENT,
    "muster": "the base of all others",
    "agent_failed": "an agent writes it about a fault of its machine, such as a full disk, or a defect of its own",
    "illegal_transition": "a defect; the fold of the log refuses it before it is written",
}
"""Codes of errors that no log holds, and why."""

BUDGETS = {"pull", "start", "load", "run", "lost", "asked"}
REASONS = {"error", "timeout", "lost", "no_capacity"}


@cache
def events() -> list[dict[str, Any]]:
    return [json.loads(line) for name in names() for line in history(name).read_bytes().splitlines()]


def of(kind: str, version: int = 1) -> Iterator[dict[str, Any]]:
    return (event["data"] for event in events() if event["type"] == f"io.muster.{kind}.v{version}")


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value, however deep."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(part)


def test_every_kind_of_event_has_a_history() -> None:
    """A kind that is written today is in a history; one that is not is named with the reason, until it is."""
    written = {kind for kind, body in CATALOGUE.items() if list(of(kind, body.version))}
    assert set(CATALOGUE) - written == set(UNWRITTEN_KINDS)


def test_every_error_has_a_history() -> None:
    """An error that a log can hold is in a history; one that it cannot is named with the reason, until it can."""
    known = {code for code, kind in by_code().items() if kind.__module__.startswith("muster.model.")}
    told = (each for event in events() for each in parts(event["data"]))
    found = {each["code"] for each in told if {"code", "name", "message"} <= set(each)}
    assert found <= known
    assert known - found == set(UNWRITTEN_ERRORS)


def test_every_transition_and_every_outcome_has_a_history() -> None:
    """Each row of the table of transitions was taken, each end of an execution and of a step was reached."""
    taken = {data["transition"]["type"] for row in TABLE for data in of(row.kind)}
    assert {row.type for row in TABLE} - taken == set()
    for noun, ends in (("execution", TERMINAL), ("step", STEP_TERMINAL)):
        assert [end for end in ends if not list(of(f"{noun}.{end}"))] == []


def test_every_budget_has_a_history() -> None:
    """Each budget that a retry can be charged to was charged, and attempts failed in each way."""
    assert {data["budget"] for data in of("step.retrying")} == BUDGETS
    assert {data.get("reason", "error") for data in of("attempt.failed")} == REASONS


def test_old_and_newer_versions_have_histories() -> None:
    """A version that is upcast on reading, and versions and kinds that this release does not know."""
    types = {event["type"].removeprefix("io.muster.").rpartition(".v") for event in events()}
    versions = [(kind, int(version)) for kind, _, version in types]
    assert [each for each in versions if each[0] in CATALOGUE and each[1] > CATALOGUE[each[0]].version]
    assert [each for each in versions if each[0] not in CATALOGUE]
    old = [each for each in versions if each[0] in CATALOGUE and each[1] < CATALOGUE[each[0]].version]
    assert bool(old) == any(body.version > 1 for body in CATALOGUE.values())
