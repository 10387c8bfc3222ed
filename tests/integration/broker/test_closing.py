"""Whenever a connection is given up, nothing of it is left to the garbage collector: no socket, and no task."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from nats.aio.transport import TcpTransport

from muster.broker.nats import NatsBroker
from muster.broker.nats.connection import Connection
from muster.settings import Settings
from tests.fixtures.broker import Broker as Server
from tests.fixtures.sockets import sockets

pytestmark = pytest.mark.blocking("the test itself looks into /proc")


async def turns(number: int) -> None:
    """Of the loop."""
    for _ in range(number):
        await asyncio.sleep(0)


def steps() -> Iterator[int]:
    """Each of the first ones, then further and further apart: most turns are waiting for the server."""
    number = 0
    while True:
        yield number
        number = max(number + 1, int(number * 1.1))


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Of what the block makes."""
    there, others = sockets(), asyncio.all_tasks()
    yield
    await turns(3)
    assert sockets() <= there
    assert asyncio.all_tasks() <= others


async def test_a_connection_that_is_cancelled_while_it_is_made(module_broker: Server):
    """Whichever step the cancellation meets."""
    settings = Settings(url=module_broker.url)
    for number in steps():
        async with nothing_left():
            connecting = asyncio.create_task(NatsBroker.connect(settings, name="test"))
            await turns(number)
            if connecting.done():
                await connecting.result().close()
                break
            connecting.cancel()
            await asyncio.wait({connecting})
            assert connecting.cancelled()
    assert number > 10


async def test_a_connection_that_is_cancelled_while_it_is_closed(module_broker: Server):
    """Whichever step the cancellation meets, the connection is closed."""
    settings = Settings(url=module_broker.url)
    for number in steps():
        async with nothing_left():
            broker = await NatsBroker.connect(settings, name="test")
            await broker.prepare()
            closing = asyncio.create_task(broker.close())
            await turns(number + 1)
            ended = closing.done()
            closing.cancel()
            await asyncio.wait({closing})
        if ended:
            break
    assert number > 3


async def test_a_cancellation_that_is_swallowed(module_broker: Server, monkeypatch: pytest.MonkeyPatch):
    """A client that is closed as its reconnect succeeds does not go on with it. (wait_for swallows it in 3.11.)"""
    dialled, real = asyncio.Event(), TcpTransport.connect

    async def connect(self: TcpTransport, *arguments: object, **options: object) -> None:
        await real(self, *arguments, **options)  # type: ignore[arg-type]
        dialled.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with nothing_left():
        connection = await Connection.connect(Settings(url=module_broker.url), name="test")
        monkeypatch.setattr(TcpTransport, "connect", connect)
        writer = connection.nc._transport._io_writer
        writer.transport.abort()
        await dialled.wait()
        await connection.close()


async def test_a_swallowed_cancellation_of_a_first_connection(
    module_broker: Server, monkeypatch: pytest.MonkeyPatch
):
    """The same where the connection was never made before, and the server goes away as well: nobody tries again."""
    dialled, real = asyncio.Event(), TcpTransport.connect

    async def connect(self: TcpTransport, *arguments: object, **options: object) -> None:
        if dialled.is_set():
            raise ConnectionRefusedError
        await real(self, *arguments, **options)  # type: ignore[arg-type]
        dialled.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        raise ConnectionResetError

    monkeypatch.setattr(TcpTransport, "connect", connect)
    settings = Settings(url=module_broker.url, connect_timeout_s=1000)
    async with asyncio.timeout(20), nothing_left():
        connecting = asyncio.create_task(Connection.connect(settings, name="test"))
        await dialled.wait()
        connecting.cancel()
        await asyncio.wait({connecting})
        assert connecting.cancelled()
