"""What every attempt, and every container of a function, finds in its environment, whatever runs it, and where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from muster.model.definition.workflow import ContainerSpec
from muster.model.log.commands import AttemptOrder
from muster_agents.devices import IDS
from muster_agents.harness import HARNESS

INPUTS: Final = "inputs.json"
CONTEXT: Final = "context.json"
OUTPUTS: Final = "outputs.json"
_DIGEST: Final = 16
FOLDER_NAME_MAX: Final = 200
"""Characters of the name of a folder; filesystems take 255 bytes."""


def folder_name(order: AttemptOrder) -> str:
    """The attempt's name, fit for a folder."""
    name = f"{order.execution}.{order.step.replace('/', '.')}.{order.attempt}"
    if len(name) <= FOLDER_NAME_MAX:
        return name
    return f"{name[: FOLDER_NAME_MAX - _DIGEST - 1]}.{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]}"


def variables(order: AttemptOrder, folder: str) -> dict[str, str]:
    """The step's own variables and Muster's; ``folder`` holds ``in`` and ``out``."""
    context = {} if order.context is None else {"MUSTER_CONTEXT": f"{folder}/in/{CONTEXT}"}
    return (
        order.container.environment
        | context
        | {
            "MUSTER_INPUT": f"{folder}/in/{INPUTS}",
            "MUSTER_OUTPUT": f"{folder}/out/{OUTPUTS}",
            "MUSTER_IN": f"{folder}/in",
            "MUSTER_OUT": f"{folder}/out",
            "MUSTER_EXECUTION": order.execution,
            "MUSTER_WORKFLOW": order.workflow,
            "MUSTER_STEP": order.step,
            "MUSTER_ATTEMPT": str(order.attempt),
        }
    )


def visible(gpus: Sequence[str]) -> dict[str, str]:
    """What tells the programs of a process that no engine holds back which GPUs are theirs."""
    if not gpus or not all(gpus):
        return {}
    return {name: IDS.join(gpus) for name in ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")}


def documents(order: AttemptOrder) -> dict[str, bytes]:
    """What the step finds in its folder ``in``, by file name."""
    found = {INPUTS: order.inputs or None, CONTEXT: order.context}
    return {name: msgspec.json.encode(value) for name, value in found.items() if value is not None}


def has_harness(spec: ContainerSpec) -> bool:
    """Whether the function is spoken for by the harness; a name without a colon says that the image does it itself."""
    return ":" in (spec.function or "")


def serving_entrypoint(spec: ContainerSpec, folder: str, python: str = "python3") -> list[str] | None:
    """What the container of a function begins with: the harness, its own program, or the image's (None)."""
    return [python, f"{folder}/{HARNESS}"] if has_harness(spec) else spec.entrypoint


def serving_variables(spec: ContainerSpec, folder: str) -> dict[str, str]:
    """What stays the same from call to call: the step's own variables, and where the folders of the calls are."""
    return spec.environment | {"MUSTER_IN": f"{folder}/in", "MUSTER_OUT": f"{folder}/out"}


def wants_file(order: AttemptOrder) -> bool:
    """Whether something is taken from $MUSTER_OUTPUT."""
    if order.gives_result:
        return True
    return any(output.source == "file" and output.path is None for output in order.outputs.values())


def has_files(order: AttemptOrder) -> bool:
    """Whether anything goes in or comes out as a file."""
    return wants_file(order) or order.makes_files or bool(order.files) or bool(documents(order))


def wants_stdout(order: AttemptOrder) -> bool:
    """Whether an output is taken from what is printed."""
    return any(output.source == "stdout" for output in order.outputs.values())


class Kept:
    """What was printed on stdout, up to one byte more than is allowed: enough to know that it was too much."""

    def __init__(self, limit: int) -> None:
        self._room = limit + 1
        self._parts: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        """Keep what fits."""
        if self._room:
            part = chunk[: self._room]
            self._room -= len(part)
            self._parts.append(part)

    def value(self) -> bytes:
        """All that was kept."""
        return b"".join(self._parts)
