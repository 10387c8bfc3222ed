"""What is wrong before anything runs: refused by the client, and by the engine where a client did not look."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats
import pytest

from muster.identity import uuid7
from tests.acceptance.docker.stack import Stack, shell

IMAGE = "muster-test/none:1"

CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "InputMissingError": (
        {"inputs": {"text": {"type": "string"}}, "steps": [shell("it", IMAGE, "true")]},
        "input_missing",
        "The input text is required and was not given.",
        "Give it with --input NAME=VALUE",
    ),
    "SourceNodeMissingError": (
        {"steps": [shell("it", IMAGE, "echo ${{ steps.other.outputs.text }}")]},
        "workflow_invalid",
        "refers to the step other, which does not exist",
        "Correct the step id in the reference",
    ),
}


async def _send(url: str, execution: str, workflow: dict[str, Any]) -> None:
    """As a client of another language would, which checks nothing."""
    async with await nats.connect(url) as client:
        command = {"id": uuid7(), "execution": execution, "workflow": workflow}
        await client.jetstream().publish("muster.commands.scheduler.submit", json.dumps(command).encode())


@pytest.mark.parametrize("name", CASES)
def test_the_command_line_refuses_it_before_anything_is_sent(name: str, stack: Stack) -> None:
    """One sentence and the remedy, exit code 2, and not one event more."""
    workflow, _, says, remedy = CASES[name]
    before = stack.last_sequence()
    ran = stack.muster("run", stack.file(**workflow))
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert remedy in ran.err
    assert stack.last_sequence() == before


@pytest.mark.parametrize("name", CASES)
def test_the_engine_refuses_it_too_and_records_why(name: str, stack: Stack) -> None:
    """A command that no client checked becomes `command.refused`, in the log, in the view and in `muster events`."""
    workflow, code, says, remedy = CASES[name]
    execution = uuid7()
    asyncio.run(_send(stack.broker.url, execution, {"name": "acceptance"} | workflow))
    error = stack.event(execution, "command.refused")["data"]["error"]
    assert error["code"] == code
    assert says in error["message"]
    assert remedy in error["remedy"]
    kinds = [problem["error"] for problem in error["details"].get("problems", [])]
    assert kinds == ([name] if code == "workflow_invalid" else [])

    [row] = stack.errors(execution)
    assert (row.kind, row.code, row.execution) == ("command.refused", code, execution)
    assert (row.message, row.remedy) == (error["message"], error["remedy"])

    printed = stack.muster("events", "--kind", "command.refused", "--execution", execution)
    assert says in printed.out
    assert [event["type"] for event in stack.events(execution)] == ["io.muster.command.refused.v1"]
