"""Serving one part until it is asked to stop."""

from __future__ import annotations

from typing import Any

import pytest

from muster.broker.memory import MemoryBroker
from muster.cli import serving
from muster.cli.terminal import Terminal


async def test_a_service_gets_its_own_name_among_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """`muster scheduler --name a` hands the name to the scheduler; it is no name of the connection."""
    heard: dict[str, Any] = {}
    connections: list[str] = []

    async def connect(settings: Any, name: str) -> MemoryBroker:
        connections.append(name)
        return MemoryBroker()

    async def service(broker: Any, settings: Any, *, stop: Any, ready: Any, **options: Any) -> None:
        heard.update(options)

    monkeypatch.setattr(serving, "connect", connect)
    await serving.serve_one(Terminal(), "scheduler", service, name="a")
    assert heard == {"name": "a"}
    assert connections == ["muster-scheduler"]
