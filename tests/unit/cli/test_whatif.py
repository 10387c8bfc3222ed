"""``muster replay --policy`` as a user has it: two columns, what was assumed, an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muster.cli import failures
from tests.fixtures.clocked import ClockedPlay
from tests.fixtures.play import workflow
from tests.fixtures.tampered import changed
from tests.unit.cli.test_refusals import muster
from tests.unit.cli.test_replay import write
from tests.unit.model.proof.rehearsal.test_rehearse import crowded, flaky


@pytest.fixture
def run(tmp_path: Path) -> str:
    """The fixture of an execution that succeeded with its third attempt."""
    return write(tmp_path / "run.jsonl", flaky().log)


def rules(folder: Path, text: str) -> str:
    """A policy file."""
    (folder / "rules.yaml").write_text(text)
    return str(folder / "rules.yaml")


ONCE = '{steps: {"*": {retry: {max_attempts: 1}}}}'


def test_then_and_now_stand_side_by_side(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Outcome, makespan, attempts, retries and steps are shown for both, and what is assumed; the exit code is 0."""
    assert muster("replay", run, "--policy", rules(tmp_path, ONCE)) == failures.OK
    said = capsys.readouterr().out
    rows = {tuple(line.split()[:2]): line for line in said.splitlines() if line.startswith(("≠", "  "))}
    assert rows["≠", "outcome"].split()[2:] == ["succeeded", "failed:", "ExecutionError"]
    assert rows["≠", "attempts"].split()[2:] == ["4", "1"]
    assert rows["≠", "retries"].split()[2:] == ["2", "run", "none"]
    assert "(-25." in rows["≠", "makespan"]
    assert rows["≠", "step"].split()[2] == "b"
    assert "comes out as recorded, with times within 0.000s" in said
    assert "\nAssumed:\n  - what people asked for" in said


def test_no_difference_is_said(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Where the other rules change nothing, that is the answer."""
    assert muster("replay", run, "--policy", rules(tmp_path, "policy: {lost_max: 2}")) == failures.OK
    assert "nothing would have been different" in capsys.readouterr().out


def test_several_executions_are_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Of a whole log those that differ are shown, and how many they are."""
    play = ClockedPlay()
    play.connect("m1", slots=1)
    for name in ("x1", "x2"):
        play.submit(workflow({"id": name}), name)
    play.run_all()
    file = write(tmp_path / "log.jsonl", play.log)
    text = "steps: {x2: {machine: m2}}\npolicy: {placement_timeout_s: 1s}"
    assert muster("replay", file, "--policy", rules(tmp_path, text)) == failures.OK
    said = capsys.readouterr().out
    assert "1 of 2 executions differ; all together took" in said
    assert "x2 (play)" in said
    assert "x1 (play)" not in said


def test_an_answer_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """With --json each file is one object that holds everything."""
    files = [write(tmp_path / "a.jsonl", flaky(2).log), write(tmp_path / "b.jsonl", crowded().log)]
    policy = rules(tmp_path, ONCE.replace("1", "3"))
    assert muster("replay", *files, "--policy", policy, "--assume", "succeed", "--json") == failures.OK
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["file"], first["policy"], first["assume"]) == (files[0], policy, "succeed")
    assert (first["faithful"], first["same"], second["same"]) == (True, False, True)
    (execution,) = first["executions"]
    assert {"what": "outcome", "then": "failed", "now": "succeeded"} in execution["differences"]
    assert execution["recorded"]["outcome"] == execution["unchanged"]["outcome"] == "failed"
    assert execution["changed"]["steps"]["a"]["machines"] == ["m1", "m1", "m1"]
    assert ["x1/a#3"] in [one["attempts"] for one in first["assumed"]]


def test_a_play_that_is_not_to_be_believed_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Where the record does not come out again unchanged, the reader is warned, with the first place."""
    log = changed(crowded().log, "step.scheduled", machine="m9")
    policy = rules(tmp_path, "policy: {lost_max: 2}")
    assert muster("replay", write(tmp_path / "run.jsonl", log), "--policy", policy) == failures.OK
    said = capsys.readouterr().out
    assert (
        "Take this with care: played again unchanged, not everything comes out as recorded (1 of 1 differ)"
        in said
    )
    assert "steps.a.machines: m9 recorded, m1 played" in said


def test_rules_need_to_fit_one_of_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A step or machine that only one of the files holds may be named, one that none holds may not."""
    files = [write(tmp_path / "a.jsonl", flaky().log), write(tmp_path / "b.jsonl", crowded().log)]
    policy = rules(tmp_path, "steps: {d: {resources: {slots: 2}}}\nmachines: {m2: {like: m1}}")
    assert muster("replay", *files, "--policy", policy, "--json") == failures.OK
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["same"], second["same"]) == (True, False)
    assert muster("replay", *files, "--policy", rules(tmp_path, "steps: {e: {}}")) == failures.INVALID
    assert "there is no step e in any of the files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: {aa: {retry: {max_attempts: 2}}}", "rules.yaml:1:9: there is no step aa in {run}."),
        ("policy: {lost: 1}", "rules.yaml:1:10: policy has no key lost."),
    ],
)
def test_wrong_rules_are_refused_with_their_place(
    run: str, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A mistake in the file is named with line and column, with 2, and nothing is answered."""
    assert muster("replay", run, "--policy", rules(tmp_path, text)) == failures.INVALID
    shown = capsys.readouterr()
    assert said.replace("{run}", run) in shown.err
    assert shown.out == ""


def test_what_does_not_belong_together_is_refused(run: str, capsys: pytest.CaptureFixture[str]):
    """--assume without --policy, and a policy that is not there, are refused with 2."""
    assert muster("replay", run, "--assume", "succeed") == failures.INVALID
    assert "--policy" in capsys.readouterr().err
    assert muster("replay", run, "--policy", "nowhere.yaml") == failures.INVALID
    assert "nowhere.yaml" in capsys.readouterr().err
