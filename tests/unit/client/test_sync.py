from __future__ import annotations

import concurrent.futures
import socket
import threading
from collections.abc import Iterator

import pytest

from muster.broker.memory import MemoryBroker
from muster.client import Client, SyncClient
from muster.model.errors import BrokerError, ExecutionNotFoundError
from tests.unit.client.story import Story


@pytest.fixture
def broker() -> MemoryBroker:
    """The in-memory broker, used from the client's own loop."""
    return MemoryBroker()


@pytest.fixture
def client(broker: MemoryBroker) -> Iterator[SyncClient]:
    """A connected client."""
    made = SyncClient()
    made._client = Client(broker=broker)
    with made:
        yield made


def test_questions_are_answered_without_a_loop(client: SyncClient, broker: MemoryBroker):
    """A program without a loop gets the same answers and the same errors."""
    client._call(broker.log.append(Story().whole()))
    assert client.state("e1").status == "succeeded"
    assert client.progress("e1") == (2, 2)
    assert client.outputs("e1") == {"text": "hi"}
    assert list(client.steps("e1")) == ["greet", "count"]
    assert client.step("e1", "greet").machine == "m1"
    assert len(client.transitions("e1")) == 5
    assert client.workflow("e1").name == "hello"
    assert client.cancel("e1") == "succeeded"
    result = client.wait("e1")
    assert result is not None
    assert result.succeeded
    with pytest.raises(ExecutionNotFoundError):
        client.state("nobody")


def test_events_and_logs_are_iterators(client: SyncClient, broker: MemoryBroker):
    """Events come one by one; leaving the loop early closes the reading."""
    client._call(broker.log.append(Story().whole()))
    events = list(client.events("e1"))
    assert [item.sequence for item in events] == list(range(1, len(events) + 1))
    for item in client.events("e1", follow=True):
        if item.sequence == 3:
            break
    assert list(client.logs("e1")) == []


def test_several_threads_may_share_a_client(client: SyncClient, broker: MemoryBroker):
    """Calls of different threads are answered independently."""
    client._call(broker.log.append(Story().whole()))
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(client.state("e1").status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["succeeded"] * 8


def test_a_closed_client_says_so_and_leaves_no_thread(broker: MemoryBroker):
    """After close a call raises, closing again is harmless, and the thread is gone."""
    before = threading.active_count()
    made = SyncClient()
    made._client = Client(broker=broker)
    with made:
        pass
    made.close()
    with pytest.raises(BrokerError, match="not connected"):
        made.state("e1")
    assert threading.active_count() == before


def test_a_connection_that_fails_leaves_no_thread():
    """Where no broker answers the error is raised and the thread is gone."""
    before = threading.active_count()
    broker = MemoryBroker()
    broker.disconnect()
    made = SyncClient()
    made._client = Client(broker=broker)
    with pytest.raises(BrokerError):
        made.connect()
    assert threading.active_count() == before


def test_ctrl_c_while_it_connects_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch):
    """The connection that was half made is closed, and the thread is gone, before the interrupt goes on."""
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = SyncClient(f"nats://127.0.0.1:{silent.getsockname()[1]}")
        taken: list[socket.socket] = []

        def interrupted(*_: object) -> None:
            taken.append(silent.accept()[0])
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(concurrent.futures.Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.connect()
        with taken[0] as there:
            there.settimeout(10)
            assert there.recv(1) == b""
    assert threading.active_count() == before
