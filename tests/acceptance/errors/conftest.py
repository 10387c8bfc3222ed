"""One stack for each module whose scheduler gives up on absent machines soon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.docker.conftest import witness
from tests.acceptance.docker.stack import Stack
from tests.fixtures.broker import Broker

__all__ = ["stack", "witness"]

PLACEMENT_TIMEOUT_S = 3.0


@pytest.fixture(scope="module")
def stack(module_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Scheduler and projections as processes; the tests start the machines they need."""
    policy = {"placement_timeout_s": PLACEMENT_TIMEOUT_S}
    with Stack(tmp_path_factory.mktemp("stack"), module_broker, {"policy": policy}) as started:
        yield started
