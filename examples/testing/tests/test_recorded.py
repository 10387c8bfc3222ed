"""A run that was recorded once, looked at and decided again: neither broker nor Docker, nor any waiting."""


def test_the_run_is_what_we_expect_of_it(muster_replay):
    """What the workflow made of its inputs then, and how."""
    run = muster_replay("run.jsonl")
    assert run.status == "succeeded"
    assert run.inputs["text"] == "to be or not to be"
    assert run.outputs == {"words": 6}
    assert [change.type for change in run.transitions] == ["init", "start", "step", "step", "finish"]
    assert run.errors == {}
    assert run.steps["count"].machine == run.steps["deliver"].machine == "m1"


def test_this_release_decides_as_it_was_decided_then(muster_replay):
    """Every decision of the engine is made again from what it was made from."""
    muster_replay("run.jsonl").check()
