"""Following an execution to its end, on a terminal or into a file, with Ctrl-C answered."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from typing import Final, Literal, Protocol, Self

from muster.cli import failures
from muster.cli.dialogue import Dialogue
from muster.cli.errors import error_lines, further
from muster.cli.origin import origin
from muster.cli.overview import ITEMS_MAX, crowded
from muster.cli.prompting import Prompting
from muster.cli.terminal import Terminal
from muster.cli.waiting import tell_questions, tell_why
from muster.cli.words import doing, first_line, items, offset, value
from muster.client.client import Client
from muster.client.follower import ExecutionView
from muster.client.result import Result, result_of
from muster.client.steps import StepView
from muster.client.timeline import moment
from muster.client.watch import Watch
from muster.model.errors import ErrorInfo
from muster.model.log.catalogue import ExecutionDeferred
from muster.model.log.envelope import Event, Recorded
from muster.model.plan.outline import member
from muster.model.sharing.claims import turn

LAST_LINES: Final = 20


class Display(Protocol):
    """What shows an execution while it goes. ``update`` is called for every event from the first on."""

    def update(self, recorded: Recorded, step: StepView | None) -> None:
        """An event was folded."""
        ...

    def shows(self, view: ExecutionView) -> Self:
        """The execution that is shown from here on."""
        ...

    def pause(self) -> None:
        """Something else is about to be written."""
        ...

    def resume(self) -> None:
        """It was written."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


class Lines:
    """One line for each thing that happened: for files, pipes and CI logs."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._start: datetime | None = None
        self._view = ExecutionView("")
        self._tenths: dict[str, int] = {}

    def update(self, recorded: Recorded, step: StepView | None) -> None:
        """Write what a person has a name for, and how steps end; of the items of a long loop only what failed."""
        event = recorded.event
        if event.step is not None and crowded(self._view, event.step):
            if step is not None and step.finished:
                if step.status == "failed":
                    self._write(event, doing(step), step.error.message if step.error else "", "")
                self._count(event)
            return
        happened = moment(event)
        machine = step.machine or "" if step is not None else ""
        if event.kind == "execution.queued":
            self._start = event.time
            self._terminal.say(f"execution {event.execution}")
        elif isinstance(event.data, ExecutionDeferred):
            self._write(event, "Waits", turn(event.data.ahead, event.data.key), "")
        elif happened is not None:
            self._write(event, happened.label, happened.detail, happened.machine or "")
        elif step is not None and step.finished:
            self._write(event, doing(step), step.error.message if step.error else "", "")
        elif event.kind == "step.scheduled":
            self._write(event, "Scheduled", "", machine)

    def _count(self, event: Event) -> None:
        """Say of the loop how far it has come, each time another tenth of it is done."""
        of = member(event.step or "")
        loop = self._view.steps.get(of[0]) if of is not None else None
        if (
            loop is None
            or loop.items is None
            or loop.items.total <= ITEMS_MAX
            or crowded(self._view, loop.path)
        ):
            return
        tenth = loop.items.done * 10 // loop.items.total
        if tenth > self._tenths.get(loop.path, 0):
            self._tenths[loop.path] = tenth
            at = offset(self._start, event.time)
            self._terminal.say(f"{at:>9}  {loop.path:<16}  {items(loop.items)}")

    def _write(self, event: Event, label: str, detail: str, machine: str) -> None:
        line = f"{offset(self._start, event.time):>9}  {event.step or '':<16}  {label}"
        line += f"  {first_line(detail)}" if detail else ""
        self._terminal.say(f"{line}  [{machine}]" if machine else line)

    def shows(self, view: ExecutionView) -> Self:
        """It says which loops are long."""
        self._view = view
        return self

    def pause(self) -> None:
        """Lines can always be written."""

    def resume(self) -> None:
        """As pause."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held."""


def display(terminal: Terminal) -> Display:
    """The board on a terminal, lines anywhere else."""
    if not terminal.live:
        return Lines(terminal)
    from muster.cli.board import Board

    return Board(terminal.console())


