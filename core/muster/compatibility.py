"""What four predecessors could do, and how it is done here: the list behind docs/compatibility.md.

The list is docs/compatibility/*.toml, a file for each predecessor and one for the traps they fell into. A row names a
feature and says one of four things:

    here + tests     how it is done here, and the tests (ids of pytest) that show it
    different        why it is deliberately another way; ``here`` and ``tests`` say what serves the purpose
    later            which part of Muster brings it; ``here`` says what serves until then
    missing          what is lacking, and nobody has promised it

``defects`` is what a test asks; ``unproven`` is what the whole check asks of the report of a run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = "compatibility"
ORDER: Final = ("hymir", "pyconduit", "julep", "hyko", "traps")


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that nobody knows is a mistake in the list."""


class Row(_Part, frozen=True, kw_only=True):
    """One feature of a predecessor."""

    feature: str
    here: str = ""
    tests: list[str] = []
    different: str = ""
    later: str = ""
    missing: str = ""


class Part(_Part, frozen=True, kw_only=True):
    """Features that belong together."""

    title: str
    rows: list[Row]


class System(_Part, frozen=True, kw_only=True):
    """One predecessor."""

    name: str
    about: str
    parts: list[Part]

    @property
    def rows(self) -> list[Row]:
        """Every feature of it."""
        return [row for part in self.parts for row in part.rows]


def systems(folder: Path) -> list[System]:
    """The list as it stands below ``folder``, which is docs/. Raises msgspec.ValidationError where it is none."""
    return [
        msgspec.toml.decode((folder / FOLDER / f"{name}.toml").read_bytes(), type=System) for name in ORDER
    ]


def defects(found: list[System]) -> list[str]:
    """What is wrong with the list itself: rows that say nothing, too much, or the same twice."""
    complaints = []
    for system in found:
        features = [f"{part.title}: {row.feature}" for part in system.parts for row in part.rows]
        complaints += [
            f"{system.name}: {name} stands twice"
            for name in sorted(set(features))
            if features.count(name) > 1
        ]
        complaints += [f"{system.name}: {row.feature}: {said}" for row in system.rows for said in _wrong(row)]
    return complaints


def _wrong(row: Row) -> Iterator[str]:
    excuses = [text for text in (row.different, row.later, row.missing) if text.strip()]
    if len(excuses) > 1:
        yield "it is different, later or missing: one of them"
    if not excuses and not (row.here.strip() and row.tests):
        yield "it needs both here and tests, or says why not"
    if len(set(row.tests)) < len(row.tests):
        yield "a test stands twice"


def unproven(found: list[System], passed: Collection[str]) -> list[str]:
    """Rows with a test that is not among those that ``passed``; a test without brackets needs any of its cases."""
    whole = set(passed) | {name.partition("[")[0] for name in passed}
    return [
        f"{system.name}: {row.feature}: {test}"
        for system in found
        for row in system.rows
        for test in row.tests
        if test not in whole
    ]


def page(found: list[System]) -> Iterator[str]:
    """docs/compatibility.md."""
    yield from (
        "# What the predecessors could do",
        "",
        "Muster is to say everything that hymir, pyconduit, Julep and Hyko could. This is every feature of theirs, how",
        "it is done here, and the test that shows it; the whole check fails where one of these tests did not run. How",
        "to bring files over: [importing.md](importing.md). Words of the tables are those of",
        "[workflow.md](workflow.md).",
        "",
        "| | features | as there, by meaning | deliberately different | comes later | missing |",
        "|---|---|---|---|---|---|",
    )
    for system in found:
        counted = [
            sum(bool(text) for text in texts) for texts in zip(*map(_excuses, system.rows), strict=True)
        ]
        yield f"| {system.name} | " + " | ".join(map(str, [len(system.rows), *counted])) + " |"
    for system in found:
        yield from ("", f"## {system.name}", "", system.about)
        for part in system.parts:
            yield from ("", f"### {part.title}", "", "| there | here | shown by |", "|---|---|---|")
            yield from (f"| {_cell(row.feature)} | {_here(row)} | {_shown(row)} |" for row in part.rows)


def _excuses(row: Row) -> tuple[bool, str, str, str]:
    return not (row.different or row.later or row.missing), row.different, row.later, row.missing


def _here(row: Row) -> str:
    marks = (("Different: ", row.different), ("Later: ", row.later), ("Missing: ", row.missing))
    said = [row.here, *(f"**{mark.strip()}** {text}" for mark, text in marks if text)]
    return _cell(" ".join(text.strip() for text in said if text.strip()))


def _shown(row: Row) -> str:
    return ", ".join(
        f"[{_cell(test.rpartition('::')[2])}](../{test.partition('::')[0]})" for test in row.tests
    )


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")
