"""``muster replay --policy``: what became of executions, and what would have under other rules, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from muster.cli.terminal import Terminal
from muster.cli.words import duration

if TYPE_CHECKING:
    from rich.console import Console

    from muster.model.proof.rehearsal.performance import Assume
    from muster.model.proof.rehearsal.rehearse import Rehearsal, Rehearsed
    from muster.model.proof.rehearsal.results import ExecutionResult, StepResult

EXECUTIONS_MAX: Final = 10  # shown to people; --json has all
STEPS_MAX: Final = 40  # of one execution

Row = tuple[str, str, str]


def ask(terminal: Terminal, files: Sequence[str], policy: Path, assume: Assume) -> None:
    """Play each file again under the rules in ``policy``, and show what comes of it."""
    from muster.fixtures import load
    from muster.model.proof.rehearsal import changes
    from muster.model.proof.rehearsal.rehearse import check, rehearse

    rules = changes.load(policy.read_bytes(), name=str(policy))
    records = {file: load(file) for file in files}
    check(chain.from_iterable(records.values()), rules, files[0] if len(records) == 1 else "any of the files")
    for file, recorded in records.items():
        with _busy(terminal, file):
            found = rehearse(recorded, rules, assume, name=file, strict=False)
        if terminal.json:
            terminal.emit(_as_object(file, str(policy), assume, found))
        else:
            _print(terminal, file, str(policy), found)


def _busy(terminal: Terminal, file: str) -> AbstractContextManager[object]:
    """A whole log takes its time (some 0.2 ms for each event): on a terminal that is seen."""
    if not terminal.live:
        return nullcontext()
    return terminal.console(stderr=True).status(f"Playing {terminal.safe(file)} again…")


def _as_object(file: str, policy: str, assume: Assume, found: Rehearsal) -> dict[str, Any]:
    from msgspec import to_builtins

    head = {"file": file, "policy": policy, "assume": assume, "faithful": found.faithful, "same": found.same}
    plain: dict[str, Any] = to_builtins(found)
    return head | plain


def _print(terminal: Terminal, file: str, policy: str, found: Rehearsal) -> None:
    console = terminal.console()
    differing = [execution for execution in found.executions if execution.differences]
    shown = (differing or found.executions)[:EXECUTIONS_MAX]
    for execution in shown:
        _table(terminal, console, execution, policy)
    count = len(found.executions)
    if count > 1:
        span = f"{_span(found.then_s)} then, {_span(found.now_s)} now"
        terminal.say(f"{file}: {len(differing)} of {count} executions differ; all together took {span}")
        if len(differing) > len(shown):
            terminal.say(f"  {len(differing) - len(shown)} more are in --json")
    elif not differing:
        terminal.say(f"{file}: nothing would have been different under {policy}")
    _trust(terminal, found)
    terminal.say("\nAssumed:")
    for assumption in found.assumed:
        terminal.say(f"  - {terminal.safe(str(assumption))}")


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "without end"
    return f"{seconds:.3f}s" if seconds < 60 else duration(seconds)


def _trust(terminal: Terminal, found: Rehearsal) -> None:
    """Whether the player can be believed."""
    wrong = [execution for execution in found.executions if execution.deviations]
    if not wrong:
        terminal.say(
            f"\nPlayed again unchanged it comes out as recorded, with times within {_span(found.drift_s)}."
        )
        return
    first = wrong[0].deviations[0]
    terminal.say(
        f"\nTake this with care: played again unchanged, not everything comes out as recorded ({len(wrong)} of "
        f"{len(found.executions)} differ). The first: {wrong[0].id}, {first.what}: {_word(first.then)} recorded, "
        f"{_word(first.now)} played."
    )


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def _table(terminal: Terminal, console: Console, execution: Rehearsed, policy: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", f"{execution.id} ({execution.changed.workflow})", "then", f"under {policy}"):
        table.add_column(terminal.safe(column), overflow="fold")
    for name, then, now in _rows(execution.unchanged, execution.changed):
        mark, style = ("", "") if then == now else ("≠", "bold")
        cells = (Text(terminal.safe(text), style) for text in (then, now))
        table.add_row(Text(mark, style), Text(terminal.safe(name), style="dim"), *cells)
    console.print(table)


def _rows(then: ExecutionResult, now: ExecutionResult) -> list[Row]:
    rows = [
        ("outcome", _outcome(then.outcome, then.error), _outcome(now.outcome, now.error)),
        ("makespan", _span(then.makespan_s), _span(now.makespan_s) + _gain(then.makespan_s, now.makespan_s)),
        ("attempts", str(then.attempts), str(now.attempts)),
        ("retries", _retries(then.retries), _retries(now.retries)),
    ]
    steps = [
        (f"step {path}", _step(step), _step(now.steps[path]))
        for path, step in then.steps.items()
        if path in now.steps
    ]
    different = [row for row in steps if row[1] != row[2]]
    if len(steps) > STEPS_MAX:
        left = len(steps) - len(different[:STEPS_MAX])
        return [*rows, *different[:STEPS_MAX], (f"{left} more steps", "", "")]
    return [*rows, *steps]


def _outcome(outcome: str | None, error: str | None) -> str:
    said = outcome or "not ended"
    return f"{said}: {error}" if error else said


def _gain(then_s: float | None, now_s: float | None) -> str:
    if then_s is None or now_s is None or then_s == now_s:
        return ""
    return f" ({'+' if now_s > then_s else '-'}{_span(abs(now_s - then_s))})"


def _retries(retries: dict[str, int]) -> str:
    return ", ".join(f"{count} {budget}" for budget, count in sorted(retries.items())) or "none"


def _step(step: StepResult) -> str:
    if step.begins_s is None:
        return _outcome(step.outcome, step.error)
    ends = f"+{step.ends_s:.3f}s" if step.ends_s is not None else "…"
    return (
        f"+{step.begins_s:.3f}s to {ends} on {', '.join(step.machines)}; {_outcome(step.outcome, step.error)}"
    )
