"""Steps that ask for GPUs, where the driver is pretended: who waits, who gets which, who can never have one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.cli import Muster
from tests.acceptance.test_cli_functions import events, kind_of
from tests.fixtures.drivers import nvidia_smi

pytestmark = [pytest.mark.broker, pytest.mark.slow]

TWO = ("GPU-aaaa, Tesla T4, 15360", "GPU-bbbb, Tesla T4, 15360")


@pytest.fixture(scope="module")
def muster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Muster]:
    """A whole Muster on a machine with two GPUs."""
    folder = tmp_path_factory.mktemp("muster")
    with pytest.MonkeyPatch.context() as patch:
        nvidia_smi(folder, patch, *TWO)
        path = os.environ["PATH"]
    made = Muster(folder)
    made.environment["PATH"] = path
    try:
        made.up("--slots", "8")
        yield made
    finally:
        made.close()


def flow(muster: Muster, name: str, count: int, gpus: int) -> str:
    step = {
        "image": "none",
        "command": ["sh", "-c", "sleep 0.3; printf $CUDA_VISIBLE_DEVICES"],
        "resources": {"gpus": gpus},
        "outputs": {"seen": {"type": "string", "source": "stdout"}},
    }
    steps: list[dict[str, Any]] = [step | {"id": f"s{number}"} for number in range(count)]
    return muster.write(f"{name}.json", json.dumps({"name": name, "steps": steps}))


def test_no_gpu_is_used_by_two_at_once(muster: Muster):
    """Five steps with one GPU each go through two of them: never more than two run, and never on the same one."""
    muster("run", flow(muster, "five", 5, 1), "--id", "five-1")
    steps = {step["path"]: step["outputs"]["seen"] for step in muster.json("show", "five-1")["steps"]}
    assert set(steps.values()) == {"GPU-aaaa", "GPU-bbbb"}
    held: set[str] = set()
    for event in events(muster, "five-1"):
        if kind_of(event) == "attempt.started":
            assert steps[event["step"]] not in held
            held.add(steps[event["step"]])
        elif kind_of(event) == "container.exited":
            held.discard(steps[event["step"]])
    assert not held


def test_more_than_there_are_is_refused_at_once(muster: Muster):
    """A step that asks for more GPUs than any machine has fails with the reason; the machine says what it has."""
    muster("run", flow(muster, "three", 1, 3), "--id", "three-1", code=1)
    assert "3 gpus" in muster.json("show", "three-1")["error"]["message"]
    [machine] = muster.json_lines("machines")
    assert machine["gpus"] == 2
