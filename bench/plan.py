"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """The sizes of one run. ``only`` names what is wanted; nothing named means everything."""

    only: frozenset[str] = field(default_factory=frozenset)
    slots: int = 1000
    fanout: int = 1000
    chain: int = 50
    chains: int = 3
    submits: int = 50
    containers: int = 20
    containers_at_once: int = 20
    warm_rounds: int = 20
    warm_calls: int = 10
    members: int = 10_000
    events: int = 1_000_000
    patience_s: float = 20.0
    """How long a measurement waits for others on this machine to be quiet."""

    def wants(self, *names: str) -> bool:
        """Whether one of these is wanted."""
        return not self.only or not self.only.isdisjoint(names)


QUICK = Plan(
    fanout=100,
    chain=10,
    chains=1,
    submits=10,
    containers=3,
    containers_at_once=4,
    warm_rounds=1,
    warm_calls=5,
    members=300,
    events=20_000,
    patience_s=0.0,
)
"""Shows that everything works, in seconds; the figures compare with nothing."""
