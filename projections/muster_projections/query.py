"""The read side: what the command line and the console ask of a view.

All calls block for well under a millisecond to some; in asyncio they belong in a thread. A view is always some way
behind the log: ``sequence`` says how far it has come.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import msgspec

from muster.model.errors import ExecutionNotFoundError
from muster.model.log.transitions import STEP_TERMINAL
from muster_projections import rows
from muster_projections.failures import ExecutionAmbiguousError
from muster_projections.opening import read_only
from muster_projections.registry import DEFAULTS

T = TypeVar("T", bound=rows.Row)
AMBIGUOUS_MAX: Final = 5  # of the ids that begin alike, this many are named

_TERMINAL: Final = ", ".join(f"'{status}'" for status in sorted(STEP_TERMINAL))
_EXECUTIONS: Final = f"""
SELECT e.*,
  (SELECT count(*) FROM steps s WHERE s.execution = e.id AND s.position IS NOT NULL AND s.status IN ({_TERMINAL}))
    AS steps_ended,
  (SELECT count(*) FROM steps s WHERE s.execution = e.id AND s.position IS NOT NULL AND s.status = 'failed')
    AS steps_failed
FROM executions e
"""  # noqa: S608  # the statuses are constants
_STEPS: Final = """
SELECT s.*, a.status AS attempt_status, a.phase, a.progress,
  CASE WHEN s.status <> 'scheduled' OR a.status IS NULL THEN s.status
       WHEN a.status IN ('accepted', 'pulling', 'starting') THEN 'preparing'
       WHEN a.started_at IS NOT NULL THEN 'running'
       ELSE s.status END AS status
