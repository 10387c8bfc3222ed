"""What an agent's own credentials must allow, and that nothing more is needed: docs and nats.conf repeat this list."""

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Any

import pytest

from muster.artifacts.content import FileContent
from muster.artifacts.store import PIECE_BYTES
from muster.broker.interface import Appended, Fence, Unknown
from muster.broker.nats import NatsBroker
from muster.model.errors import BrokerError
from muster.model.log import subjects
from muster.model.log.commands import Cancel, Heartbeat, LogLine
from muster.settings import Settings
from tests.fixtures.broker import Broker as Server
from tests.fixtures.site import NOW, fact, hasty, sequences

ALLOWED = [
    "muster.events.gpu-1.>",
    "muster.heartbeats.gpu-1",
    "muster.logs.gpu-1.>",
    # its commands and their acknowledgement, in both forms of the ack subject
    "$JS.API.CONSUMER.MSG.NEXT.MUSTER_COMMANDS.gpu-1",
    "$JS.ACK.MUSTER_COMMANDS.gpu-1.>",
    "$JS.ACK.*.*.MUSTER_COMMANDS.gpu-1.>",
    # whether the stream has replicas; its own last event before it goes on
    "$JS.API.STREAM.INFO.MUSTER_EVENTS",
    "$JS.API.STREAM.MSG.GET.MUSTER_EVENTS",
    # files: their contents in and out, how much of a put is there, and the leader's word in a cluster
    "$O.muster_artifacts.>",
    "$JS.API.STREAM.INFO.OBJ_muster_artifacts",
    "$JS.API.STREAM.MSG.GET.OBJ_muster_artifacts",
    "$JS.API.DIRECT.GET.OBJ_muster_artifacts",
    "$JS.API.DIRECT.GET.OBJ_muster_artifacts.>",
]
NATS_CONF = Path(__file__).parents[3] / "nats.conf"


@pytest.fixture
def guarded(make_broker) -> Server:
    """A broker with one user who may do everything, and one agent."""
    allowed = ", ".join(f'"{subject}"' for subject in ALLOWED)
    server: Server = make_broker(
        extra=(
            'authorization { users: [ { user: "all", password: "p" }, { user: "gpu-1", password: "p", permissions: '
            f'{{ publish: {{ allow: [ {allowed} ] }}, subscribe: {{ allow: [ "_INBOX_gpu-1.>" ] }} }} }} ] }}'
        )
    )
    return server


@contextlib.asynccontextmanager
async def connected(server: Server, user: str, **settings: Any):
    url = server.url.replace("//", f"//{user}:p@")
    broker = await NatsBroker.connect(Settings(url=url, **settings), name=user)
    try:
        yield broker
    finally:
        await broker.close()


async def test_an_agent_gets_by_with_its_own_permissions(guarded: Server):
    """With the list above an agent writes fenced events, beats and lines, and receives and acknowledges commands."""
    async with (
        connected(guarded, "all") as scheduler,
        connected(guarded, "gpu-1", inbox_prefix="_INBOX_gpu-1") as agent,
        asyncio.timeout(40),
    ):
        await scheduler.prepare()
        await scheduler.commands.open("gpu-1")
        subject = subjects.connected("gpu-1")
        assert await agent.log.last(subjects.events(writer="gpu-1")) is None
        [sequence] = sequences(await agent.log.append([fact("f0", "gpu-1")], Fence(subject, 0)))
        sequences(await agent.log.append([fact(f"f{n}", "gpu-1") for n in range(1, 50)], Fence(subject, 0)))
        newest = await agent.log.last(subjects.events(writer="gpu-1"))
        assert newest is not None
        assert newest.sequence == sequence + 49
        await agent.heartbeats.beat(Heartbeat(name="gpu-1", sequence=1, session=1, interval_s=1.0, time=NOW))
        await agent.lines.write("gpu-1", "x1", "a", 1, [LogLine(time=NOW, stream="stdout", text="hello")])
        await scheduler.commands.send("gpu-1", "cancel", Cancel(id="c1", execution="x1"))
        async with contextlib.aclosing(agent.commands.receive("gpu-1")) as receiving:
            [delivery] = await anext(receiving)
            await delivery.done()
        while await scheduler.heartbeats.last("gpu-1") is None:
            await asyncio.sleep(0.01)
        while not (lines := [line.text async for _, _, line in scheduler.lines.read("x1")]):
            await asyncio.sleep(0.01)  # nobody acknowledges lines
        assert lines == ["hello"]


