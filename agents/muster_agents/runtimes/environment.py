"""What every attempt finds in its environment, whatever runs it."""

from __future__ import annotations

from typing import Final

import msgspec

from muster.model.commands import AttemptOrder

INPUTS: Final = "inputs.json"
OUTPUTS: Final = "outputs.json"


def variables(order: AttemptOrder, folder: str) -> dict[str, str]:
    """The step's own variables and Muster's; ``folder`` holds ``in`` and ``out``."""
    return order.container.environment | {
        "MUSTER_INPUT": f"{folder}/in/{INPUTS}",
        "MUSTER_OUTPUT": f"{folder}/out/{OUTPUTS}",
        "MUSTER_EXECUTION": order.execution,
        "MUSTER_STEP": order.step,
        "MUSTER_ATTEMPT": str(order.attempt),
    }


def document(order: AttemptOrder) -> bytes:
    """What stands in $MUSTER_INPUT."""
    return msgspec.json.encode(order.inputs)


def wants_file(order: AttemptOrder) -> bool:
    """Whether an output is taken from $MUSTER_OUTPUT."""
    return any(output.source == "file" for output in order.outputs.values())


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
