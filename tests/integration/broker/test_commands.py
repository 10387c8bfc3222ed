"""Commands: a work queue for each target."""

import asyncio
import contextlib

import pytest

from muster.broker.codec import decode_command
from muster.broker.interface import Broker, Delivery
from muster.model.log.commands import Cancel
from tests.fixtures.site import Site


def cancel(id_: str) -> Cancel:
    return Cancel(id=id_, execution="x1", reason="because")


async def send(broker: Broker, target: str, *ids: str) -> None:
    for id_ in ids:
        await broker.commands.send(target, "cancel", cancel(id_))


def id_of(delivery: Delivery) -> str:
    return decode_command(delivery.verb, delivery.payload).id


async def receive(broker: Broker, target: str, count: int, *, done: bool = True) -> list[Delivery]:
    """The next ``count`` commands to ``target``."""
    found: list[Delivery] = []
    async with contextlib.aclosing(broker.commands.receive(target)) as receiving, asyncio.timeout(30):
        while len(found) < count:
            found += await anext(receiving)
        if done:
            for delivery in found:
                await delivery.done()
    return found


async def test_commands_come_in_order_and_whole(site: Site):
    """What is sent to a target comes there in order, with its verb and its fields."""
    broker, agent = await site.connect("scheduler"), await site.connect("agent")
    await broker.commands.open("gpu-1")
    await send(broker, "gpu-1", "c1", "c2", "c3")
    found = await receive(agent, "gpu-1", 3)
    assert [decode_command(d.verb, d.payload) for d in found] == [cancel("c1"), cancel("c2"), cancel("c3")]
    assert not any(delivery.redelivered for delivery in found)


async def test_targets_do_not_see_each_other(site: Site):
    """Two targets each get their own commands, also where one name begins like the other."""
    broker = await site.connect()
    for target in ("gpu-1", "gpu-10"):
        await broker.commands.open(target)
    await send(broker, "gpu-10", "ten")
    await send(broker, "gpu-1", "one")
    assert [id_of(d) for d in await receive(broker, "gpu-1", 1)] == ["one"]
    assert [id_of(d) for d in await receive(broker, "gpu-10", 1)] == ["ten"]


async def test_a_command_reaches_one_that_waits(site: Site):
    """A receiver that was there first gets a command when it is sent."""
    broker, agent = await site.connect("scheduler"), await site.connect("agent")
    await broker.commands.open("gpu-1")
    waiting = asyncio.ensure_future(receive(agent, "gpu-1", 1))
    await asyncio.sleep(0.05)
    await send(broker, "gpu-1", "c1")
    assert [id_of(d) for d in await waiting] == ["c1"]


async def test_receiving_waits_for_its_queue(site: Site):
    """An agent that is there before its queue waits, and gets what was sent before the queue was made."""
    broker, agent = await site.connect("scheduler"), await site.connect("agent")
    waiting = asyncio.ensure_future(receive(agent, "gpu-1", 1))
    await send(broker, "gpu-1", "early")
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await broker.commands.open("gpu-1")
    assert [id_of(d) for d in await waiting] == ["early"]


async def test_what_is_done_is_gone(site: Site):
    """An acknowledged command is never seen again, and opening the queue again changes nothing."""
    broker = await site.connect()
    await broker.commands.open("gpu-1")
    await send(broker, "gpu-1", "c1")
    await receive(broker, "gpu-1", 1)
    await broker.commands.open("gpu-1")
    await send(broker, "gpu-1", "c2")
    assert [id_of(d) for d in await receive(broker, "gpu-1", 1)] == ["c2"]


async def test_what_is_given_back_comes_again(site: Site):
    """A command that was given back comes again, after its delay, and says that it does."""
    broker = await site.connect()
    await broker.commands.open("gpu-1")
    await send(broker, "gpu-1", "c1")
    [delivery] = await receive(broker, "gpu-1", 1, done=False)
    loop = asyncio.get_running_loop()
    given_back = loop.time()
    await delivery.again(0.3)
    [again] = await receive(broker, "gpu-1", 1)
    assert id_of(again) == "c1"
    assert again.redelivered
    assert loop.time() - given_back > 0.25


