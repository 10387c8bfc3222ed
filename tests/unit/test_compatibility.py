from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest

from muster import compatibility
from muster.cli.main import cli
from muster.compatibility import Part, Row, System
from tests import proven

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = compatibility.systems(ROOT / "docs")
SHOWN: dict[str, object] = {"feature": "it", "here": "so", "tests": ["tests/a.py::test_b"]}


def listed(*rows: dict[str, object]) -> list[System]:
    part = Part(title="Part", rows=[msgspec.convert(row, Row) for row in rows])
    return [System(name="Them", about="", parts=[part])]


def test_no_row_of_the_list_is_empty():
    """Each feature says how it is done here and by which tests that is shown, or why it is otherwise."""
    assert compatibility.defects(SYSTEMS) == []


COMMAND = re.compile(r"`muster ([a-z]+)([^`]*)`")


def test_commands_that_are_named_exist():
    """What a row says can be typed: the command is there, and has the options."""
    said = [match for system in SYSTEMS for row in system.rows for match in COMMAND.findall(row.here)]
    assert len(said) > 20
    context = click.Context(cli)
    for name, rest in said:
        command = cli.get_command(context, name)
        assert command is not None, name
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest)) <= options, f"muster {name}{rest}"


@pytest.mark.slow
@pytest.mark.timeout(300)  # it collects half of all tests
def test_every_test_of_the_list_exists():
    """Each id in the list is one that pytest collects."""
    wanted = {test for system in SYSTEMS for row in system.rows for test in row.tests}
    files = sorted({test.partition("::")[0] for test in wanted})
    assert [name for name in files if not (ROOT / name).exists()] == []
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert collected.returncode == 0, collected.stdout + collected.stderr
    names = [line for line in collected.stdout.splitlines() if "::" in line]
    assert compatibility.unproven(SYSTEMS, names) == []


def test_all_traps_are_in_the_list_by_their_number():
    """The 24 traps stand in order, and each is shown by a test that has its number in its name."""
    [traps] = [system for system in SYSTEMS if system.name == "Traps"]
    numbers = [int(row.feature.partition(".")[0]) for row in traps.rows]
    assert numbers == list(range(1, 25))
    for number, row in zip(numbers, traps.rows, strict=True):
        assert any(f"::test_trap_{number:02}_" in test for test in row.tests), row.feature


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"feature": "it"}], "needs both here and tests"),
        ([{"feature": "it", "here": "so"}], "needs both here and tests"),
        ([SHOWN | {"tests": []}], "needs both here and tests"),
        ([SHOWN | {"here": " "}], "needs both here and tests"),
        ([{"feature": "it", "later": "soon", "different": "no"}], "one of them"),
        ([SHOWN, SHOWN], "stands twice"),
        ([SHOWN | {"tests": ["tests/a.py::test_b", "tests/a.py::test_b"]}], "a test stands twice"),
    ],
)
def test_a_row_that_says_nothing_is_a_defect(rows: list[dict[str, object]], says: str):
    """What a row lacks is named."""
    [complaint] = compatibility.defects(listed(*rows))
    assert says in complaint


@pytest.mark.parametrize("excuse", ["different", "later", "missing"])
def test_a_row_may_say_why_not(excuse: str):
    """Without a test there is a reason, and the page counts and shows it."""
    found = listed(SHOWN, {"feature": "that | this", excuse: "for a reason"})
    assert compatibility.defects(found) == []
    text = "\n".join(compatibility.page(found))
    assert f"| that \\| this | **{excuse.capitalize()}:** for a reason |  |" in text
    assert "| it | so | [test_b](../tests/a.py) |" in text
    counts = {"different": "1 | 0 | 0", "later": "0 | 1 | 0", "missing": "0 | 0 | 1"}
    assert f"| Them | 2 | 1 | {counts[excuse]} |" in text


REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.a" name="test_b[1]" />
<testcase classname="tests.a" name="test_skipped"><skipped message="no engine" /></testcase>
<testcase classname="tests.a" name="test_failed"><failure message="no" /></testcase>
</testsuite></testsuites>
"""


def test_a_row_is_proven_by_a_test_that_passed(tmp_path: Path):
    """A skipped test, a failed one and one that was not run prove nothing; a case of a test proves the test."""
    report = tmp_path / "junit.xml"
    report.write_text(REPORT)
    passed = proven.passed(report)
    assert compatibility.unproven(listed(SHOWN), passed) == []
    for name in ("test_b[2]", "test_skipped", "test_failed", "test_c"):
        found = listed(SHOWN | {"tests": [f"tests/a.py::{name}"]})
        assert compatibility.unproven(found, passed) == [f"Them: it: tests/a.py::{name}"]


def test_a_partial_run_is_told_which_rows_it_did_not_prove(tmp_path: Path):
    """The command that the whole check ends with names them, and is content with a report of everything."""
    report = tmp_path / "junit.xml"
    report.write_text(REPORT)
    said = proven.main(report)
    assert isinstance(said, str)
    assert "hymir: " in said
    names = sorted({test for system in SYSTEMS for row in system.rows for test in row.tests})
    cases = "".join(
        f'<testcase classname="{file[:-3].replace("/", ".")}" name="{name}" />'
        for file, _, name in (test.partition("::") for test in names)
    )
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert proven.main(report) == 0
