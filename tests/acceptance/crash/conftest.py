"""A broker and a Muster of its own for each test of crashes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.fixtures.broker import Broker
from tests.fixtures.processes import Installation


@pytest_asyncio.fixture
async def site(broker: Broker, tmp_path: Path) -> AsyncIterator[Installation]:
    """Nothing runs on it yet."""
    async with Installation(tmp_path / "site", broker.url) as found:
        yield found
