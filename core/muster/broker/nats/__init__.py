"""The broker on NATS JetStream, 2.12 or newer."""

from muster.broker.nats.broker import NatsBroker

__all__ = ["NatsBroker"]
