"""The page ``docs/view.md``, made from the projections.

python -m muster_projections.documentation > docs/view.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from muster_projections import bookkeeping
from muster_projections.projection import Column, Projection, Table
from muster_projections.registry import DEFAULTS

INTRODUCTION: Final = """# The view

The projections fold the event log into one SQLite file, `view.db` under the data folder (`muster projections path`
prints where). It opens in any SQL tool; nothing in Muster decides by it, so nothing breaks if you look while it works.

- It is rebuilt from the log at any time: `muster projections rebuild`. Do not write to it: a rebuild undoes that.
- It is some milliseconds behind the log. `SELECT sequence FROM position` says how far it has come.
- Times are text in UTC, such as `2026-03-01T12:00:00.000000Z`: they sort as times do, and SQLite's date functions read
  them. JSON is text for SQLite's `->`, `->>` and `json_each`. Truth values are 1 and 0. What is not known is null.
- Rows follow from the events alone: no clock, no counter of the file's own. The same log gives the same rows.
- An execution that is cleared is forgotten: its rows go from every table.
- A change of these tables comes with a new version; the projections then rebuild the view by themselves.

This page is made from the code by `python -m muster_projections.documentation`; a test fails where they differ.

## Questions

"""

EXAMPLES: Final[tuple[tuple[str, str], ...]] = (
    (
        "What runs now, and where?",
        """SELECT s.execution, s.step, a.machine, a.status, a.phase, a.started_at
FROM steps AS s JOIN attempts AS a USING (execution, step, attempt)
WHERE s.ended_at IS NULL AND a.ended_at IS NULL AND NOT ifnull(a.superseded, 0)
ORDER BY a.started_at""",
    ),
    (
        "How far is each execution that has not ended?",
        """SELECT e.id, e.workflow, e.status, count(s.ended_at) AS ended, e.steps
FROM executions AS e LEFT JOIN steps AS s ON s.execution = e.id AND s.position IS NOT NULL
WHERE e.ended_at IS NULL
GROUP BY e.id""",
    ),
    (
        "What waits for input, and what does it ask?",
        """SELECT execution, step, prompt, due_at FROM steps WHERE status = 'waiting' AND reason = 'input'""",
    ),
    (
        "Which items of a loop failed?",
        """SELECT execution, loop, item, step, error ->> 'message' AS message
FROM steps WHERE loop IS NOT NULL AND status = 'failed' ORDER BY execution, loop, item""",
    ),
    (
        "Which executions were run by others?",
        """SELECT parent, parent_step, id, workflow, status FROM executions WHERE parent IS NOT NULL""",
    ),
    (
        "How long do the steps of a workflow take?",
        """SELECT s.step, count(*) AS runs,
  round(avg(julianday(s.ended_at) - julianday(s.started_at)) * 86400, 3) AS seconds
FROM steps AS s JOIN executions AS e ON e.id = s.execution
WHERE e.workflow = 'letters' AND s.status = 'succeeded'
GROUP BY s.step ORDER BY seconds DESC""",
    ),
    (
        "Which errors come most, and what is to be done?",
        """SELECT code, count(*) AS times, max(at) AS last, remedy
FROM errors GROUP BY code ORDER BY times DESC""",
    ),
    (
        "What happened to one attempt, second by second?",
        """SELECT at, ifnull(label, kind) AS what, machine, data ->> 'seconds' AS seconds
FROM lifecycle
WHERE execution = (SELECT id FROM executions ORDER BY created_at DESC LIMIT 1) AND attempt = 1
ORDER BY sequence""",
    ),
    (
        "What did each machine do, and how often was the image already there?",
        """SELECT m.name, m.status, count(a.attempt) AS attempts, sum(a.cached) AS cached,
  sum(a.superseded) AS superseded
FROM machines AS m LEFT JOIN attempts AS a ON a.machine = m.name
GROUP BY m.name""",
    ),
    (
        "Which step needed more than one attempt?",
        """SELECT execution, step, count(*) AS attempts, group_concat(ifnull(error_code, status), ', ') AS ends
FROM attempts GROUP BY execution, step HAVING count(*) > 1""",
    ),
    (
        "Which schedules are due next, and how did their last run go?",
        """SELECT s.name, s.next_at, s.last_execution, e.status
FROM schedules AS s LEFT JOIN executions AS e ON e.id = s.last_execution
WHERE s.status = 'active' ORDER BY s.next_at""",
    ),
    (
        "Which executions have a label?",
        """SELECT id, workflow, status FROM executions WHERE labels ->> 'team' = 'a'""",
    ),
)


def page(projections: Sequence[Projection]) -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    parts += [f"{question}\n\n```sql\n{sql}\n```\n\n" for question, sql in EXAMPLES]
    parts.append("## Tables\n\n")
    for projection in projections:
        parts += [_section(table, f"version {projection.version}") for table in projection.tables]
    parts.append("## The store's own tables\n\n")
    parts += [_section(table, "") for table in bookkeeping.TABLES]
    return "".join(parts).rstrip() + "\n"


def _section(table: Table, version: str) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    lines = [f"### `{table.name}`\n\n{table.doc}\n\nKey: {key}."]
    if table.indexes:
        lines.append(
            f" Indexes: {'; '.join(', '.join(f'`{name}`' for name in index) for index in table.indexes)}."
        )
    lines.append(f" This is {version} of its projection.\n\n" if version else "\n\n")
    lines.append("| column | type | meaning |\n|---|---|---|\n")
    lines += [f"| `{column.name}` | {column.type} | {_meaning(column)} |\n" for column in table.columns]
    return "".join(lines) + "\n"


def _meaning(column: Column) -> str:
    return column.doc if column.generated is None else f"{column.doc} Worked out from other columns."


def schema(projections: Sequence[Projection]) -> list[dict[str, Any]]:
    """The tables as plain values."""
    owned = [(projection, table) for projection in projections for table in projection.tables]
    return [
        {
            "table": table.name,
            "projection": None if projection is None else projection.name,
            "version": None if projection is None else projection.version,
            "doc": table.doc,
            "key": table.key,
            "columns": [{"name": each.name, "type": each.type, "doc": each.doc} for each in table.columns],
        }
        for projection, table in [*owned, *((None, table) for table in bookkeeping.TABLES)]
    ]


if __name__ == "__main__":
    sys.stdout.write(page(DEFAULTS))
