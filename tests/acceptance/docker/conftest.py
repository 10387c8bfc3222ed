"""One stack for each module, and a witness of what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack
from tests.fixtures.broker import Broker


@pytest.fixture(scope="module")
def stack(module_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Scheduler and projections as processes; the tests start the machines they need."""
    with Stack(tmp_path_factory.mktemp("stack"), module_broker) as started:
        yield started


@pytest.fixture(scope="module")
def witness(docker_engine: docker.DockerClient, stack: Stack) -> Iterator[Witness]:
    """Sees every container from here on; when the module ends nothing may be left of them."""
    with Witness(docker_engine, stack.created) as seeing:
        yield seeing
        for agent in stack.agents.values():
            agent.stop()
        seeing.nothing_left()
        assert stack.containers() <= seeing.containers.keys(), "the witness saw all that the log tells of"
