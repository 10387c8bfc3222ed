"""What a machine says of itself."""

import pytest

from muster.model.errors import InvalidArgumentError
from muster.model.log.catalogue import Gpu, MachineFacts
from muster.model.log.commands import AttemptResources
from muster_agents import facts
from muster_agents.options import AgentOptions
from muster_agents.room import Room
from tests.fixtures.drivers import nvidia_smi


def test_the_host_is_described():
    """Everything the scheduler places by is there, and slots follow from the cpus."""
    found = facts.host_facts(AgentOptions(name="m1", labels={"a": "b"}))
    assert found.os == "linux"
    assert found.cpus >= 1
    assert found.memory > 1 << 20
    assert found.slots == max(4, 2 * int(found.cpus))
    assert found.boot_id
    assert found.labels == {"a": "b"}


def test_flags_win():
    """What the operator says is what steps may ask for."""
    found = facts.host_facts(AgentOptions(name="m1", cpus=1.5, memory=1 << 30, slots=3))
    assert (found.cpus, found.memory, found.slots) == (1.5, 1 << 30, 3)


@pytest.mark.parametrize(
    ("line", "gpu"),
    [
        (
            "GPU-5ad1, NVIDIA A100-SXM4-40GB, 40960",
            Gpu(name="NVIDIA A100-SXM4-40GB", memory=40960 << 20, id="GPU-5ad1"),
        ),
        ("GPU-1, Odd, with comma, 1", Gpu(name="Odd, with comma", memory=1 << 20, id="GPU-1")),
        ("[N/A], Shy, [N/A]", Gpu(name="Shy", memory=0)),
        ("", None),
        ("nonsense", None),
    ],
)
def test_what_nvidia_smi_says_is_read(line, gpu):
    """One line is one GPU; a size that is not told is 0."""
    assert facts.parse_gpu(line) == gpu


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense", "sleep 60"])
def test_a_broken_driver_is_no_gpu_and_no_failure(tmp_path, monkeypatch, script):
    """An nvidia-smi that fails, talks nonsense or hangs does not keep the agent from starting."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nexec 2>&1; {script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(facts, "NVIDIA_TIMEOUT_S", 0.5)
    assert facts._gpus() == []


@pytest.mark.parametrize(
    ("gpus", "ids"),
    [
        (None, ["GPU-a", "GPU-b"]),
        (0, []),
        (1, ["GPU-a"]),
        (3, ["GPU-a", "GPU-b", ""]),
        (["GPU-b"], ["GPU-b"]),
        (["1", "0"], ["GPU-b", "GPU-a"]),
        (["GPU-elsewhere"], ["GPU-elsewhere"]),
    ],
)
def test_the_operator_says_which_gpus_are_for_steps(tmp_path, monkeypatch, gpus, ids):
    """All that nvidia-smi lists by default; fewer, others, or none where the operator says so."""
    nvidia_smi(tmp_path, monkeypatch, "GPU-a, Tesla, 1", "GPU-b, Tesla, 1")
    found = facts.host_facts(AgentOptions(name="m1", gpus=gpus)).gpus
    assert [gpu.id for gpu in found] == ids


@pytest.mark.parametrize("gpus", [-1, ["0", "0"]])
def test_gpus_that_cannot_be_are_refused(gpus):
    """Fewer than none, and one of them twice, are refused before the agent starts."""
    with pytest.raises(InvalidArgumentError, match="gpus"):
        AgentOptions(name="m1", gpus=gpus)


def test_what_is_given_back_can_be_taken_again():
    """Room that was taken and given is the same room, tenths of cores included."""
    room = Room.of(MachineFacts(slots=10, cpus=1.0, memory=100))
    wanted = AttemptResources(cpus=0.1, memory=10)
    for _ in range(3):
        for _ in range(10):
            assert not room.lacks(wanted)
            room.take(wanted)
        assert room.lacks(wanted)
        for _ in range(10):
            room.give(wanted)