FROM steps s LEFT JOIN attempts a ON a.execution = s.execution AND a.step = s.step AND a.attempt = s.attempt
WHERE s.execution = ?
ORDER BY s.position IS NULL, s.position, s.loop, s.item, s.step
"""
_JSON: Final = frozenset(
    column.name
    for projection in DEFAULTS
    for table in projection.tables
    for column in table.columns
    if column.type == "JSON"
)
_BOOLEANS: Final = frozenset({"cached", "oom_killed", "retriable", "superseded"})


class View:
    """An open view, for reading."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the view at ``path``. Raises ViewMissingError, ViewOutdatedError or ViewUnreadableError."""
        return cls(read_only(path))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Open for the length of a with block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, whatever happened inside."""
        self.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything asked within the block is answered as of one sequence."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @property
    def sequence(self) -> int:
        """The view reflects every event up to this one."""
        found: int = self._connection.execute("SELECT sequence FROM position").fetchone()[0]
        return found

    def executions(
        self,
        limit: int = 50,
        *,
        status: str | Sequence[str] | None = None,
        workflow: str | None = None,
        labels: Mapping[str, str] | None = None,
        before: str | None = None,
    ) -> list[rows.Execution]:
        """The newest executions first: those that have all ``labels``. ``before``: the id that ended the last page."""
        where, values = ["e.workflow IS NOT NULL"], []
        if status is not None:
            wanted = [status] if isinstance(status, str) else list(status)
            where.append(f"e.status IN ({', '.join('?' * len(wanted))})")
            values += wanted
        if workflow is not None:
            where.append("e.workflow = ?")
            values.append(workflow)
        for name, label in (labels or {}).items():
            where.append("EXISTS (SELECT 1 FROM json_each(e.labels) WHERE key = ? AND value = ?)")
            values += [name, label]
        if before is not None:
            where.append("(e.created_at, e.id) < (SELECT created_at, id FROM executions WHERE id = ?)")
            values.append(before)
        order = "ORDER BY e.created_at DESC, e.id DESC LIMIT ?"
        return self._rows(
            rows.Execution, f"{_EXECUTIONS} WHERE {' AND '.join(where)} {order}", *values, limit
        )

    def execution(self, name: str) -> rows.Execution:
        """The execution of this id, or the only one whose id begins so.

        Raises ExecutionNotFoundError, or ExecutionAmbiguousError naming some that begin alike.
        """
        return self._rows(rows.Execution, f"{_EXECUTIONS} WHERE e.id = ?", self.resolve(name))[0]

    def resolve(self, name: str) -> str:
        """The full id of ``name``, as ``execution`` finds it."""
        sql = (
            "SELECT id FROM executions WHERE workflow IS NOT NULL AND id >= ? AND id < ? ORDER BY id LIMIT ?"
        )
        # Ids are ASCII, so this ends the range of those that begin with the name.
        found = self._connection.execute(sql, (name, name + "\U0010ffff", AMBIGUOUS_MAX + 1))
        ids = [id_ for (id_,) in found]
        if not name or not ids:
            raise ExecutionNotFoundError(execution=name)
        if len(ids) > 1 and ids[0] != name:
            some = ", ".join(ids[:AMBIGUOUS_MAX]) + (" …" if len(ids) > AMBIGUOUS_MAX else "")
            raise ExecutionAmbiguousError(f"More than one execution begins with {name}: {some}.", prefix=name)
        return str(ids[0])

    def reruns(self, execution: str) -> list[str]:
        """The executions that are reruns of this one, in the order in which they were queued."""
        sql = "SELECT id FROM executions WHERE rerun_of = ? ORDER BY created_at, id"
        return [id_ for (id_,) in self._connection.execute(sql, (execution,))]

    def transitions(self, execution: str) -> list[rows.Transition]:
        """Every change of its status, in order."""
        sql = "SELECT * FROM transitions WHERE execution = ? ORDER BY number"
        return self._rows(rows.Transition, sql, execution)

    def steps(self, execution: str) -> list[rows.Step]:
        """Its steps in the order of the definition."""
        return self._rows(rows.Step, _STEPS, execution)

    def attempts(self, execution: str, step: str | None = None) -> list[rows.Attempt]:
        """Its attempts, or those of one step."""
        sql = "SELECT * FROM attempts WHERE execution = ? AND step = coalesce(?, step) ORDER BY step, attempt"
        return self._rows(rows.Attempt, sql, execution, step)

    def lifecycle(
        self, execution: str, step: str | None = None, attempt: int | None = None
    ) -> list[rows.Fact]:
        """What its agents reported, in the order of the log; of one step or one attempt only, where that is named."""
        sql = (
            "SELECT * FROM lifecycle WHERE execution = ? AND step IS coalesce(?, step)"
            " AND attempt IS coalesce(?, attempt) ORDER BY sequence"
        )
        return self._rows(rows.Fact, sql, execution, step, attempt)

    def machines(self) -> list[rows.Machine]:
        """Every machine that ever connected, by name."""
        return self._rows(rows.Machine, "SELECT * FROM machines ORDER BY name")

    def schedules(self) -> list[rows.Schedule]:
        """Every schedule that was ever set, by name."""
        sql = (
            "SELECT s.*, e.status AS last_outcome FROM schedules s"
            " LEFT JOIN executions e ON e.id = s.last_execution ORDER BY s.name"
        )
        return self._rows(rows.Schedule, sql)

    def errors(self, execution: str | None = None, limit: int = 1000) -> list[rows.Error]:
        """The newest errors, in the order of the log: of one execution, or of all."""
        where = "" if execution is None else "WHERE execution = ?"
        sql = f"SELECT * FROM (SELECT * FROM errors {where} ORDER BY sequence DESC LIMIT ?) ORDER BY sequence"  # noqa: S608
        return self._rows(rows.Error, sql, *(() if execution is None else (execution,)), limit)

    def _rows(self, kind: type[T], sql: str, *values: Any) -> list[T]:
        cursor = self._connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [msgspec.convert(_plain(names, row), kind) for row in cursor]


def _plain(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    """The row by name; where a name comes twice the last one counts."""
    found = dict(zip(names, row, strict=True))
    for name, value in found.items():
        if value is not None:
            if name in _JSON:
                found[name] = msgspec.json.decode(value)
            elif name in _BOOLEANS:
                found[name] = bool(value)
    return found
