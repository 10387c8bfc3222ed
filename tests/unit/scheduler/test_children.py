"""A child that is archived or cleared while its parent goes on is not begun again, whoever leads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from muster.client.recording import record
from muster.identity import uuid7
from muster.model.log.commands import Archive, Cancel, Clear, Rerun, Resume
from muster.model.log.envelope import Recorded
from muster.model.proof.redaction import redact
from muster.model.proof.replay import replay
from tests.fixtures.moving import everything
from tests.unit.scheduler.beside import beside
from tests.unit.scheduler.site import Site, within

ASKED: dict[str, Any] = {"archive_every_s": 0.0}
PART: dict[str, Any] = {
    "name": "part",
    "steps": [{"id": "work", "image": "a"}],
    "outputs": {"found": "${{ steps.work.status }}"},
}
PARENT: dict[str, Any] = {
    "name": "whole",
    "workflows": {"part": PART},
    "steps": [
        {"id": "one", "workflow": "part"},
        {"id": "ask", "needs": ["one"], "wait_for_input": {"prompt": "Go on?"}},
        {"id": "last", "needs": ["ask"], "set": {"seen": "${{ steps.one.outputs.found }}"}},
    ],
    "outputs": {"seen": "${{ steps.last.outputs.seen }}"},
}


async def waits(site: Site) -> tuple[str, str]:
    """A parent that waits for input, and its child, which has ended."""
    parent = await site.submit(PARENT)
    begun = await site.until("step.started", parent)
    await site.until("step.waiting", parent)
    return parent, begun.event.data.child


async def archive(site: Site, child: str) -> None:
    """Move the child out of the log."""
    await site.send("archive", Archive(id=uuid7(), older_than_s=0.0))
    while await site.history(child):
        await asyncio.sleep(0.005)


async def clear(site: Site, child: str) -> None:
    """Erase the child."""
    await site.send("clear", Clear(id=uuid7(), execution=child))
    while [each.event.kind for each in await site.history(child)] != ["execution.cleared"]:
        await asyncio.sleep(0.005)


REMOVALS = pytest.mark.parametrize("remove", [archive, clear])


@pytest.fixture
async def led(site: Site) -> Site:
    """A scheduler, which archives when it is asked, and an agent."""
    await site.scheduler("a", **ASKED)
    await site.agent()
    return site


async def without(site: Site, remove: Any, child: str) -> list[Recorded]:
    """Remove the child; then another scheduler folds the log anew and leads. What is left of the child."""
    await remove(site, child)
    left = await site.history(child)
    await site.started.aclose()
    site._services.clear()
    await site.scheduler("b", **ASKED)
    await site.agent()
    return left


@REMOVALS
async def test_a_child_that_is_gone_is_not_begun_again(led: Site, remove: Any) -> None:
    """Another leader answers the parent's wait from the parent's own events; nothing of the child comes back."""
    async with within(20):
        parent, child = await waits(led)
        left = await without(led, remove, child)
        await led.send("resume", Resume(id=uuid7(), execution=parent, input=True))
        ended = await led.until("execution.succeeded", parent)
    assert ended.event.data.outputs == {"seen": "succeeded"}
    assert await led.history(child) == left


@REMOVALS
async def test_a_parent_is_cancelled_whose_child_is_gone(led: Site, remove: Any) -> None:
    """It ends as cancelled, and nothing is asked of the child."""
    async with within(20):
        parent, child = await waits(led)
        left = await without(led, remove, child)
        await led.send("cancel", Cancel(id=uuid7(), execution=parent))
        await led.until("execution.cancelled", parent)
    assert await led.history(child) == left


@REMOVALS
async def test_a_parent_is_run_again_whose_child_is_gone(led: Site, remove: Any) -> None:
    """What the child gave is taken over from the parent's own events; as a whole, a child of its own is run."""
    async with within(20):
        parent, child = await waits(led)
        await led.send("cancel", Cancel(id=uuid7(), execution=parent))
        await led.until("execution.cancelled", parent)
        left = await without(led, remove, child)
        again = uuid7()
        await led.send("rerun", Rerun(id=uuid7(), execution=again, of=parent, from_step="ask"))
        await led.until("step.waiting", again)
        await led.send("resume", Resume(id=uuid7(), execution=again, input=True))
        ended = await led.until("execution.succeeded", again)
        whole = uuid7()
        await led.send("rerun", Rerun(id=uuid7(), execution=whole, of=parent))
        begun = await led.until("step.started", whole)
        await led.until("execution.succeeded", begun.event.data.child)
    assert ended.event.data.outputs == {"seen": "succeeded"}
    assert begun.event.data.child.startswith(whole)
    assert await led.history(child) == left


@REMOVALS
async def test_a_parent_whose_child_is_gone_is_decided_again(led: Site, remove: Any) -> None:
    """Its recording replays, redacted too; a shadow that begins afterwards has nothing to say."""
    async with within(20):
        parent, child = await waits(led)
        await remove(led, child)
        async with beside(led) as shadow:
            await led.send("resume", Resume(id=uuid7(), execution=parent, input=True))
            await led.until("execution.succeeded", parent)
            await shadow.reads(led)
            standing = await shadow.end()
        assert standing.disagreements == 0, shadow.said
        recording = await record(led.client.history, parent)
        whole = await everything(led.client.history)
    redacted = redact(recording, b"a key of the test")
    assert replay(recording).differences == []
    assert replay(whole).differences == []
    assert redacted.remarks == []
    assert replay(redacted.records).differences == []


async def test_a_child_that_is_cleared_after_its_parent_ended(led: Site) -> None:
    """The recording of the parent ends with the mark of the child, and replays."""
    async with within(20):
        parent, child = await waits(led)
        await led.send("resume", Resume(id=uuid7(), execution=parent, input=True))
        await led.until("execution.succeeded", parent)
        await clear(led, child)
        recording = await record(led.client.history, parent)
    assert recording[-1].event.kind == "execution.cleared"
    assert replay(recording).differences == []
