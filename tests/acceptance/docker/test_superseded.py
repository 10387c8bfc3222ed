"""A machine that is away while its container runs: another one takes the step, and the first container never counts."""

from __future__ import annotations

import pytest

from tests.acceptance.docker.leftovers import GATE, Witness
from tests.acceptance.docker.stack import Part, Stack, kind, shell


@pytest.fixture
def away(stack: Stack, witness: Witness) -> Part:
    """The machine that is chosen first: its beats come soon one after the other, so that its absence is seen."""
    if "aaa" not in stack.agents:
        for name, interval_s in (("aaa", 1.0), ("bbb", 10.0)):
            stack.quick_agent(name, runtime="docker", slots=4, interval_s=interval_s)
    return stack.agents["aaa"]


@pytest.mark.parametrize("how", ["killed", "stalled"])
def test_the_container_of_a_lost_machine_never_counts_and_is_removed_when_it_is_back(
    stack: Stack, witness: Witness, away: Part, busybox_image: str, how: str
) -> None:
    """The step ends once, by the second container; the first one is stopped and removed by the agent that left it."""
    output = {"who": {"type": "string", "source": "stdout"}}
    id_ = stack.submit(
        shell("it", busybox_image, f"{GATE}; echo $MUSTER_ATTEMPT", outputs=output, stop_grace_period="1s")
    )
    first = witness.running(execution=id_, attempt="1")
    stack.event(id_, "attempt.started")
    if how == "killed":
        away.kill()
    else:
        away.pause()
    second = witness.running(execution=id_, attempt="2")
    assert witness.running(execution=id_, attempt="1") == first, (
        "two run: one machine knows nothing of the other"
    )
    witness.open_gate(second)
    stack.event(id_, "execution.succeeded")

    if how == "killed":
        away.start()
    else:
        away.unpause()
    witness.nothing_left()
    outcomes = [
        kind(event) for event in stack.events(id_, "step.succeeded", "step.failed", "execution.succeeded")
    ]
    assert outcomes == ["step.succeeded", "execution.succeeded"]
    [succeeded] = stack.events(id_, "step.succeeded")
    assert (succeeded["attempt"], succeeded["data"]["outputs"]) == (2, {"who": "2"})
    assert [event["attempt"] for event in stack.events(id_, "attempt.superseded")] == [1]
    shown = stack.show(id_)
    assert (shown["status"], shown["steps"][0]["machine"]) == ("succeeded", "bbb")
