"""The words and numbers of the command line: what a status is called, how long a time is, how much an amount is."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Any, Final

import msgspec

from muster.client.steps import Items, Progress, StepView
from muster.model.plan import artifacts

STATUS_STYLE: Final = {
    "queued": "dim",
    "pending": "dim",
    "starting": "cyan",
    "scheduled": "cyan",
    "preparing": "cyan",
    "running": "blue",
    "waiting": "yellow",
    "awaiting_input": "yellow",
    "succeeded": "green",
    "failed": "red",
    "skipped": "dim",
    "cancelled": "magenta",
    "online": "green",
    "offline": "red",
    "draining": "yellow",
}
FAILURES_NAMED: Final = 5  # of a loop
LINE_MAX: Final = 200  # characters of a line of foreign text on a terminal
_STEERING: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # ESC and BEL, but also what turns the direction of writing
_SIGNS: Final = {
    "pending": "·",
    "waiting": "…",
    "succeeded": "✓",
    "failed": "✗",
    "skipped": "–",
    "cancelled": "■",
}
_WAITS: Final = {
    "input": "waiting for input",
    "timer": "sleeping",
    "check_later": "looked at again later",
    "concurrency": "not its turn",
}
_PHASES: Final = {
    "pull": "Pulling Image",
    "start": "Starting Container",
    "load": "Loading Function",
    "run": "Running",
}


def sign(status: str) -> str:
    """One character for a step's status."""
    return _SIGNS.get(status, "▸")


def doing(step: StepView, now: datetime | None = None) -> str:
    """What the step does now: the phase by its name, or why it waits, or how it ended."""
    if step.status == "failed" and step.error is not None:
        return f"failed: {step.error.name}"
    if step.status == "skipped":
        where = f"from {step.source.execution}" if step.source is not None else ""
        why = ": ".join(part for part in (step.reason, step.message, where) if part)
        return f"skipped ({why})" if why else "skipped"
    if step.status == "waiting":
        said = first_line(step.prompt or step.message)
        return f"{_WAITS.get(step.reason, f'waiting: {step.reason}')}{_due(step, now)}{': ' + said if said else ''}"
    if step.phase is not None and not step.finished:
        phase = _PHASES.get(step.phase, step.phase)
        return f"{phase} (cached)" if step.phase == "pull" and step.cached else phase
    if step.source is not None:
        return f"{step.status} ({step.reason} from {step.source.execution}{_age(step)})"
    return step.status + (f": {inside}" if (inside := _inside(step)) else "")


def _age(step: StepView) -> str:
    """How old the outcome was when it was taken."""
    made = step.source.at if step.source is not None else None
    return f", {duration((step.ended_at - made).total_seconds())} old" if made and step.ended_at else ""


def _inside(step: StepView) -> str:
    """How far a loop has come, which branch was chosen, which execution is run, what was said."""
    if step.items is not None:
        return items(step.items)
    return step.branch or (f"execution {step.child}" if step.child else first_line(step.message))


def first_line(text: str) -> str:
    """The beginning of a text, where there is room for one line."""
    first, _, rest = text.strip().partition("\n")
    return f"{first.rstrip()} …" if rest else first


def items(found: Items) -> str:
    """``12 of 100 items, 2 failed (each/3/convert, each/7/convert)``."""
    text = f"{found.done} of {found.total} items"
    if not found.failed:
        return text
    named = ", ".join(found.failures[:FAILURES_NAMED]) + (" …" if found.failed > FAILURES_NAMED else "")
    return f"{text}, {found.failed} failed ({named})"


def _due(step: StepView, now: datetime | None) -> str:
    if step.due_at is None:
        return ""
    if now is None:
        return f", until {clock(step.due_at)}"
    if step.due_at <= now:
        return ""
    return f", {duration((step.due_at - now).total_seconds())} left"


def amount(progress: Progress) -> str:
    """``12.3 of 45.0 MB``, ``3 of 10 files``, or the message that came with it."""
    if progress.message:
        return progress.message
    scale = progress.unit in {"B", "bytes"}
    now = size(progress.current) if scale else f"{progress.current:g}"
    if progress.total is None:
        return now if scale else f"{now} {progress.unit}".strip()
    total = size(progress.total) if scale else f"{progress.total:g}"
    return f"{now} of {total} {'' if scale else progress.unit}".strip()


def size(count: float) -> str:
    """Bytes, with the unit that leaves one to four digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """``0.123s``, ``4.2s``, ``3m 05s``, ``2h 07m``."""
    if seconds < 1:
        return f"{max(seconds, 0):.3f}s"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"


def elapsed(start: datetime | None, end: datetime | None) -> str:
    """How long it took, empty where it has not begun."""
    return "" if start is None or end is None else duration((end - start).total_seconds())


def offset(start: datetime | None, moment: datetime) -> str:
    """A moment counted from the execution's beginning: ``+0.123s``."""
    if start is None:
        return ""
    seconds = (moment - start).total_seconds()
    size_s = abs(seconds)
    return f"{'+' if seconds >= 0 else '-'}{f'{size_s:.3f}s' if size_s < 60 else duration(size_s)}"


def clock(moment: datetime | None, *, date: bool = True) -> str:
    """A time in the reader's zone."""
    if moment is None:
        return ""
    local = moment.astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S.%f")[: None if date else -3]


def harmless(text: str) -> str:
    """Foreign text for a terminal: what would steer it is written out, and no line is longer than anybody reads."""
    return "\n".join(_harmless(line.removesuffix("\r")) for line in text.split("\n"))


def _harmless(line: str) -> str:
    cut = line if len(line) <= LINE_MAX else f"{line[:LINE_MAX]}… ({len(line)} characters)"
    return "".join(_written(character) for character in cut)


def _written(character: str) -> str:
    if character == "\t" or unicodedata.category(character) not in _STEERING:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()


def value(given: Any) -> str:
    """A value as a person reads it: text as it is, a file by its name, all else as JSON."""
    if (artifact := artifacts.of(given)) is not None:
        return f"{artifact.name or artifact.digest[:12]} ({size(artifact.size)}, {artifact.media_type})"
    return given if isinstance(given, str) else msgspec.json.encode(given, enc_hook=str).decode()
