"""Long-running commands: serve until Ctrl-C or SIGTERM, then drain; a second signal does not wait for that."""

from __future__ import annotations

import asyncio
import signal
from typing import Any, Self

from muster.broker.interface import Broker
from muster.cli.terminal import Terminal
from muster.services import Service
from muster.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Shutdown:
    """The first signal asks to stop, the second one ends the task that entered the block."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _signal(self) -> None:
        if self.asked.is_set() and self._task is not None:
            self._task.cancel()
        self.asked.set()


async def connect(settings: Settings, name: str) -> Broker:
    """A connection to the broker of the settings. Raises BrokerError."""
    from muster.broker.connect import connect as connect_to  # here, so that --help does not load it

    return await connect_to(settings, name=name)


async def serve_one(terminal: Terminal, name: str, service: Service, /, **options: Any) -> None:
    """Run one service on a connection of its own until it is asked to stop; ``options`` may hold a ``name`` too."""
    settings = terminal.settings
    broker = await connect(settings, f"muster-{name}")
    try:
        with Shutdown() as shutdown:
            await service(broker, settings, stop=shutdown.asked, ready=terminal.say, **options)
    finally:
        await broker.close()
