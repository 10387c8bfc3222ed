"""A scheduler's surroundings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.scheduler.site import Site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A store; whoever is started is stopped in the end, agents first."""
    site = Site(tmp_path)
    async with site.started:
        yield site
