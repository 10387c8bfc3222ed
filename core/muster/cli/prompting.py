"""Asking the person at the terminal what a step waits for, in the course of ``muster run``."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.cli.asking import answering
from muster.cli.dialogue import Dialogue
from muster.cli.terminal import Terminal
from muster.cli.words import first_line
from muster.client.client import Client
from muster.client.follower import ExecutionView
from muster.client.steps import StepView
from muster.model.errors import MusterError
from muster.model.plan.answers import defect

PAUSE_S: Final = 0.1  # a question may wait so long for its step to be seen
_YES: Final = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}


class _LeftError(Exception):
    """Nobody wants to answer now."""


class Prompting:
    """Asks about one step after the other, each once: one that is left unanswered goes on waiting."""

    def __init__(self, terminal: Terminal, client: Client, view: ExecutionView) -> None:
        self._terminal = terminal
        self._client = client
        self._view = view
        self._asked: set[str] = set()

    def next(self) -> StepView | None:
        """The step that is to be asked about."""
        return next((step for step in self._view.asking if step.path not in self._asked), None)

    async def wait(self) -> None:
        """Until there is one."""
        while True:
            if self.next() is not None:
                return
            await asyncio.sleep(PAUSE_S)

    async def ask(self, dialogue: Dialogue, end: asyncio.Future[Any]) -> None:
        """Ask until the answer is one that the step takes, or Ctrl-C leaves it waiting."""
        step = self.next()
        if step is None:
            return
        self._asked.add(step.path)
        say = self._terminal.say
        say(self._terminal.safe(f"{step.path} asks: {first_line(step.prompt) or 'for input'}"))
        how = f"It waits on; answer it: {answering(self._view, step)}"
        try:
            value = await self._answer(step, dialogue, end)
            answer = await self._client.resume(self._view.id, value, step=step.path)
        except _LeftError:
            say("The execution has ended." if end.done() else how)
        except MusterError as error:
            say(self._terminal.safe(f"{error.message} {how}"))
        else:
            if not answer.changed:
                say("It had its answer already.")

    async def _answer(self, step: StepView, dialogue: Dialogue, end: asyncio.Future[Any]) -> Any:
        """An answer that fits the schema. Raises _LeftError."""
        while True:
            value = await self._value(step.schema, dialogue, end)
            wrong = defect(value, step.schema)
            if not wrong:
                return value
            self._terminal.say(self._terminal.safe(f"That is not what it asks for: {wrong}."))

    async def _value(self, schema: dict[str, Any], dialogue: Dialogue, end: asyncio.Future[Any]) -> Any:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            return _read(await self._line(f"  {_form(schema) or 'JSON, or text'}: ", dialogue, end), schema)
        required = schema.get("required")
        found: dict[str, Any] = {}
        for name, part in properties.items():
            part = part if isinstance(part, dict) else {}  # noqa: PLW2901 - true and false are schemas too
            needed = isinstance(required, list) and name in required
            form = ", ".join(filter(None, (_form(part), "" if needed else "may be left out")))
            text = await self._line(f"  {name}{f' ({form})' if form else ''}: ", dialogue, end)
            if text or needed:
                found[name] = _read(text, part)
        return found

    async def _line(self, question: str, dialogue: Dialogue, end: asyncio.Future[Any]) -> str:
        found = await dialogue.line(self._terminal.safe(question), end)
        if found is None:
            raise _LeftError
        return found.strip()


def _form(schema: dict[str, Any]) -> str:
    """What kind of value is asked for, in short."""
    choices = schema.get("enum")
    if isinstance(choices, list):
        return " or ".join(map(str, choices))
    kind = schema.get("type")
    return "y or n" if kind == "boolean" else str(kind) if isinstance(kind, str) else ""


def _read(text: str, schema: dict[str, Any]) -> Any:
    """The value that is meant: what is no JSON is text, and the schema says whether that will do."""
    if schema.get("type") == "string":
        return text
    if schema.get("type") == "boolean" and (found := _YES.get(text.lower(), UNSET)) is not UNSET:
        return found
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
