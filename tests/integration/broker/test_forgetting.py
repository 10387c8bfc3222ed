"""What names an execution that is erased, beside its events: the same in memory and on NATS."""

import asyncio

from muster.identity import uuid7
from muster.model.log.body import AttemptRef
from muster.model.log.commands import Cancel, Heartbeat, Stop
from muster.model.log.names import SCHEDULER
from tests.fixtures.site import NOW, Site

GONE, OTHER = AttemptRef("gone-1", "a", 1), AttemptRef("other-1", "a", 1)


async def test_commands_to_machines_are_dropped(site: Site):
    """Of the commands to machines those that name it go, whatever else they name; what is for the scheduler stays."""
    broker = await site.connect()
    for target in ("m1", "m2"):
        await broker.commands.open(target)
        for refs in ([GONE], [OTHER], [OTHER, GONE]):
            await broker.commands.send(target, "stop", Stop(id=uuid7(), attempts=refs))
    await broker.commands.open(SCHEDULER)
    await broker.commands.send(SCHEDULER, "cancel", Cancel(id=uuid7(), execution="gone-1"))
    await broker.commands.forget("gone-1")
    async with asyncio.timeout(30):
        for target in ("m1", "m2"):
            while len(batch := await anext(broker.commands.receive(target))) != 1:
                for each in batch:  # a replica may not have heard yet that it is gone
                    await each.again()
            assert [b"other-1" in each.payload and b"gone-1" not in each.payload for each in batch] == [True]
        [left] = await anext(broker.commands.receive(SCHEDULER))
    assert b"gone-1" in left.payload


async def test_beats_are_dropped(site: Site):
    """Of the beats that are kept those that name it go; the newest that does not is the last one then."""
    broker = await site.connect()
    for number, refs in enumerate(([OTHER], [OTHER, GONE], [GONE]), 1):
        beat = Heartbeat(name="m1", sequence=number, session=1, interval_s=1.0, time=NOW, running=refs)
        await broker.heartbeats.beat(beat)
    async with asyncio.timeout(30):
        while (last := await broker.heartbeats.last("m1")) is None or last.sequence < 3:
            await asyncio.sleep(0.01)
    await broker.heartbeats.forget("gone-1")
    await broker.heartbeats.forget("gone-1")
    last = await broker.heartbeats.last("m1")
    assert last is not None
    assert last.sequence == 1
