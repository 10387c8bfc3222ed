"""A NATS server of a test's own."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from muster.broker.embedded import EmbeddedBroker
from muster.settings import Settings
from muster.testing.background import Background

LIMIT_S: Final = 60.0  # real seconds to start and to stop
SYNC_INTERVAL: Final = "2m"  # the server's own default: what a test writes need not survive a power cut


class PrivateBroker:
    """Started and stopped as a context manager. ``settings`` are those of a client, scheduler or agent that uses it."""

    def __init__(self, folder: Path) -> None:
        self._embedded = EmbeddedBroker(Settings(data_dir=folder), sync_interval=SYNC_INTERVAL)
        self._folder = folder
        self._background = Background("muster-testing-broker")

    def __enter__(self) -> Self:
        try:
            self._background.begin(self._embedded.start()).result(LIMIT_S)
        except BaseException:
            self._background.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._background.begin(self._embedded.stop()).result(LIMIT_S)
        finally:
            self._background.close()

    @property
    def url(self) -> str:
        """Where it listens: ``nats://127.0.0.1:PORT``."""
        return self._embedded.url

    @property
    def settings(self) -> Settings:
        """Settings with its address, and a data directory that goes with the test."""
        return msgspec.structs.replace(Settings(data_dir=self._folder), url=self.url)