def test_the_shipped_file_names_the_same_subjects():
    """What nats.conf says to allow an agent is exactly what is tested here."""
    said = NATS_CONF.read_text().partition("publish: { allow: [")[2].partition("] }")[0]
    assert sorted(re.findall(r'"([^"]+)"', said)) == sorted(ALLOWED)


async def test_an_agent_keeps_and_brings_files(guarded: Server, tmp_path: Path):
    """With the same list an agent stores files, goes on with a put that broke off, and reads; it cannot erase."""
    path = tmp_path / "a"
    path.write_bytes(bytes(3 * PIECE_BYTES + 1))
    content = await FileContent.measure(path, 1 << 30)
    kept = FileContent.kept(path, content.digest, content.size)
    async with (
        connected(guarded, "all") as scheduler,
        connected(guarded, "gpu-1", inbox_prefix="_INBOX_gpu-1") as agent,
        asyncio.timeout(40),
    ):
        await scheduler.prepare()
        with pytest.raises(RuntimeError):
            await agent.artifacts.put("x1", kept, breaks_off)
        assert await agent.artifacts.put("x1", kept)
        assert await agent.artifacts.size("x1", content.digest) == content.size
        assert sum([len(piece) async for piece in agent.artifacts.read("x1", content.digest)]) == content.size
        erasing = asyncio.ensure_future(agent.artifacts.erase("x1"))
        await asyncio.wait([erasing], timeout=0.5)
        erasing.cancel()
        await asyncio.wait([erasing])
        assert await scheduler.artifacts.size("x1", content.digest) == content.size


def breaks_off(done: int) -> None:
    if done > PIECE_BYTES:
        raise RuntimeError


async def test_an_agent_cannot_speak_for_others(guarded: Server):
    """What an agent writes in another's name never arrives, and it gets nothing of another's queue."""
    async with (
        connected(guarded, "all") as scheduler,
        connected(guarded, "gpu-1", inbox_prefix="_INBOX_gpu-1") as agent,
    ):
        await scheduler.prepare()
        await scheduler.commands.open("gpu-2")
        await scheduler.commands.send("gpu-2", "cancel", Cancel(id="c1", execution="x1"))
        sequences(await agent.log.append([fact("mine", "gpu-1")]))
        with hasty(agent):  # what is not allowed has no answer
            [outcome] = await agent.log.append([fact("theirs", "gpu-2")])
            assert isinstance(outcome, Unknown)
            with pytest.raises(BrokerError):
                await agent.commands.send("gpu-2", "cancel", Cancel(id="c2", execution="x1"))
        waiting = asyncio.ensure_future(anext(agent.commands.receive("gpu-2")))
        [outcome] = await agent.log.append([fact("again", "gpu-1")])
        assert isinstance(outcome, Appended)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert (await scheduler.log.position()).last == 2
        async with contextlib.aclosing(scheduler.commands.receive("gpu-2")) as receiving:
            assert len(await anext(receiving)) == 1


async def test_a_password_in_the_url_is_not_shown(guarded: Server):
    """An error names the URL without the password that stands in it."""
    async with connected(guarded, "all") as scheduler:
        with pytest.raises(BrokerError) as caught:
            await scheduler.log.position()
    assert guarded.url.rpartition("//")[2] in str(caught.value.data) + str(caught.value)
    assert ":p@" not in str(caught.value.data) + str(caught.value)