async def test_what_is_not_acknowledged_comes_again(site: Site):
    """A command whose receiver died comes again when the wait for its acknowledgement has passed."""
    broker = await site.connect()
    broker.commands.ack_wait_s = 0.5  # type: ignore[attr-defined] # both kinds have it
    await broker.commands.open("gpu-1")
    await send(broker, "gpu-1", "c1")
    await receive(broker, "gpu-1", 1, done=False)
    [again] = await receive(broker, "gpu-1", 1)
    assert id_of(again) == "c1"
    assert again.redelivered


async def test_a_queue_made_anew_has_what_nobody_acknowledged(site: Site):
    """A successor that makes the queue anew gets at once what died in the hands of the one before, and nothing else."""
    broker = await site.connect()
    await broker.commands.open("gpu-1")
    await send(broker, "gpu-1", "done")
    await receive(broker, "gpu-1", 1)
    await send(broker, "gpu-1", "c1", "c2")
    await receive(broker, "gpu-1", 2, done=False)
    await send(broker, "gpu-1", "c3")
    await broker.commands.reopen("gpu-1")
    assert [id_of(d) for d in await receive(broker, "gpu-1", 3)] == ["c1", "c2", "c3"]


async def test_a_receiver_goes_on_where_its_queue_is_made_anew(site: Site):
    """Who waits for commands while the queue is made anew gets those that come after."""
    broker, agent = await site.connect("scheduler"), await site.connect("agent")
    await broker.commands.reopen("gpu-1")
    waiting = asyncio.ensure_future(receive(agent, "gpu-1", 1))
    await asyncio.sleep(0.05)
    await broker.commands.reopen("gpu-1")
    await send(broker, "gpu-1", "c1")
    assert [id_of(d) for d in await waiting] == ["c1"]


async def test_a_repeated_id_is_dropped(site: Site):
    """A command that is sent again with the id it had is stored once."""
    broker = await site.connect()
    await broker.commands.open("gpu-1")
    await send(broker, "gpu-1", "c1", "c1", "c2")
    assert [id_of(d) for d in await receive(broker, "gpu-1", 2)] == ["c1", "c2"]


async def test_closing_a_queue_removes_what_is_left(site: Site):
    """A queue that was closed has forgotten its commands, closing it twice is harmless, and others are untouched."""
    broker = await site.connect()
    for target in ("gpu-1", "gpu-2"):
        await broker.commands.open(target)
        await send(broker, target, f"old-{target}")
    await broker.commands.close("gpu-1")
    await broker.commands.close("gpu-1")
    await broker.commands.open("gpu-1")
    await send(broker, "gpu-1", "new")
    assert [id_of(d) for d in await receive(broker, "gpu-1", 1)] == ["new"]
    assert [id_of(d) for d in await receive(broker, "gpu-2", 1)] == ["old-gpu-2"]


async def test_many_commands(site: Site):
    """More commands than one request asks for all come, each once."""
    broker = await site.connect()
    broker.commands.ack_wait_s = 60.0  # type: ignore[attr-defined] # both kinds have it; all are acknowledged in the end
    await broker.commands.open("gpu-1")
    sent = [f"c{number}" for number in range(300)]
    await asyncio.gather(*(send(broker, "gpu-1", id_) for id_ in sent))
    assert {id_of(d) for d in await receive(broker, "gpu-1", 300)} == set(sent)


async def test_receiving_outlives_the_connection(site: Site):
    """A receiver whose connection breaks gets what was sent meanwhile, when it is back."""
    broker = await site.connect("scheduler")
    agent, network = await site.weak()
    await broker.commands.open("gpu-1")
    async with contextlib.aclosing(agent.commands.receive("gpu-1")) as receiving, asyncio.timeout(20):
        await send(broker, "gpu-1", "c1")
        [first] = await anext(receiving)
        await first.done()
        await network.cut()
        await send(broker, "gpu-1", "c2")
        await network.restore()
        [second] = await anext(receiving)
        await second.done()
    assert id_of(second) == "c2"


@pytest.mark.parametrize("target", ["gpu-1", "scheduler"])
async def test_a_command_for_nobody_yet_is_kept(site: Site, target: str):
    """A command is stored though nobody has opened the queue."""
    broker = await site.connect()
    await send(broker, target, "c1")
    await broker.commands.open(target)
    assert [id_of(d) for d in await receive(broker, target, 1)] == ["c1"]
