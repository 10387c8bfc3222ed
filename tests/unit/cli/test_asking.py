"""What is shown of steps that ask, choose and repeat, and how an answer is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muster.cli import words
from muster.cli.asking import answering, questions
from muster.cli.overview import FAILURES_MAX, overview
from muster.cli.show import timeline_lines
from muster.cli.values import answer_of
from muster.cli.waiting import LINES_MAX, abridged, reasons
from muster.client.follower import ExecutionView
from muster.client.steps import StepView
from muster.model.errors import InvalidArgumentError, InvalidTypeError
from tests.fixtures.controlled import ASK, go, played, said, step
from tests.fixtures.play import Play

SCHEMA = {"properties": {"ok": {"type": "boolean"}, "note": {"type": "string"}}}


def seen(play: Play) -> ExecutionView:
    """What is folded of the execution."""
    view = ExecutionView("x1")
    view.apply_all(each for each in play.log if each.event.execution == "x1")
    return view


def loop(count: int, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "each", "for_each": {"in": list(range(count)), "steps": list(steps), **more}}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ([], None),
        (['{"ok": true}'], {"ok": True}),
        (["true"], True),
        (['"yes"'], "yes"),
        (
            ["ok=true", "note=17", "more=[1]", "text=as it is"],
            {"ok": True, "note": "17", "more": [1], "text": "as it is"},
        ),
        (["note=a=b"], {"note": "a=b"}),
    ],
)
def test_an_answer_is_json_or_pairs(given: list[str], value: Any):
    """Of pairs those are text that the schema says are strings; all others are JSON where they can be."""
    assert answer_of(given, SCHEMA) == value


def test_an_answer_may_be_a_file(tmp_path: Path):
    """As a whole, or as the value of a pair."""
    (file := tmp_path / "answer.yaml").write_text("ok: true\nnote: yes it is\n")
    assert answer_of([f"@{file}"], {}) == {"ok": True, "note": "yes it is"}
    (file := tmp_path / "note.txt").write_text("long text")
    assert answer_of([f"note=@{file}"], SCHEMA) == {"note": "long text"}


@pytest.mark.parametrize("given", [["yes"], ["=1"], ["ok=true", "{}"]])
def test_what_is_neither_is_refused(given: list[str]):
    """With what to write instead."""
    with pytest.raises(InvalidArgumentError, match="neither JSON nor a pair"):
        answer_of(given, SCHEMA)


def test_broken_json_is_not_taken_for_text():
    """What begins like JSON is meant to be JSON."""
    with pytest.raises(InvalidTypeError, match="is not JSON"):
        answer_of(['{"ok": tru'], SCHEMA)


def test_a_question_comes_with_its_command():
    """The names that the schema requires are in it, and the step where more than one asks."""
    view = seen(played(ASK))
    assert questions(view) == {"ask": "waits for input: Publish?; answer it: muster resume x1 --input ok=…"}
    assert questions(view, advise=False) == {"ask": "waits for input: Publish?"}
    two = seen(played(ASK, {"id": "other", "wait_for_input": {}}))
    assert answering(two, two.steps["other"]) == "muster resume x1 --step other --input JSON"
    assert "Waiting for Input" in "\n".join(timeline_lines(two))


def test_who_waits_for_an_answer_needs_no_machine():
    """Steps that wait for somebody, or for a time that has passed, are not said to lack a machine."""
    play = played({**ASK, "wait_for_input": {"timeout": "1s"}}, {"id": "nap", "sleep": "1s"})
    assert reasons(play.state, "x1", play.now.replace(year=play.now.year + 1)) == {}


def test_a_step_says_what_it_is_at():
    """What it asks, until when it sleeps, which branch, how many items, why it was skipped."""
    play = played(
        {"id": "ask", "wait_for_input": {"prompt": "Go?"}},
        {"id": "nap", "sleep": "10s"},
        {"id": "branch", "if": "true", "then": [step("a")]},
        loop(2, step("b")),
        {"id": "never", "if": "false", "log": "x"},
    )
    view = seen(play)
    said_ = {path: words.doing(step, play.now) for path, step in view.steps.items()}
    assert said_["ask"] == "waiting for input: Go?"
    assert said_["nap"] == "sleeping, 10.0s left"
    assert said_["branch"] == "running: then"
    assert said_["each"] == "running: 0 of 2 items"
    assert said_["never"] == "skipped (condition)"
    assert words.doing(view.steps["nap"]).startswith("sleeping, until ")


def test_what_a_container_said_is_shown():
    """That it wants to be looked at later, or had nothing to do."""
    later = played(step("a"))
    said(later, kind="check_later", wait_min=5.0, wait_max=5.0, reason="not yet")
    assert words.doing(seen(later).steps["a"], later.now) == "looked at again later, 5.0s left: not yet"
    skips = played(step("a"))
    said(skips, kind="skip", reason="nothing new")
    assert words.doing(seen(skips).steps["a"]) == "skipped (asked: nothing new)"


def test_a_long_question_takes_one_line_where_there_is_room_for_one():
    """The whole of it is said where it is answered."""
    asks = StepView(path="ask", status="waiting", reason="input", prompt="Send this?\nDear all")
    assert words.doing(asks) == "waiting for input: Send this? …"


def test_few_items_are_all_shown_in_order():
    """Behind their loop, by number and not by text."""
    view = seen(go(played(loop(11, step("one")), step("end"))))
    paths = [step.path for step in overview(view)]
    assert paths == ["each", *(f"each/{n}/one" for n in range(11)), "end"]


def test_of_many_items_only_those_are_shown_that_matter():
    """Those that failed, up to some, and those that move; nested loops are no way around it."""
    inner = {"id": "deep", "for_each": {"in": [1, 2], "steps": [step("one")]}}
    failing = tuple(f"each/{n}/deep/0/one" for n in range(15))
    play = go(played(loop(20, inner, on_failure="continue")), failing=failing)
    view = seen(play)
    paths = [step.path for step in overview(view)]
    assert paths[0] == "each"
    assert len(paths) == 1 + FAILURES_MAX
    assert all(view.steps[path].status == "failed" for path in paths)
    moving = seen(played(loop(20, step("one"), max_parallel=3)))
    assert [step.path for step in overview(moving)] == ["each", *(f"each/{n}/one" for n in range(3))]
    assert words.doing(view.steps["each"]) == "failed: ExecutionError"


def test_a_long_list_of_reasons_is_cut():
    """The rest is counted."""
    lines = abridged({f"s{n}": "no room" for n in range(LINES_MAX + 3)})
    assert lines[0] == "s0 waits: no room"
    assert lines[-1] == "… and 3 more steps wait"
    assert len(lines) == LINES_MAX + 1
