"""GPUs, as far as a machine without one can tell: what the engine is asked, what it answers, who gets which."""

from pathlib import Path

import pytest

from muster.model.definition.workflow import Output
from muster.model.log.commands import AttemptResources
from tests.fixtures.drivers import nvidia_smi
from tests.fixtures.engine import BUSYBOX
from tests.fixtures.recording import Recording
from tests.unit.agents.scene import Scene, order, shell

TWO = ("GPU-aaaa, Tesla T4, 15360", "GPU-bbbb, Tesla T4, 15360")


@pytest.mark.docker
async def test_the_engine_is_asked_for_the_device(
    containers: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The request that reaches the engine names the device; without a driver its refusal says what to do."""
    nvidia_smi(tmp_path, monkeypatch, *TWO)
    recording = Recording()
    async with recording.engine() as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        async with containers.agent():
            for number in (1, 2):
                wanted = AttemptResources(gpus=number)
                step = order(f"s{number}", image=BUSYBOX, command=["true"], resources=wanted)
                await containers.start(step)
                failed = await containers.until("attempt.failed", count=number)
    asked = [made["HostConfig"]["DeviceRequests"] for made in recording.created()]
    assert [[request["DeviceIDs"] for request in requests] for requests in asked] == [
        [["GPU-aaaa"]],
        [["GPU-aaaa", "GPU-bbbb"]],
    ]
    assert all(request["Capabilities"] == [["gpu"]] and not request["Count"] for [request] in asked)
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
