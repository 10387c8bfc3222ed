"""What a container may ask for instead of succeeding."""

from __future__ import annotations

import pytest

from tests.fixtures.controlled import ends, go, outcome, played, said, step

pytestmark = pytest.mark.usefixtures("sound")


def test_a_container_may_skip_its_step():
    """That is no failure, and what it said is kept."""
    play = played(step("a"), step("b", needs=["a"]))
    said(play, kind="skip", reason="nothing new")
    go(play)
    (skipped,) = play.events("step.skipped")
    assert (skipped.data.reason, skipped.data.message) == ("asked", "nothing new")
    assert ends(play)["b"] == "succeeded"


def test_a_container_that_asks_to_be_run_again_is():
    """After a wait between the two it names; that spends a budget of its own."""
    play = played(step("a"))
    for number in range(3):
        said(play, kind="retry", wait_min=10.0, wait_max=20.0, max_retries=3)
        retrying = play.events("step.retrying")[number].data
        assert (retrying.budget, retrying.used) == ("asked", number + 1)
        assert 10.0 <= (retrying.due_at - play.now).total_seconds() <= 20.0
        play.until_due()
    said(play, kind="retry", wait_min=10.0, wait_max=20.0, max_retries=3)
    (failed,) = play.events("execution.failed")
    assert failed.data.error.name == "RetriableError"
    assert len(play.events("step.scheduled")) == 4


def test_a_container_may_ask_to_be_looked_at_later():
    """As often as it likes; what it wants to remember is given to the next run."""
    play = played(step("a"))
    for number in range(5):
        said(play, kind="check_later", wait_min=30.0, context={"seen": number})
        assert play.refs() == []
        play.later(29.0)
        assert play.refs() == []
        play.later(1.0)
        (ref,) = play.refs()
        assert play.orders[ref][1].context == {"seen": number}
    assert play.events("step.retrying") == []
    assert outcome(go(play)) == "succeeded"


def test_what_is_to_be_remembered_stays_where_nothing_new_is_said():
    """A later check without a context keeps the one before."""
    play = played(step("a"))
    said(play, kind="check_later", wait_min=1.0, context={"job": 1})
    play.later(1.0)
    said(play, kind="check_later", wait_min=1.0)
    play.later(1.0)
    (ref,) = play.refs()
    assert play.orders[ref][1].context == {"job": 1}


def test_a_cancel_ends_the_waiting_for_a_later_check():
    """Nothing is live then."""
    play = played(step("a"))
    said(play, kind="check_later", wait_min=30.0)
    play.cancel()
    assert outcome(play) == "cancelled"
