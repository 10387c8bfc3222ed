"""The workflow run by the real engine in this process, its steps as processes of this machine."""

from datetime import timedelta

import pytest


async def test_it_counts_words(muster_engine, tmp_path):
    """The outputs are right and the mailbox has them."""
    run = await muster_engine.run("workflow.yaml", {"text": "the quick brown fox", "mailbox": str(tmp_path)})
    assert run.outputs == {"words": 4}
    assert (tmp_path / "words").read_text() == "4\n"


async def test_it_waits_for_the_mailbox(muster_engine, tmp_path):
    """A mailbox that comes later gets the number: the ten minutes between are not waited for."""
    mailbox = tmp_path / "mailbox"
    execution = await muster_engine.submit("workflow.yaml", {"text": "fox", "mailbox": str(mailbox)})
    await muster_engine.until(execution, "step.retrying")
    mailbox.mkdir()
    run = await muster_engine.wait(execution)
    assert (run.status, run.steps["deliver"].attempt) == ("succeeded", 2)


async def test_it_gives_up_in_the_end(muster_engine):
    """Without a mailbox the fourth attempt, almost three hours later, is the last."""
    run = await muster_engine.run("workflow.yaml", {"text": "fox", "mailbox": "/nowhere"})
    assert run.steps["deliver"].error.code == "retriable"
    assert run.ended_at - run.queued_at > timedelta(minutes=10 + 40 + 120)


@pytest.mark.muster_engine(runtime="noop", machines={"m1": {}, "m2": {}})
def test_it_needs_no_machine_in_particular(muster_engine):
    """A test that is not async asks for results. Here no step is really run, only placed."""
    muster_engine.lose_machine("m1").result()
    muster_engine.clock.advance("1m").result()
    execution = muster_engine.submit("workflow.yaml", {"text": ""}).result()
    assert muster_engine.until(execution, "step.scheduled").result().steps["count"].machine == "m2"
