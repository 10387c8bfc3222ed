"""Whether each feature of docs/compatibility.md was shown by a test of this run.

python -m tests.proven reports/junit.xml        exits with 1 and names the rows whose test did not pass

A partial run proves less and is no failure anywhere else: only the whole check (.ci/run) asks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from muster import compatibility

DOCS = Path(__file__).resolve().parents[1] / "docs"


def passed(report: Path) -> set[str]:
    """The node ids of the tests that passed, from a report of pytest in JUnit's form."""
    return {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for case in ET.parse(report).iter("testcase")
        if all(case.find(verdict) is None for verdict in ("skipped", "failure", "error"))
    }


def main(report: Path) -> str | int:
    """The exit code, or what is to be said with 1."""
    systems = compatibility.systems(DOCS)
    unproven = compatibility.unproven(systems, passed(report))
    if unproven:
        return "\n".join(["These tests of docs/compatibility did not pass in this run:", *unproven])
    sys.stdout.write(f"{sum(len(system.rows) for system in systems)} features, each shown by its tests\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
