"""What is refused before a broker is asked, each in a sentence that names the mistake."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from muster.cli import failures, main

ROOT = Path(__file__).resolve().parents[3]
GOOD = "name: one\nsteps:\n  - {id: a, image: b}\n"
NOBODY = """\
name: two
steps:
  - id: a
    image: b
    environment: {A: "${{ steps.nobody.outputs.x }}"}
"""


def muster(*arguments: str) -> int | str | None:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["scheduler", "--set", "lost_max"], "write NAME=VALUE"),
        (["scheduler", "--set", "lost_max=x"], "lost_max must be a whole number, such as 5, and 'x' is none"),
        (["scheduler", "--set", "tick_s=x"], "tick_s must be a duration, such as 30s"),
        (["scheduler", "--name", "Bad Name"], "'Bad Name' is not a legal name"),
    ],
)
def test_the_mistake_is_named(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    """A limit or a name that is none is refused with exit code 2."""
    assert muster(*arguments) == failures.INVALID
    assert sentence in capsys.readouterr().err


def test_no_command_is_a_question_for_help(capsys: pytest.CaptureFixture[str]):
    """`muster` alone prints the help and ends with 0."""
    assert muster() == failures.OK
    assert "Commands:" in capsys.readouterr().out


def test_validate_reports_on_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A file that cannot be read is reported beside the others, sound or not; one step is one step."""
    for name, text in (("good", GOOD), ("two", NOBODY)):
        (tmp_path / f"{name}.yaml").write_text(text)
    files = [str(tmp_path / f"{name}.yaml") for name in ("nope", "good", "two")]
    assert muster("validate", *files) == failures.INVALID
    said = capsys.readouterr()
    assert said.out == f"{files[1]}: one is valid (1 step)\n"
    missing, problem = said.err.splitlines()
    assert missing == f"{files[0]}: no such file or directory."
    assert problem.startswith(f"{files[2]}:5:19: [SourceNodeMissingError] ")


def test_an_invalid_workflow_names_what_it_would_be_at_run_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """`validate --json` and a refused `run` say the code and the name of the error inside."""
    path = tmp_path / "two.yaml"
    path.write_text(NOBODY)
    cause = {"code": "source_node_missing", "name": "SourceNodeMissingError"}
    assert muster("validate", str(path), "--json") == failures.INVALID
    assert json.loads(capsys.readouterr().out)["cause"] == cause
    assert muster("run", str(path), "--json") == failures.INVALID
    assert json.loads(capsys.readouterr().err)["cause"] == cause
    assert muster("run", str(path)) == failures.INVALID
    assert capsys.readouterr().err.splitlines()[0].endswith(" [SourceNodeMissingError]")


@pytest.mark.parametrize("name", ["my book.txt", "it's.txt"])
def test_make_hands_over_file_names_as_they_are(name: str):
    """A file of any name is one argument of the demo."""
    done = subprocess.run(
        ["make", "-n", "demo", f"FILE={name}", "BIN=/usr/bin", "VENV=/nowhere", "PYTHON=false"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in done.stdout.splitlines() if "examples/demo.py" in line)
    shown = subprocess.run(
        ["sh", "-c", line.replace("/usr/bin/python", "printf '%s\\n'")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == f"examples/demo.py\n{name}\n"
