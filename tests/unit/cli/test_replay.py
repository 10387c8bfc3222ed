"""``muster replay`` as a user has it: a fixture, a sentence, an exit code."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from muster.cli import failures
from muster.model.log.envelope import Recorded
from muster.model.proof import fixture
from tests.fixtures.tampered import changed, ended_diamond
from tests.unit.cli.test_refusals import muster


def write(path: Path, log: list[Recorded]) -> str:
    """The log as a fixture, gzip'd where the name says so."""
    text = b"\n".join(fixture.line(recorded) for recorded in log) + b"\n"
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_decisions_that_come_out_the_same(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A fixture that replays is said to in one line, with 0."""
    assert muster("replay", write(tmp_path / name, ended_diamond().log)) == failures.OK
    assert "come out the same" in capsys.readouterr().out


def test_a_difference_is_shown_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What was decided, what would be now and what both rest on are shown, with 1."""
    log = changed(ended_diamond().log, "step.scheduled", machine="m2")
    assert muster("replay", write(tmp_path / "run.jsonl", log)) == failures.EXECUTION_FAILED
    said = capsys.readouterr().out
    assert [line.split() for line in said.splitlines() if "data.machine" in line] == [
        ["≠", "data.machine", "m2", "m1"]
    ]
    assert "machines[0].slots: 0/1" in said


def test_a_difference_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """With --json each file is one object, its differences with their grounds."""
    good = write(tmp_path / "good.jsonl", ended_diamond().log)
    bad = write(tmp_path / "bad.jsonl", changed(ended_diamond().log, "execution.succeeded", outputs={"x": 1}))
    assert muster("replay", good, bad, "--json") == failures.EXECUTION_FAILED
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["differences"] == []
    (found,) = second["differences"]
    assert found["then"]["data"]["outputs"] == {"x": 1}
    assert found["now"]["data"]["outputs"] == {}
    assert found["grounds"]["execution"]["status"] == "running"


def test_a_basis_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A decision whose basis cannot be read is refused by its sequence, with 2."""
    path = tmp_path / "run.jsonl"
    write(path, ended_diamond().log)
    text = path.read_text()
    basis = json.loads(text.splitlines()[-1])["basis"]
    path.write_text(text.replace(basis, "rubbish"))
    assert muster("replay", str(path)) == failures.INVALID
    assert "'rubbish' is no basis" in capsys.readouterr().err
