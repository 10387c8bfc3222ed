"""A run recorded with real Docker is replayed, as it was and under other rules."""

from __future__ import annotations

import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, shell

pytestmark = [pytest.mark.broker, pytest.mark.docker, pytest.mark.slow]
RETRY = {"max_attempts": 3, "backoff": {"initial": "200ms", "factor": 1, "jitter": False}}


def test_a_run_with_docker_replays_and_answers_what_if(
    stack: Stack, witness: Witness, busybox_image: str
) -> None:
    """No decision comes out differently; with fewer attempts it would have failed, with one slot taken longer."""
    stack.agent("north", "--slots", "4")
    id_, ran = stack.run(
        shell("flaky", busybox_image, 'test "$MUSTER_ATTEMPT" -ge 3', retry=RETRY),
        shell("left", busybox_image, "sleep 1", needs=["flaky"]),
        shell("right", busybox_image, "sleep 1", needs=["flaky"]),
    )
    assert ran.code == 0, ran
    assert len(witness.when("create", execution=id_)) == 5
    fixture = stack.folder / "docker.jsonl"
    fixture.write_text(stack.muster("events", id_, "--json").out)

    plain = stack.muster("replay", fixture, "--json")
    assert plain.code == 0, plain
    assert plain.json["differences"] == []
    assert plain.json["decisions"] > 10

    rules = stack.folder / "rules.yaml"
    rules.write_text("steps: {flaky: {retry: {max_attempts: 2}}}")
    failed = stack.muster("replay", fixture, "--policy", rules, "--json").json
    assert failed["faithful"]
    assert failed["executions"][0]["unchanged"]["outcome"] == "succeeded"
    assert failed["executions"][0]["changed"]["outcome"] == "failed"
    assert failed["executions"][0]["changed"]["attempts"] == 2

    rules.write_text("machines: {north: {slots: 1}}")
    slower = stack.muster("replay", fixture, "--policy", rules, "--json").json
    assert slower["executions"][0]["changed"]["outcome"] == "succeeded"
    assert slower["now_s"] - slower["then_s"] > 0.9
