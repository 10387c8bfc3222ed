"""The contents of files: the same answers from memory and from the broker's object store."""

import asyncio
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import nats
import pytest

from muster.artifacts.content import FileContent
from muster.artifacts.store import PIECE_BYTES
from muster.broker.interface import Broker
from muster.broker.nats.artifacts import BUCKET, STREAM
from muster.model.errors import ArtifactDamagedError, ArtifactMissingError, BrokerError, InvalidArgumentError
from tests.fixtures.broker import Broker as Server
from tests.fixtures.site import NatsSite, Site

SIZES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 17]


class Held:
    """A content in memory that can be made to fail or to change at a piece."""

    def __init__(self, data: bytes, *, breaks: int | None = None, name: str = "") -> None:
        self.data = data
        self.digest = sha256(data).hexdigest()
        self.size = len(data)
        self.name = name or self.digest
        self.breaks = breaks
        self.asked: list[int] = []

    async def piece(self, at: int) -> bytes:
        self.asked.append(at)
        if self.breaks == at // PIECE_BYTES:
            raise ConnectionResetError("killed here")
        return self.data[at : at + PIECE_BYTES]


def data_of(size: int) -> bytes:
    return os.urandom(min(size, 1 << 16)).ljust(size, b"x")


async def got(broker: Broker, execution: str, digest: str) -> bytes:
    pieces = [piece async for piece in broker.artifacts.read(execution, digest)]
    assert all(len(piece) <= PIECE_BYTES for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("size", SIZES)
async def test_a_content_comes_back_as_it_was(site: Site, size: int):
    """What was put is read again, in pieces, by any connection; how far the put is was told on the way."""
    broker, content, told = await site.connect(), Held(data_of(size)), list[int]()
    assert await broker.artifacts.put("x1", content, told.append)
    assert told == [min(at, size) for at in range(PIECE_BYTES, size + PIECE_BYTES, PIECE_BYTES)]
    other = await site.connect()
    assert await other.artifacts.size("x1", content.digest) == size
    assert await got(other, "x1", content.digest) == content.data


async def test_what_is_there_is_not_sent_again(site: Site):
    """A second put of the same content reads none of it; that of another execution is its own."""
    broker, data = await site.connect(), data_of(2 * PIECE_BYTES)
    assert await broker.artifacts.put("x1", Held(data))
    again = Held(data)
    assert not await broker.artifacts.put("x1", again)
    assert again.asked == []
    assert await broker.artifacts.size("x2", again.digest) is None
    assert await broker.artifacts.put("x2", Held(data))


async def test_nothing_is_there_before_it_is_whole(site: Site):
    """A put that broke off leaves nothing that can be read; the next one goes on and makes it whole."""
    broker, data = await site.connect(), data_of(4 * PIECE_BYTES)
    for breaks in (1, 3):
        content = Held(data, breaks=breaks)
        with pytest.raises(ConnectionResetError):
            await broker.artifacts.put("x1", content)
        assert await broker.artifacts.size("x1", content.digest) is None
        with pytest.raises(ArtifactMissingError, match="is not in the broker"):
            await got(broker, "x1", content.digest)
    assert await broker.artifacts.put("x1", Held(data))
    assert await got(broker, "x1", sha256(data).hexdigest()) == data


async def test_many_put_the_same(site: Site):
    """Of those that put one content at once, one made it, and it is whole."""
    data = data_of(5 * PIECE_BYTES + 1)
    brokers = [await site.connect() for _ in range(4)]
    put = await asyncio.gather(*(each.artifacts.put("x1", Held(data)) for each in brokers))
    assert put.count(True) == 1
    assert await got(brokers[0], "x1", sha256(data).hexdigest()) == data


async def test_a_content_that_changes_is_refused(site: Site):
    """A file that is written to while it is sent does not become one with a wrong hash; sent again it does well."""
    broker, data = await site.connect(), data_of(2 * PIECE_BYTES)
    changed = Held(data, name=f"{sha256(data).hexdigest()}.one")
    changed.data = data[:-1] + b"!"
    with pytest.raises(InvalidArgumentError, match="changed while"):
        await broker.artifacts.put("x1", changed)
    assert await broker.artifacts.size("x1", changed.digest) is None
    assert await broker.artifacts.put("x1", Held(data, name=f"{changed.digest}.two"))
    assert await got(broker, "x1", changed.digest) == data


async def test_erasing(site: Site):
    """All that an execution put goes, also what is empty or was half put; another's stays; repeating is harmless."""
    broker = await site.connect()
    kept = Held(data_of(10))
    gone = [Held(b""), Held(data_of(100)), Held(data_of(2 * PIECE_BYTES))]
    await broker.artifacts.put("x2", kept)
    for content in gone:
        await broker.artifacts.put("x1", content)
    with pytest.raises(ConnectionResetError):
        await broker.artifacts.put("x1", Held(data_of(2 * PIECE_BYTES), breaks=1))
    for _ in range(2):
        await broker.artifacts.erase("x1")
        assert [await broker.artifacts.size("x1", content.digest) for content in gone] == [None] * 3
    assert await got(broker, "x2", kept.digest) == kept.data
    assert await broker.artifacts.put("x1", gone[2])


async def test_the_store_is_away(site: Site):
    """Where the broker cannot be reached, putting and reading say so; nothing is taken for missing."""
    broker, weak = await site.weak()
    content = Held(data_of(10))
    await broker.artifacts.put("x1", content)
    await weak.cut()
    for ask in (broker.artifacts.put("x1", Held(b"2")), got(broker, "x1", content.digest)):
        with pytest.raises(BrokerError):
            await ask
    await weak.restore()
    while not broker.connected:
        await asyncio.sleep(0.01)
    assert await got(broker, "x1", content.digest) == content.data


async def test_a_file_as_content(site: Site, tmp_path: Path):
    """A file is measured once and sent piece by piece."""
    broker, path = await site.connect(), tmp_path / "a.bin"
    path.write_bytes(data := data_of(2 * PIECE_BYTES + 5))
    content = await FileContent.measure(path, 1 << 30)
    assert (content.digest, content.size) == (sha256(data).hexdigest(), len(data))
    assert await broker.artifacts.put("x1", content)
    assert await got(broker, "x1", content.digest) == data


# ---- the broker's own


@pytest.fixture
async def nats_site(module_broker: Server) -> "Iterator[NatsSite]":
    site = NatsSite(module_broker.port, 1)
    await site.empty()
    async with site.resources:
        yield site


@pytest.mark.broker
async def test_any_nats_client_reads_it(nats_site: NatsSite, module_broker: Server):
    """nats-py lists and gets what was put, under execution and hash."""
    broker, content = await nats_site.connect(), Held(data_of(2 * PIECE_BYTES + 3))
    await broker.artifacts.put("x1", content)
    client = await nats.connect(module_broker.url)
    try:
        bucket = await client.jetstream().object_store(BUCKET)
        [info] = await bucket.list()
        assert info.name == f"x1/{content.digest}"
        assert (await bucket.get(info.name)).data == content.data
    finally:
        await client.close()


@pytest.mark.broker
async def test_a_damaged_content_is_noticed(nats_site: NatsSite, module_broker: Server):
    """Where a chunk is another than was put, or is gone, reading ends with an error and not with wrong bytes."""
    broker = await nats_site.connect()
    client = await nats.connect(module_broker.url)
    try:
        js = client.jetstream()
        for execution, mend in (("x1", b"?"), ("x2", None)):
            content = Held(data_of(3 * PIECE_BYTES))
            await broker.artifacts.put(execution, content)
            last = (await js.stream_info(STREAM)).state.last_seq - 1  # the newest tells of the object
            subject = (await js.get_msg(STREAM, last)).subject or ""
            assert ".C." in subject
            await js.delete_msg(STREAM, last)
            if mend is not None:
                await js.publish(subject, mend)
            with pytest.raises(ArtifactDamagedError):
                await got(broker, execution, content.digest)
    finally:
        await client.close()


@pytest.mark.broker
async def test_nothing_is_left_of_what_was_erased(nats_site: NatsSite, module_broker: Server):
    """After erasing, the bucket holds no message: neither chunks nor names."""
    broker = await nats_site.connect()
    for size in SIZES:
        await broker.artifacts.put("x1", Held(data_of(size)))
    await broker.artifacts.erase("x1")
    client = await nats.connect(module_broker.url)
    try:
        assert (await client.jetstream().stream_info(STREAM)).state.messages == 0
    finally:
        await client.close()


@pytest.mark.broker
async def test_no_bucket_is_said(nats_site: NatsSite, module_broker: Server):
    """On a broker that no scheduler of this release prepared, the error says what to start."""
    broker = await nats_site.connect()
    client = await nats.connect(module_broker.url)
    try:
        await client.jetstream().delete_stream(STREAM)
    finally:
        await client.close()
    with pytest.raises(BrokerError, match="no bucket muster_artifacts") as raised:
        await broker.artifacts.put("x1", Held(b"1"))
    assert "scheduler" in raised.value.advice
