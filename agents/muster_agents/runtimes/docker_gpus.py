"""GPUs in the words of a container engine: the request, the label by which they are found again, and its refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from docker.types import DeviceRequest

from muster_agents.devices import IDS

LABEL: Final = "io.muster."
GPUS: Final = f"{LABEL}gpus"
CAPABILITIES: Final = [["gpu"]]

_REMEDIES: Final = {
    "could not select device driver": "This machine's engine cannot give GPUs to containers. Install the NVIDIA "
    "Container Toolkit there and let it configure the engine (nvidia-ctk runtime configure), or start the agent with "
    "--gpus 0, so that steps which ask for GPUs go elsewhere.",
    "unknown device": "The engine does not know this GPU: compare nvidia-smi -L with the agent's --gpus.",
}


def requests_for(gpus: Sequence[str], count: int) -> list[DeviceRequest]:
    """What asks the engine for these devices; for so many of any where their ids are not known."""
    if gpus and all(gpus):
        return [DeviceRequest(device_ids=list(gpus), capabilities=CAPABILITIES)]
    return [DeviceRequest(count=count, capabilities=CAPABILITIES)]


def labelled(gpus: Sequence[str]) -> dict[str, str]:
    """The label of a container that has these devices."""
    return {GPUS: IDS.join(gpus)} if gpus else {}


def labelled_gpus(labels: Mapping[str, str]) -> list[str]:
    """The devices of a container with these labels. One of unknown id is an empty text."""
    return labels[GPUS].split(IDS) if GPUS in labels else []


def remedy_of(refusal: str) -> str | None:
    """What to do about a refusal, where it is one of GPUs."""
    return next((remedy for words, remedy in _REMEDIES.items() if words in refusal.lower()), None)