async def follow_to_end(
    terminal: Terminal, client: Client, watch: Watch, shown: Display, *, may_cancel: bool
) -> Result | None:
    """Show the execution until it ends; None where it was left running. Who may cancel it is asked what it asks."""
    watch.listener = shown.update
    asks = may_cancel and terminal.interactive and terminal.live
    prompting = Prompting(terminal, client, watch.view) if asks else None
    with Dialogue() as dialogue:
        end = asyncio.create_task(watch.until_finished(), name="muster-end")
        telling = _telling(terminal, client, watch, shown, questions=prompting is None)
        try:
            async with shown.shows(watch.view):
                while what := await _happening(end, dialogue, prompting):
                    for task in telling:
                        task.cancel()  # it would write into the question
                    shown.pause()
                    if what == "question" and prompting is not None:
                        await prompting.ask(dialogue, end)
                        telling = _telling(terminal, client, watch, shown, questions=False)
                    elif not await _carry_on(terminal, client, watch.view, dialogue, may_cancel=may_cancel):
                        return None
                    shown.resume()
        except asyncio.CancelledError:
            # Ctrl-C just before it was an answer: of somebody who saw the first lines, which came with the launch.
            following = asyncio.current_task()
            if following is None or following.uncancel():
                raise
            _goes_on(watch.view)
            return None
        finally:
            for task in (end, *telling):
                task.cancel()
            await asyncio.gather(end, *telling, return_exceptions=True)
    return result_of(watch.view)


def _telling(
    terminal: Terminal, client: Client, watch: Watch, shown: Display, *, questions: bool
) -> list[asyncio.Task[None]]:
    found = [asyncio.create_task(tell_why(terminal, client.broker, watch, shown), name="muster-why")]
    if questions:
        found.append(asyncio.create_task(tell_questions(terminal, watch, shown), name="muster-questions"))
    return found


async def _happening(
    end: asyncio.Task[None], dialogue: Dialogue, prompting: Prompting | None
) -> Literal["", "interrupt", "question"]:
    """What has to be seen to; nothing where the execution has ended."""
    waiting = [asyncio.create_task(dialogue.interrupted(), name="muster-interrupt")]
    if prompting is not None:
        waiting.append(asyncio.create_task(prompting.wait(), name="muster-prompting"))
    try:
        await asyncio.wait({end, *waiting}, return_when=asyncio.FIRST_COMPLETED)
        if end.done():
            end.result()
            return ""
        return "interrupt" if waiting[0].done() else "question"
    finally:
        for task in waiting:
            task.cancel()


async def _carry_on(
    terminal: Terminal, client: Client, view: ExecutionView, dialogue: Dialogue, *, may_cancel: bool
) -> bool:
    """Ask whether to cancel, where there is somebody to ask. False: leave the execution running and go."""
    if may_cancel and terminal.interactive:
        answer = await dialogue.line("Cancel the execution? [y/N, or Ctrl-C to leave it running] ")
        if answer is not None:
            if answer.strip().lower() in {"y", "yes"}:
                await client.cancel(view.id, "cancelled at the terminal")
            return True
    _goes_on(view)
    return False


def _goes_on(view: ExecutionView) -> None:
    print(
        f"\nThe execution {view.id} goes on.\n"
        f"  Watch it:   muster watch {view.id}\n"
        f"  Cancel it:  muster cancel {view.id}",
        file=sys.stderr,
    )


async def conclude(terminal: Terminal, client: Client, view: ExecutionView, result: Result | None) -> int:
    """Print how it ended; the exit code for it."""
    if result is None:
        if terminal.json:
            terminal.emit({"execution": view.id, "status": view.status})
        return failures.INTERRUPTED
    if terminal.json:
        terminal.emit(result)
    elif result.succeeded:
        terminal.say(f"succeeded  {view.id}")
        for name, output in result.outputs.items():
            terminal.say(f"  {name}: {terminal.safe(value(output))}")
    else:
        await _explain(terminal, client, view, result)
    return failures.OK if result.succeeded else failures.EXECUTION_FAILED


async def _explain(terminal: Terminal, client: Client, view: ExecutionView, result: Result) -> None:
    error = result.error
    if error is None:
        terminal.say(f"{result.status}  {view.id}{'  ' + result.reason if result.reason else ''}")
        return
    terminal.say(f"failed  {view.id}")
    place = await origin(client.broker, view)
    said = error_lines(error, view.id, place)
    for line in said:
        terminal.say(f"  {terminal.safe(line)}")
    await _last_lines(terminal, client, place, error, said)
    if count := len(further(view)):
        terminal.say(f"  {count} more {'step' if count == 1 else 'steps'} failed, too: muster show {view.id}")


async def _last_lines(
    terminal: Terminal, client: Client, execution: str, error: ErrorInfo, said: list[str]
) -> None:
    if error.step is None:
        return
    lines = [
        printed.text async for _, _, printed in client.logs(execution, error.step, attempt=error.attempt)
    ]
    news = [text for text in lines[-LAST_LINES - len(said) :] if not _is_said(text, said)][-LAST_LINES:]
    if any(news):
        terminal.say(f"  The last lines of {error.step}:")
        for text in news:
            terminal.say(f"    | {terminal.safe(text)}")


def _is_said(text: str, said: list[str]) -> bool:
    """Whether the line stands above already: a traceback is printed by its function, too."""
    line = text.strip()
    return bool(line) and any(one.strip() == line or one.endswith(f": {line}") for one in said)
