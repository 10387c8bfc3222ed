"""Cancelling where every slot is taken: the stop is not behind the work, and the containers are gone in time."""

from __future__ import annotations

import socket
import time
import uuid
from datetime import datetime

import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, shell, until
from tests.fixtures.process import STOP_TIMEOUT_S
from tests.fixtures.stalls import Stalls

REACH_S = 2.0
SLOTS = 2

POLITE = "trap 'exit 0' TERM; sleep 600 & wait"
DEAF = "trap '' TERM; while :; do sleep 600; done"


@pytest.fixture(scope="module")
def full(stack: Stack, witness: Witness) -> None:
    stack.agent("m1", "--slots", str(SLOTS))


@pytest.mark.parametrize(
    ("script", "grace_s", "killed"), [(POLITE, 8, False), (DEAF, 2, True)], ids=["polite", "deaf to SIGTERM"]
)
def test_a_cancel_reaches_a_full_machine_and_the_containers_are_gone_in_time(
    stack: Stack, witness: Witness, full: None, busybox_image: str, script: str, grace_s: int, killed: bool
) -> None:
    """Within 2 s of the decision the engine is asked to stop both; they end by themselves, or after their grace."""
    holding = [
        shell(f"hold-{number}", busybox_image, script, stop_grace_period=f"{grace_s}s")
        for number in range(SLOTS)
    ]
    id_ = stack.submit(*holding, shell("queued", busybox_image, "true"))
    for step in holding:
        witness.running(execution=id_, step=step["id"])
        until("the trap is set", lambda step=step: _sleeps(witness, id_, step["id"]))
    assert stack.show(id_)["steps"][-1]["status"] == "pending", "every slot is taken"

    with Stalls(stack.folder) as lost:
        answer = stack.muster("cancel", id_, "--reason", "enough", "--wait")
        assert answer.code == 0, answer
        assert "is cancelled" in answer.out
        until("docker ps -a shows none of them", lambda: not witness.present(execution=id_))
    reach_s = REACH_S + lost.seconds

    ending = stack.event(id_, "execution.ending")
    decided = datetime.fromisoformat(ending["time"]).timestamp()
    assert decided - _made(ending["cause"]) < reach_s
    for step in holding:
        own = {"execution": id_, "step": step["id"]}
        until("it is destroyed", lambda own=own: witness.when("destroy", **own))
        asked, *others = witness.when("kill", **own)
        assert asked - decided < reach_s, "the stop waited behind the work"
        assert others == witness.when("kill", signal="9", **own), "it is asked, and then killed"
        assert bool(others) == killed
        if killed:
            assert grace_s * 0.9 < others[0] - asked < grace_s + reach_s
        else:
            assert witness.when("die", exitCode="0", **own), "it ended when it was asked to"
    assert witness.when("create", execution=id_, step="queued") == []

    kinds = [
        event["type"]
        for event in stack.events(id_, "attempt.stopped", "step.cancelled", "execution.cancelled")
    ]
    assert kinds[-1] == "io.muster.execution.cancelled.v1"
    assert kinds.count("io.muster.attempt.stopped.v1") == SLOTS
    shown = stack.show(id_)
    assert (shown["status"], shown["reason"]) == ("cancelled", "enough")
    assert {step["status"] for step in shown["steps"]} == {"cancelled"}


def _made(command: str) -> float:
    """When the command was made: its id says so. How long a command line takes to start is no part of it."""
    return (uuid.UUID(command).int >> 80) / 1000


def _sleeps(witness: Witness, execution: str, step: str) -> bool:
    """Whether the script has come to its sleep: before that SIGTERM would find no trap."""
    processes = witness.engine.api.top(witness.running(execution=execution, step=step))["Processes"]
    return any("sleep" in " ".join(process) for process in processes)


def test_a_slot_is_free_again_after_a_cancel(
    stack: Stack, witness: Witness, full: None, busybox_image: str
) -> None:
    """What comes after a cancelled execution runs at once."""
    holding = [
        shell(f"hold-{number}", busybox_image, "sleep 60", stop_grace_period="1s") for number in range(SLOTS)
    ]
    id_ = stack.submit(*holding)
    for step in holding:
        witness.running(execution=id_, step=step["id"])
    assert stack.muster("cancel", id_).code == 0
    after, ran = stack.run(shell("after", busybox_image, "true"))
    assert ran.code == 0, ran
    assert stack.show(after)["status"] == "succeeded"


def test_a_pull_can_be_cancelled(stack: Stack, witness: Witness, full: None) -> None:
    """A step whose registry never answers is stopped while it waits, and the agent can still end in order."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        id_ = stack.submit(shell("far", f"127.0.0.1:{silent.getsockname()[1]}/far:1", "true"))
        stack.event(id_, "image.pulling")
        silent.settimeout(STOP_TIMEOUT_S)
        link, _ = silent.accept()
        with link:
            answer = stack.muster("cancel", id_, "--wait")
            assert answer.code == 0, answer
            assert stack.event(id_, "attempt.stopped")["step"] == "far"
            assert stack.show(id_)["status"] == "cancelled"
            asked = time.monotonic()
            stack.agents["m1"].stop()
            assert time.monotonic() - asked < STOP_TIMEOUT_S / 2, "it waits for a pull nobody wants"
    stack.agents["m1"].start()
