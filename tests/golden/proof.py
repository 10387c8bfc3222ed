"""What comes of a history: folded, decided again, and written into a view.

``prove`` holds the history against the rules that every history keeps, whichever it is, and raises ``BrokenError``
where one is broken. What it returns is what stands in the history's ``.expected.json``.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from muster.client.follower import ExecutionView
from muster.model.engine.evolve import evolve
from muster.model.engine.execution import ExecutionState
from muster.model.engine.state import State
from muster.model.errors import ErrorInfo, IllegalTransitionError
from muster.model.log import catalogue as c
from muster.model.log.envelope import Recorded, decode, encode
from muster.model.log.names import SCHEDULER
from muster.model.log.transitions import BY_TYPE, STEP_TERMINAL, TERMINAL, Transition, transition
from muster.model.proof import fixture
from muster.model.proof.replay import Difference, replay
from muster_projections import canonical
from muster_projections.opening import read_only
from muster_projections.query import View
from muster_projections.registry import DEFAULTS
from tests.fixtures.views import fold

Views = dict[str, ExecutionView]
SCRATCH: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # many small databases


class BrokenError(AssertionError):
    """A history breaks a rule, or does not come out again."""


def prove(lines: Sequence[bytes]) -> dict[str, Any]:
    """Everything that is expected of the history in these lines of a fixture."""
    found, views = decided(lines)
    return found | {"view": viewed(lines, views)}


def decided(lines: Sequence[bytes]) -> tuple[dict[str, Any], Views]:
    """What comes of it through the folds and ``decide``, and what clients see in the end."""
    records = fixture.parse(lines, "the history")
    keeps_its_bytes(lines, records)
    views = Folds().walk(records)
    replayed = replay(records)
    for difference in replayed.differences:
        raise BrokenError(differs(difference))
    found = {
        "events": replayed.events,
        "given": replayed.given,
        "decisions": replayed.decisions,
        "refused": [data.error.code for data in _data(records) if isinstance(data, c.CommandRefused)],
        "executions": {id_: outcome(view) for id_, view in sorted(views.items())},
    }
    return plain(found), views


def viewed(lines: Sequence[bytes], views: Views) -> dict[str, str]:
    """What comes of it in SQLite."""
    with tempfile.TemporaryDirectory(prefix="golden-view-", dir=SCRATCH) as folder:
        records = fixture.parse(lines, "the history")
        path = fold(Path(folder) / "view.db", records, projections=DEFAULTS)
        agrees(path, views)
        return view_digests(path)


def _data(records: Sequence[Recorded]) -> Iterator[Any]:
    return (recorded.event.data for recorded in records)


# ---- the wire


def keeps_its_bytes(lines: Sequence[bytes], records: Sequence[Recorded]) -> None:
    """Written again, each event is the line that was read."""
    for line, recorded in zip(lines, records, strict=True):
        if fixture.line(recorded) != line or encode(decode(encode(recorded.event))) != encode(recorded.event):
            raise BrokenError(f"the event at {recorded.sequence} does not come back as it was")


# ---- the folds


class Folds:
    """The scheduler's fold and that of clients, side by side over one history."""

    def __init__(self) -> None:
        self.state = State()
        self.views: Views = {}

    def walk(self, records: Sequence[Recorded]) -> Views:
        """Fold one event after the other; every prefix must be a legal history."""
        for recorded in records:
            try:
                self.step(recorded)
            except (AssertionError, IllegalTransitionError, LookupError, TypeError) as error:
                place = f"{recorded.event.kind} at {recorded.sequence}"
                raise BrokenError(f"{place}: {type(error).__name__}: {error}") from error
        return self.views

    def step(self, recorded: Recorded) -> None:
        """Fold one event."""
        event = recorded.event
        change = getattr(event.data, "transition", None)
        if isinstance(change, Transition):
            self._legal(recorded, change)
        evolve(self.state, event, recorded.sequence)
        if isinstance(event.data, c.ExecutionQueued):
            self.views.setdefault(event.execution, ExecutionView(event.execution))
        if (view := self.views.get(event.execution)) is not None:
            view.apply(recorded)
            self._agree(view)
        _sound(self.state)

    def _legal(self, recorded: Recorded, change: Transition) -> None:
        event, view = recorded.event, self.views.get(recorded.event.execution)
        before = view.transitions[-1] if view is not None and view.transitions else None
        status = before.after if before is not None else None
        number = before.number + 1 if before is not None else 1
        assert event.writer == SCHEDULER
        assert BY_TYPE[change.type].kind == event.kind
        assert change == transition(number, change.type, status)

    def _agree(self, view: ExecutionView) -> None:
        execution = self.state.executions.get(view.id)
        if execution is None:
            assert view.status in TERMINAL or view.cleared, f"{view.id} is {view.status} and not there"
            return
        assert execution.status == view.status
        assert execution.transitions == len(view.transitions)
        decided = {path: step.status for path, step in execution.steps.items() if step.terminal}
        shown = {path: step.status for path, step in view.steps.items() if step.status in STEP_TERMINAL}
        # What a frame held is let go when it closes; what it came to stays with whoever reads the log.
        assert decided == {path: status for path, status in shown.items() if path in execution.steps}
        assert all("/" in path for path in shown if path not in execution.steps)
        assert execution.variables == view.variables
        asking = {
            path for path, step in execution.steps.items() if step.reason == "input" and not step.resumed_id
        }
        assert {step.path for step in view.asking} == {path for path in asking if path not in decided}


