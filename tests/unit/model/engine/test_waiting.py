"""Steps that wait for somebody, decided and folded without any broker."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from muster.model.engine.control import TOKEN_BYTES
from tests.fixtures.controlled import ASK, answer, ends, go, outcome, outputs, played, step

pytestmark = pytest.mark.usefixtures("sound")


def test_an_execution_waits_for_input_and_goes_on_with_it():
    """Its status says so meanwhile; a second answer changes nothing."""
    play = played(ASK, step("a", **{"if": "steps.ask.outputs.ok"}))
    (execution,) = play.state.executions.values()
    assert execution.status == "awaiting_input"
    answer(play, {"ok": True})
    answer(play, {"ok": False})
    assert play.events("command.refused") == []
    assert outcome(go(play)) == "succeeded"
    assert [e.data.transition.type for e in play.events("execution.resumed")] == ["resume"]
    assert ends(play) == {"ask": "succeeded", "a": "succeeded"}


def test_an_answer_that_does_not_fit_is_refused():
    """The step goes on waiting."""
    play = played(ASK)
    answer(play, {"no": 1})
    (refused,) = play.events("command.refused")
    assert "'ok' is a required property" in refused.data.error.message
    answer(play, {"ok": 1})
    assert outcome(play) == "succeeded"


def test_the_token_answers_its_own_step_only():
    """A wrong one is refused."""
    play = played(ASK, {"id": "other", "wait_for_input": {}})
    tokens = {event.step: event.data.token for event in play.events("step.waiting")}
    answer(play, {"ok": 1}, token="wrong")
    answer(play, {"ok": 1})
    assert len(play.events("command.refused")) == 2
    answer(play, {"ok": 1}, token=tokens["ask"])
    answer(play, 5, step="other")
    assert outcome(play) == "succeeded"
    assert outputs(play, "other") == {"value": 5}


def test_input_that_does_not_come_in_time_fails_the_step():
    """Straight from awaiting_input to failed."""
    play = played({"id": "ask", "wait_for_input": {"timeout": "1h"}})
    play.later(3600.0)
    (failed,) = play.events("execution.failed")
    assert failed.data.transition.before == "awaiting_input"
    assert failed.data.error.name == "StepTimeoutError"


def test_the_token_of_a_child_cannot_be_worked_out():
    """It is made with what only the command of the first execution knows, and not with an id that can be derived."""
    play = played({"id": "call", "workflow": "inner"}, workflows={"inner": {"name": "inner", "steps": [ASK]}})
    (waits,) = play.events("step.waiting")
    (queued,) = (r.event for r in play.log if r.event.kind == "execution.queued" and r.event.data.parent)
    assert waits.execution == queued.execution != "x1"
    about = [f"{waits.execution}/ask/{number}".encode() for number in range(20)]
    key = (queued.cause or "").encode()
    guesses = {blake2b(text, key=key, digest_size=TOKEN_BYTES).hexdigest() for text in about}
    assert waits.data.token not in guesses
