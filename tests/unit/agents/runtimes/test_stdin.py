"""The stdin of a container over an encrypted connection, which is readable also when nothing was said to us."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from muster_agents.runtimes.docker_engine import Engine
from muster_agents.runtimes.docker_stdin import Stdin
from tests.unit.agents.functions.poolside import settled


class Encrypted:
    """A connection on which records of TLS itself come, as tickets for a session do: they are read and give nothing."""

    def __init__(self, plain: socket.socket) -> None:
        self.plain = plain
        self.setblocking, self.fileno, self.send = plain.setblocking, plain.fileno, plain.send

    def recv(self, size: int) -> bytes:
        """What is beneath, unless it is a ticket."""
        found = self.plain.recv(size)
        if found == b"ticket":
            raise ssl.SSLWantReadError("the operation did not complete")
        return found

    def close(self) -> None:
        """The socket's."""
        self.plain.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Of a connection: ours and the engine's."""
    pair = socket.socketpair()
    yield pair
    for one in pair:
        one.close()


async def test_what_tls_says_for_itself_is_no_end(ends: tuple[socket.socket, socket.socket]):
    """The connection stays, and its real end is noticed."""
    ours, engine = ends
    api = SimpleNamespace(attach_socket=lambda *_, **__: Encrypted(ours))
    stdin = Stdin(cast("Engine", SimpleNamespace(api=cast("Any", api))), "c1")
    await stdin.send(b"one\n")
    engine.send(b"ticket")
    await settled()
    assert not stdin.closed
    await stdin.send(b"two\n")
    assert engine.recv(100) == b"one\ntwo\n"
    engine.close()
    await settled()
    assert stdin.closed