def _sound(state: State) -> None:
    """What holds of every state of the scheduler, whatever was folded."""
    for machine in state.machines.values():
        held = [attempt.resources for attempt in machine.held.values()]
        assert machine.slots_used == sum(each.slots for each in held) >= 0
        assert machine.memory_used == sum(each.memory for each in held) >= 0
        assert machine.gpus_used == sum(each.gpus for each in held) >= 0
        assert abs(machine.cpus_used - sum(each.cpus for each in held)) < 1e-6
    for execution in state.executions.values():
        assert execution.status not in TERMINAL
        _frames(execution)
        for path, step in execution.steps.items():
            queued = (execution.id, path) in state.queue
            assert not queued or step.status in {"pending", "waiting"}
            runs = step.status == "scheduled" or (step.status == "running" and step.plan.primitive == "run")
            assert not runs or step.attempt is not None


def _frames(execution: ExecutionState) -> None:
    """A frame waits for its steps, and for what rescues those that failed."""
    frames = {id(step.frame): step.frame for step in execution.steps.values()}
    rescues = [each for each in frames.values() if each.role == "handler" and each is not execution.finish]
    for frame in frames.values():
        rescued = sum(each.around is frame and each.open > 0 for each in rescues)
        assert frame.open == rescued + sum(not step.terminal for step in frame.steps.values())


def outcome(view: ExecutionView) -> dict[str, Any]:
    """What a client would say of the execution, without times."""
    found = {
        "status": view.status,
        "cleared": view.cleared,
        "ending": view.ending,
        "reason": view.reason,
        "outputs": view.outputs,
        "error": error(view.error),
        "transitions": [f"{change.type}: {change.before} -> {change.after}" for change in view.transitions],
        "steps": {
            path: _kept(
                {
                    "status": step.status,
                    "machine": step.machine,
                    "attempt": step.attempt,
                    "outputs": _short(step.outputs),
                    "error": step.error.code if step.error is not None else None,
                    "reason": step.reason,
                }
            )
            for path, step in view.steps.items()
        },
    }
    return _kept(found)


def error(info: ErrorInfo | None) -> dict[str, Any] | None:
    """The error as it is told: what, where, and why."""
    if info is None:
        return None
    where = {name: getattr(info, name) for name in ("phase", "step", "machine", "attempt")}
    found = {"code": info.code, "name": info.name, "message": info.message, **where}
    return _kept(found | {"cause": error(info.cause)})


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value not in (None, "", {}, [], False)}


def _short(outputs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if len(str(value)) < 200 else f"{len(str(value))} long" for name, value in outputs.items()
    }


# ---- the decisions


def differs(difference: Difference) -> str:
    """The first decision that comes out differently, in a line."""
    then = encode(difference.then).decode() if difference.then is not None else "nothing"
    now = encode(difference.now).decode() if difference.now is not None else "nothing"
    return f"decided at {difference.sequence} then: {then[:600]}; and now: {now[:600]}"


# ---- the view


def view_digests(path: Path) -> dict[str, str]:
    """The digest of the canonical form, of each projection under its version."""
    with closing(read_only(path, DEFAULTS)) as connection:
        return {
            f"{projection.name}/{projection.version}": _digest(canonical.pieces(connection, [projection]))
            for projection in DEFAULTS
        }


def _digest(pieces: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


def agrees(path: Path, views: Views) -> None:
    """The view in SQLite says of every execution what the client's fold says."""
    with View.open(path) as view:
        rows = {row.id: row for row in view.executions(limit=100)}
        gone = {id_ for id_, fold_ in views.items() if fold_.cleared}
        if set(rows) != set(views) - gone:
            raise BrokenError(f"the view has {sorted(rows)}, clients see {sorted(set(views) - gone)}")
        for id_, row in rows.items():
            client = views[id_]
            steps = {step.step: step.status for step in view.steps(id_)}
            if (row.status, steps) != (
                client.status,
                {path: step.status for path, step in client.steps.items()},
            ):
                raise BrokenError(
                    f"the view says of {id_}: {row.status}, {steps}; clients see {outcome(client)}"
                )


def plain(value: Any) -> Any:
    """As JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(value))
