"""What ``muster scheduler --shadow`` shows to people and to programs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from muster.cli import shadowing
from muster.cli.terminal import Terminal
from muster.model.proof.shadow import Comparison, Disagreement
from muster.scheduler.report import Notice, Standing
from tests.fixtures.tampered import changed, ended_diamond, without

STANDING = Standing(
    version="2",
    leader="a",
    software="1",
    sequence=40,
    end=40,
    caught_up=True,
    rounds=9,
    decisions=20,
    doubtful=0,
    disagreements=0,
    repeated=0,
    unanswered_s=0.0,
)


def disagreements(log: Any) -> list[Disagreement]:
    comparison = Comparison()
    return [found for recorded in log if (found := comparison.take(recorded)) is not None]


def test_a_disagreement_is_shown_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """A line says what it is about, then both decisions, and the state they rest on."""
    (found,) = disagreements(changed(ended_diamond().log, "step.started", machine="elsewhere"))
    shadowing._tell(Terminal(), found)
    said = capsys.readouterr().out
    assert "DISAGREEMENT  step.started of x1/a#1 comes out differently" in said
    assert "the leader decided (" in said
    assert "this version decides" in said
    assert "elsewhere" in said
    assert "It rests on the log up to" in said


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("decided", "only this version decides step.started of x1/a#1"),
        ("owed", "the leader s1 has not decided step.started of x1/a#1"),
    ],
)
def test_what_only_one_of_both_decided_is_said(kind: Any, sentence: str) -> None:
    """Where there is nothing beside it, the line says whose decision it is."""
    found, *_ = disagreements(without(ended_diamond().log, "step.started"))
    assert shadowing.sentence(msgspec.structs.replace(found, kind=kind)) == sentence
    turned = msgspec.structs.replace(found.difference, then=found.difference.now, now=None)
    other = msgspec.structs.replace(found, kind="decided", difference=turned, lacking=frozenset())
    assert shadowing.sentence(other) == "only the leader decided step.started of x1/a#1"
    both = msgspec.structs.replace(found, kind="decided", lacking=frozenset())
    assert shadowing.sentence(both) == (
        "the leader decided step.succeeded of x1/a#1 where this version decides step.started of x1/a#1"
    )


def test_a_version_that_fails_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    """What it raised is in the line, and no table follows."""
    found, *_ = disagreements(without(ended_diamond().log, "step.started"))
    empty = msgspec.structs.replace(found.difference, then=None, now=None, grounds={})
    failed = msgspec.structs.replace(found, kind="failed", error="KeyError: 'x'", difference=empty)
    shadowing._tell(Terminal(), failed)
    said = capsys.readouterr().out
    assert said.splitlines()[0].endswith("this version fails: KeyError: 'x'")
    assert len(said.splitlines()) == 1


def test_each_is_an_object_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json every disagreement, notice and the summary is one object on a line, with its kind."""
    terminal = Terminal()
    terminal.json = True
    (found,) = disagreements(changed(ended_diamond().log, "step.started", machine="elsewhere"))
    shadowing._tell(terminal, found)
    shadowing._tell(terminal, Notice(kind="silent", sequence=4, text="nobody"))
    shadowing._conclude(terminal, STANDING)
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["kind"] == "decided"
    assert first["then"]["data"]["machine"] == "elsewhere"
    assert first["now"]["data"]["machine"] == "m1"
    assert first["grounds"]["machines"]
    assert second == {"kind": "silent", "sequence": 4, "text": "nobody"}
    assert third["kind"] == "summary"
    assert third["rounds"] == 9


def test_the_summary_says_what_was_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever lets a version lead upon this report must see what it does not cover."""
    poor = msgspec.structs.replace(
        STANDING, caught_up=False, sequence=7, doubtful=3, repeated=2, unanswered_s=4.5, disagreements=1
    )
    shadowing._conclude(Terminal(), poor)
    said = capsys.readouterr().out
    assert "shadow (2) beside a (1): 1 disagreement in 9 rounds, 20 decisions" in said
    assert "only 7 of 40 events were read" in said
    assert "3 rounds rest on what was cleared or archived since: not compared" in said
    assert "2 more rounds differ by what was reported before" in said
    assert "no leader answered for 4.5 s" in said


def test_the_status_line_says_how_far_it_is() -> None:
    """While it reads, of how many; then that it is at the end."""
    reading = msgspec.structs.replace(STANDING, caught_up=False, sequence=7)
    assert shadowing.progress(reading).startswith("at 7 of 40 · 9 rounds compared · 0 disagreements")
    assert shadowing.progress(STANDING).startswith("at the end of the log (40)")
