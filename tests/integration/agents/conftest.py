"""An agent's surroundings, with a real engine or real processes under it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from muster.broker.memory import MemoryBroker
from muster.identity import uuid7
from tests.unit.agents.scene import Scene

__all__ = ["containers", "processes"]


@pytest.fixture
def processes(tmp_path: Path) -> Scene:
    return Scene(MemoryBroker(), tmp_path, runtime="process")


@pytest.fixture
def containers(tmp_path: Path, busybox_image: str, docker_cleanup: Callable[[str], None]) -> Scene:
    """An agent of a name of its own, whose containers go with the test."""
    name = f"test-{uuid7()[-12:]}"
    docker_cleanup(f"io.muster.machine={name}")
    return Scene(MemoryBroker(), tmp_path, runtime="docker", name=name)
