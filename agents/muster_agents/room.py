"""What a machine has left for attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from muster.model.log.catalogue import MachineFacts
from muster.model.log.commands import AttemptResources

ROUNDING: Final = 1e-6  # cores: tenths added up are not exact


@dataclass
class Room:
    """Slots, cores, bytes and GPUs that no attempt has taken."""

    slots: int
    cpus: float
    memory: int
    gpus: int

    @classmethod
    def of(cls, facts: MachineFacts) -> Room:
        """All of the machine. What is not known of it is not counted."""
        return cls(
            slots=facts.slots,
            cpus=facts.cpus or float("inf"),
            memory=facts.memory or 1 << 62,
            gpus=len(facts.gpus),
        )

    def lacks(self, wanted: AttemptResources) -> str:
        """What there is too little of, in words; empty where there is enough."""
        if wanted.slots > self.slots:
            return f"{wanted.slots} slots are asked for and {self.slots} free"
        if wanted.cpus > self.cpus + ROUNDING:
            return f"{wanted.cpus:g} cpus are asked for and {self.cpus:g} free"
        if wanted.memory > self.memory:
            return f"{wanted.memory} bytes of memory are asked for and {self.memory} free"
        if wanted.gpus > self.gpus:
            return f"{wanted.gpus} GPUs are asked for and {self.gpus} free"
        return ""

    def take(self, wanted: AttemptResources) -> None:
        """Reserve; an adopted attempt may take more than there is."""
        self.slots -= wanted.slots
        self.cpus -= wanted.cpus
        self.memory -= wanted.memory
        self.gpus -= wanted.gpus

    def give(self, taken: AttemptResources) -> None:
        """Free what ``take`` reserved."""
        self.slots += taken.slots
        self.cpus += taken.cpus
        self.memory += taken.memory
        self.gpus += taken.gpus
