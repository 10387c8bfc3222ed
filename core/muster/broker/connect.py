"""How every process reaches the broker its settings name."""

from __future__ import annotations

from muster.broker.interface import Broker
from muster.broker.nats import NatsBroker
from muster.settings import Settings


async def connect(settings: Settings, *, name: str) -> Broker:
    """A connection to the broker at ``settings.url``; ``name`` is shown in its monitoring. Raises BrokerError."""
    return await NatsBroker.connect(settings, name=name)
