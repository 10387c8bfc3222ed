"""An agent's surroundings."""

from pathlib import Path

import pytest

from muster.broker.memory import MemoryBroker
from tests.unit.agents.fake import fake
from tests.unit.agents.scene import Scene

__all__ = ["fake", "memory", "scene"]


@pytest.fixture
def memory() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def scene(memory: MemoryBroker, tmp_path: Path) -> Scene:
    return Scene(memory, tmp_path)
