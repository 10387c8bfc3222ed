"""Commands that nobody should send and somebody will: each is refused or changes nothing, and the leader leads on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest

from muster.broker.interface import Fence, Outcome
from muster.identity import uuid7
from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import Cancel, Clear, Command, Submit
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER
from tests.fixtures.play import diamond, workflow
from tests.unit.scheduler.site import QUICK, Site, once, within

PAYLOAD_MAX = (8 << 20) - 1024  # what is left for an event of the 8 MB of one message


async def ran(site: Site, execution: str | None = None) -> str:
    """A diamond was submitted and has succeeded."""
    execution = await site.submit(diamond(), execution)
    await site.until("execution.succeeded", execution)
    return execution


async def cleared(site: Site) -> str:
    """A diamond has succeeded and was cleared."""
    execution = await ran(site)
    await site.send("clear", Clear(id=uuid7(), execution=execution))
    await site.until("execution.cleared", execution)
    return execution


async def test_clear_of_a_wildcard_erases_nothing(site: Site) -> None:
    """An id that is none is refused, also where it would match the subjects of other executions."""
    await site.scheduler("a")
    await site.agent()
    async with within(10):
        other = await ran(site)
        await cleared(site)
        before = [r.event.id for r in await site.history(other)]
        await site.send("clear", Clear(id=uuid7(), execution="*"))
        refused = await site.until("command.refused", "-")
        await ran(site)
    assert refused.event.data.error.code == "name_invalid"
    assert [r.event.id for r in await site.history(other)] == before
    assert await site.elections() == 1


def submit(**fields: object) -> Submit:
    """A submit with too much in it."""
    return msgspec.convert(
        {"id": uuid7(), "execution": uuid7(), "workflow": workflow({"id": "a"}), **fields}, Submit
    )


TOO_LARGE: dict[str, Callable[[], Command]] = {
    "metadata": lambda: submit(metadata={"x": "y" * (PAYLOAD_MAX - 600)}),
    "labels": lambda: submit(labels={"x": "y" * (PAYLOAD_MAX - 600)}),
    "the name of an input": lambda: submit(inputs={"n" * (5 << 20): 1}),
    "a command's id": lambda: Cancel(id="i" * (3 << 20), execution="nobody"),
}


@pytest.mark.parametrize("what", TOO_LARGE)
async def test_a_command_whose_event_would_be_too_large(site: Site, what: str) -> None:
    """A command that the broker takes and whose event it would not is refused, and so shortly that this is recorded."""
    command = TOO_LARGE[what]()
    verb = type(command).__name__.lower()
    site.store.max_payload = PAYLOAD_MAX
    await site.scheduler("a")
    await site.agent()
    async with within(20):
        await site.send(verb, command)
        refused = await site.until("command.refused")
        await ran(site)
    assert refused.event.data.verb == verb
    assert refused.event.data.error.code == ("invalid_argument" if "input" in what else "command_invalid")
    assert len(refused.event.line or b"") < 128 << 10
    assert await site.elections() == 1


async def test_a_deeply_nested_command(site: Site) -> None:
    """What cannot be read is dropped, however it fails to be read."""
    deep = b'{"id":"1","execution":"x","workflow":{},"metadata":{"x":' + b"[" * 2000 + b"]" * 2000 + b"}}"
    await site.scheduler("a")
    await site.agent()
    async with within(10):
        site.deliver("submit", deep)
        await ran(site)
    assert deep not in [item.payload for item in site.store.queues.items[SCHEDULER]]
    assert await site.history("x") == []
    assert await site.elections() == 1


async def test_a_refused_command_delivered_again(site: Site) -> None:
    """It is refused again under an id of its own: a repeated one the broker swallows, and the leader waits."""
    cancel = Cancel(id=uuid7(), execution="nobody")
    await site.scheduler("a")
    await site.agent()
    async with within(10):
        for count in (1, 2):
            site.deliver("cancel", cancel)
            await site.until("command.refused", "nobody", count)
        site.deliver("cancel", cancel, cancel)
        await site.until("command.refused", "nobody", 4)
        once(await site.history(await ran(site)))
    ids = {r.event.id for r in await site.history("nobody")}
    assert len(ids) == 4
    assert await site.elections() == 1


async def test_the_same_id_after_clear(site: Site) -> None:
    """The id of a cleared execution stays taken: nothing runs under it again, with whatever content."""
    await site.scheduler("a")
    await site.agent()
    async with within(10):
        execution = await cleared(site)
        for count, definition in enumerate([diamond(), workflow({"id": "other"})], 1):
            await site.submit(definition, execution)
            refused = await site.until("command.refused", execution, count)
            assert refused.event.data.error.code == "execution_conflict"
        await ran(site)
    kinds = {r.event.kind for r in await site.history(execution)}
    assert kinds == {"execution.cleared", "command.refused"}
    assert await site.elections() == 1


async def test_the_same_id_after_clear_and_beyond_the_memory(site: Site) -> None:
    """That an id was cleared is looked up in the log where memory has let it go."""
    await site.scheduler("a", policy=msgspec.structs.replace(QUICK["policy"], ended_kept=1))
    await site.agent()
    async with within(10):
        execution = await cleared(site)
        for _ in range(2):
            await ran(site)
        await site.submit(diamond(), execution)
        refused = await site.until("command.refused", execution)
    assert refused.event.data.error.code == "execution_conflict"


async def test_clear_twice_at_once(site: Site) -> None:
    """Two clears of one round are one clear."""
    await site.scheduler("a")
    await site.agent()
    async with within(10):
        execution = await ran(site)
        site.deliver("clear", *(Clear(id=uuid7(), execution=execution) for _ in range(2)))
        await site.until("execution.cleared", execution)
        for _ in range(2):
            once(await site.history(await ran(site)))
    assert [r.event.kind for r in await site.history(execution)] == ["execution.cleared"]
    assert await site.elections() == 1


async def test_an_id_with_an_underscore_beyond_the_memory(site: Site) -> None:
    """Every legal id is looked up in the log where memory has let it go: a repeated submit of it changes nothing."""
    await site.scheduler("a", policy=msgspec.structs.replace(QUICK["policy"], ended_kept=1))
    await site.agent()
    async with within(10):
        execution = await ran(site, "my_run")
        for _ in range(2):
            await ran(site)
        site.store.forget_ids()
        await site.submit(diamond(), execution)
        await ran(site)
    history = await site.history(execution)
    once(history)
    assert [r.event.kind for r in history].count("execution.queued") == 1


async def test_a_submit_repeated_while_its_execution_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that was looked up before its execution ended and is admitted after is recognised all the same."""
    leader = await site.scheduler("a", commands_waiting=1, rounds_in_flight=1)
    machine = site.puppet()
    append = leader.log.append
    asked, held = asyncio.Event(), asyncio.Event()
    held.set()

    async def appended(events: Sequence[Event], fence: Fence | None = None) -> list[Outcome]:
        if any(event.execution == "y3" for event in events):
            asked.set()
        await held.wait()
        return await append(events, fence)

    async with within(10):
        repeated = submit(execution="x")
        site.deliver("submit", repeated)
        await site.until("step.scheduled", "x")
        monkeypatch.setattr(leader.log, "append", appended)
        held.clear()
        # Of these rounds the third waits for room. Behind it one repetition fills the queue and one waits for it.
        site.deliver("submit", *(submit(execution=f"y{n}") for n in (1, 2, 3)), repeated, repeated)
        await asked.wait()
        for body in (c.AttemptAccepted(), c.AttemptStarted(), c.AttemptFinished()):
            machine.say(body, AttemptRef("x", "a", 1))
        await site.until("attempt.finished", "x")
        site.store.forget_ids()
        held.set()
        await site.until("execution.succeeded", "x")
        await site.until("step.scheduled", await site.submit(workflow({"id": "a"})))
    history = await site.history("x")
    once(history)
    assert [r.event.kind for r in history].count("execution.queued") == 1
    assert await site.elections() == 1
