"""What a step asks is asked at the terminal until the answer fits, or is left for later."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from muster.cli.dialogue import Dialogue
from muster.cli.prompting import Prompting
from muster.cli.terminal import Terminal
from muster.client.answer import Answer
from muster.client.client import Client
from muster.client.follower import ExecutionView
from muster.client.steps import StepView
from muster.model.errors import InvalidArgumentError

OBJECT = {
    "type": "object",
    "required": ["ok", "word"],
    "properties": {
        "ok": {"type": "boolean"},
        "word": {"enum": ["red", "green"]},
        "count": {"type": "integer"},
        "note": {"type": "string"},
    },
}


class Person:
    """Types these lines, one for each question; None is Ctrl-C."""

    def __init__(self, *lines: str | None) -> None:
        self.lines = list(lines)
        self.questions: list[str] = []

    async def line(self, question: str, unless: Any = None) -> str | None:
        self.questions.append(question)
        return self.lines.pop(0)


class Scheduler:
    """Takes answers."""

    def __init__(self, error: InvalidArgumentError | None = None, *, changed: bool = True) -> None:
        self.given: list[Any] = []
        self.error, self.changed = error, changed

    async def resume(self, execution: str, value: Any, *, step: str) -> Answer:
        if self.error is not None:
            raise self.error
        self.given.append(value)
        return Answer(execution=execution, step=step, status="running", changed=self.changed)


def asking(schema: dict[str, Any], prompt: str = "Really?") -> ExecutionView:
    """An execution whose step ``ask`` waits."""
    view = ExecutionView("x1")
    view._asking["ask"] = None
    view.steps["ask"] = StepView(path="ask", status="waiting", reason="input", prompt=prompt, schema=schema)
    return view


async def asked(
    schema: dict[str, Any], *lines: str | None, scheduler: Scheduler | None = None
) -> tuple[Person, Scheduler, Prompting]:
    """Ask, and have it answered."""
    person, scheduler = Person(*lines), scheduler or Scheduler()
    prompting = Prompting(Terminal(), cast("Client", scheduler), asking(schema))
    end = asyncio.get_running_loop().create_future()
    await prompting.ask(cast("Dialogue", person), end)
    return person, scheduler, prompting


async def test_each_property_is_asked_for():
    """By its name and kind; what may be left out is left out, and types are those of the schema."""
    person, scheduler, prompting = await asked(OBJECT, "y", "red", "3", "")
    assert scheduler.given == [{"ok": True, "word": "red", "count": 3}]
    assert person.questions[0] == "  ok (y or n): "
    assert person.questions[1] == "  word (red or green): "
    assert person.questions[2] == "  count (integer, may be left out): "
    assert prompting.next() is None


async def test_what_does_not_fit_is_asked_again(capsys: pytest.CaptureFixture[str]):
    """With the reason."""
    _, scheduler, _ = await asked(OBJECT, "maybe", "red", "", "", "n", "green", "", "x")
    assert scheduler.given == [{"ok": False, "word": "green", "note": "x"}]
    assert "That is not what it asks for: ok: 'maybe' is not of type 'boolean'." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("schema", "line", "value"),
    [
        ({}, '{"a": [1]}', {"a": [1]}),
        ({}, "fine", "fine"),
        ({"type": "string"}, "17", "17"),
        ({"type": "integer"}, "17", 17),
        ({"type": "boolean"}, "No", False),
    ],
)
async def test_a_single_value_is_read_as_it_is_meant(schema: dict[str, Any], line: str, value: Any):
    """JSON where it is JSON, text where it is none or the schema asks for text."""
    _, scheduler, _ = await asked(schema, line)
    assert scheduler.given == [value]


async def test_ctrl_c_leaves_it_waiting(capsys: pytest.CaptureFixture[str]):
    """Nothing is given, how to answer later is said, and it is not asked again."""
    _, scheduler, prompting = await asked(OBJECT, "y", None)
    assert scheduler.given == []
    assert "It waits on; answer it: muster resume x1 --input ok=… --input word=…" in capsys.readouterr().out
    assert prompting.next() is None


async def test_who_comes_too_late_is_told(capsys: pytest.CaptureFixture[str]):
    """Where somebody else has answered meanwhile."""
    await asked({}, "1", scheduler=Scheduler(changed=False))
    assert "It had its answer already." in capsys.readouterr().out


async def test_a_refusal_is_told(capsys: pytest.CaptureFixture[str]):
    """What the scheduler does not take stays unanswered, with its words."""
    await asked({}, "1", scheduler=Scheduler(InvalidArgumentError("no such step")))
    assert "no such step It waits on" in capsys.readouterr().out
