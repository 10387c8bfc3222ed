"""GPUs, as far as a machine without one can tell: what the engine is asked, what it answers, who gets which."""

from pathlib import Path
from typing import Any

import pytest

from muster.model.definition.workflow import Output
from muster.model.log.commands import AttemptOrder, AttemptResources
from tests.fixtures.drivers import nvidia_smi
from tests.fixtures.engine import BUSYBOX
from tests.fixtures.recording import Recording
from tests.unit.agents.scene import Scene, order, shell

TWO = ("GPU-aaaa, Tesla T4, 15360", "GPU-bbbb, Tesla T4, 15360")


@pytest.mark.docker
async def test_the_engine_is_asked_for_the_device(
    containers: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """For a command and for a function the request that reaches the engine names the devices; without a driver its
    refusal says what to do, and nobody has them any more.
    """
    nvidia_smi(tmp_path, monkeypatch, *TWO)
    recording = Recording()
    async with recording.engine() as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        async with containers.agent():
            asked: list[dict[str, Any]] = [{"command": ["true"]}, {"function": "app:f"}]
            for number, what in enumerate(asked, 1):
                wanted = AttemptResources(gpus=number)
                await containers.start(order(f"s{number}", image=BUSYBOX, resources=wanted, **what))
                failed = await containers.until("attempt.failed", count=number)
    requested = [made["HostConfig"]["DeviceRequests"] for made in recording.created()]
    assert [[request["DeviceIDs"] for request in requests] for requests in requested] == [
        [["GPU-aaaa"]],
        [["GPU-aaaa", "GPU-bbbb"]],
    ]
    assert all(request["Capabilities"] == [["gpu"]] and not request["Count"] for [request] in requested)
    assert (failed.phase, failed.error.code, failed.retriable) == ("start", "container_starting", False)
    assert "could not select device driver" in failed.error.message
    assert "NVIDIA Container Toolkit" in failed.error.remedy
    assert "--gpus 0" in failed.error.remedy


async def test_steps_side_by_side_have_different_ones(
    processes: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """On a machine with two GPUs, two processes that asked for one each are told different ones."""
    nvidia_smi(tmp_path, monkeypatch, *TWO)
    meet = tmp_path / "meet"
    meet.mkdir()
    both = f"touch {meet}/$MUSTER_STEP; until [ -e {meet}/a -a -e {meet}/b ]; do sleep 0.01; done"
    said = {"seen": Output(type="string", source="stdout")}
    wanted = AttemptResources(gpus=1)
    async with processes.agent():
        assert [gpu.id for gpu in (await processes.connection()).facts.gpus] == ["GPU-aaaa", "GPU-bbbb"]
        script = f"{both}; printf $CUDA_VISIBLE_DEVICES"
        await processes.start(*(shell(script, step, outputs=said, resources=wanted) for step in "ab"))
        seen = [
            (await processes.until("attempt.finished", count=number)).outputs["seen"] for number in (1, 2)
        ]
    assert sorted(seen) == ["GPU-aaaa", "GPU-bbbb"]


APP = """
import os

def one():
    return os.environ["CUDA_VISIBLE_DEVICES"]

two = three = one
"""


async def test_idle_functions_give_theirs_to_who_needs_one(
    processes: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A loaded function keeps its GPU for its next call; the one not used for longest goes where another needs it."""
    nvidia_smi(tmp_path, monkeypatch, *TWO)
    (tmp_path / "gpus.py").write_text(APP)
    said = {"seen": Output(type="string", source="stdout")}
    wanted = AttemptResources(gpus=1)
    seen = []

    def asked(step: str) -> AttemptOrder:
        if step == "command":
            return shell("printf $CUDA_VISIBLE_DEVICES", step, outputs=said, resources=wanted)
        name = step.removesuffix("-again")
        return order(step, function=f"gpus:{name}", working_dir=str(tmp_path), resources=wanted)

    async with processes.agent():
        for number, step in enumerate(("one", "two", "one-again", "three", "command"), 1):
            await processes.start(asked(step))
            [device] = (await processes.until("attempt.finished", count=number)).outputs.values()
            seen.append(device)
        unloaded = [(await processes.until("function.unloaded", count=number)) for number in (1, 2)]
    a, b = "GPU-aaaa", "GPU-bbbb"
    assert seen == [a, b, a, b, a]
    assert [(one.function, one.reason) for one in unloaded] == [
        ("gpus:two", "evicted"),
        ("gpus:one", "evicted"),
    ]
