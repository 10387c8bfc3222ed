"""The whole broker in memory: for tests, simulations, and engines that need no memory of yesterday.

Several ``MemoryBroker`` are connections to one ``MemoryStore``. What can go wrong with a real broker can be made to go
wrong here; the switches are on ``MemoryBroker``.
"""

from muster.broker.memory.broker import MemoryBroker
from muster.broker.memory.store import MemoryStore

__all__ = ["MemoryBroker", "MemoryStore"]
