"""What nobody foresaw in one attempt: that it fails, with what it says, and that the others go on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest

from muster.broker.memory import MemoryBroker
from muster.model.errors import ContainerStartingError
from muster.model.log.catalogue import AttemptFinished, AttemptRef
from muster_agents.functions.ledger import Ledger
from muster_agents.outbox import Outbox
from muster_agents.runtimes.interface import Exit, Found
from tests.unit.agents.fake import FakeRun, FakeRuntime, never, well
from tests.unit.agents.scene import Scene, order

REF = order().ref
BAD, BESIDE = AttemptRef("e1", "bad", 1), AttemptRef("e1", "beside", 1)
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
FILES = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/somewhere/inputs.json")
DEFECT = TypeError("a number, not a text")


# ---- one attempt


def _trouble(fake: FakeRuntime, place: str, error: Exception) -> None:
    async def raises(run: FakeRun) -> Any:
        if run.order.ref == BAD:
            raise error
        return await never(run) if run.order.ref == BESIDE else await well(run)

    async def at(run: FakeRun) -> None:
        if run.order.ref == BAD:
            raise error

    fake.script = raises if place == "run" else never
    if place == "pull":
        fake.pulling = at
    elif place == "start":
        fake.starting = at


@pytest.mark.parametrize("error", [FULL, FILES, DEFECT], ids=["disk", "files", "defect"])
@pytest.mark.parametrize("place", ["pull", "start", "run"])
async def test_it_fails_that_attempt_and_no_other(
    scene: Scene, fake: FakeRuntime, caplog, place: str, error: Exception
):
    """Wherever it happens the attempt has failed, by a name and with what to do; others run on, and more may come."""
    _trouble(fake, place, error)
    async with scene.agent() as agent:
        await scene.start(order("beside"))
        await scene.until("attempt.started")
        await scene.start(order("bad"))
        failed = await scene.until("attempt.failed")
        assert not agent.task.done()
        assert not fake.runs[BESIDE].stopped.is_set()
        fake.script = well
        await scene.start(order("later"))
        await scene.until("attempt.finished")
    assert (failed.error.code, failed.phase, failed.retriable) == ("agent_failed", place, True)
    assert (failed.error.step, failed.error.machine, failed.error.attempt) == ("bad", "m1", 1)
    assert str(getattr(error, "strerror", None) or error) in failed.error.message
    assert "machine" in failed.error.remedy
    assert fake.runs[BAD].diary[-1] == "remove"
    assert ("Traceback" in caplog.text) == (error is DEFECT)
    assert "attempt 1 of bad failed" in caplog.text


async def test_the_file_is_named(scene: Scene, fake: FakeRuntime):
    """Where the system says which file it is about, so does the error."""
    _trouble(fake, "start", FILES)
    async with scene.agent():
        await scene.start(order("bad"))
        message = (await scene.until("attempt.failed")).error.message
    assert message.endswith("Too many open files (/somewhere/inputs.json).")


@pytest.mark.parametrize("error", [FULL, DEFECT], ids=["disk", "defect"])
async def test_what_cannot_be_stopped_has_failed_all_the_same(
    scene: Scene, fake: FakeRuntime, caplog, error: Exception
):
    """The stop of what failed fails as well: the first reason is told, it is removed, and the agent goes on."""

    async def starting(run: FakeRun) -> None:
        raise ContainerStartingError("the first reason")

    async def stopping(run: FakeRun) -> None:
        raise error

    fake.starting, fake.stopping = starting, stopping
    async with scene.agent():
        await scene.start(order("bad"))
        failed = await scene.until("attempt.failed")
        fake.starting = fake.pulling
        await scene.start(order("later"))
        await scene.until("attempt.finished")
    assert (failed.error.code, failed.error.message) == ("container_starting", "the first reason")
    assert fake.runs[BAD].diary[-1] == "remove"
    assert "the stop of bad failed" in caplog.text


async def test_a_stop_that_fails_is_a_stop(scene: Scene, fake: FakeRuntime):
    """Whoever asked for it hears that the attempt has stopped, and its container is removed."""

    async def stopping(run: FakeRun) -> None:
        raise FULL

    fake.script, fake.stopping = never, stopping
    async with scene.agent():
        await scene.start(order())
        await scene.until("attempt.started")
        await scene.stop(REF, reason="cancelled")
        assert (await scene.until("attempt.stopped")).reason == "cancelled"
    assert fake.runs[REF].diary[-1] == "remove"


async def test_what_cannot_even_be_made(scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    """A runtime that makes nothing of an order: it has failed, its room is free, and the next one runs."""
    run = FakeRuntime.run

    def raises(runtime: FakeRuntime, wanted: Any, ears: Any) -> FakeRun:
        if wanted.ref == BAD:
            raise DEFECT
        return run(runtime, wanted, ears)

    monkeypatch.setattr(FakeRuntime, "run", raises)
    async with scene.agent(slots=1):
        await scene.start(order("bad"), order("good"))
        failed = await scene.until("attempt.failed")
        await scene.until("attempt.finished")
        await scene.start(order("bad"))
        await scene.start(order("marker"))
        await scene.until("attempt.finished", count=2)
        assert (await scene.kinds()).count("attempt.failed") == 1
    assert (failed.error.code, failed.phase) == ("agent_failed", "pull")


async def test_what_cannot_be_adopted(scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    """One container that the next agent cannot go on with: its attempt has failed and it is removed; others go on."""
    fake.script = never
    async with scene.agent() as first:
        await scene.start(order("bad"), order("beside"))
        await scene.until("attempt.started", count=2)
        await first.die()
    adopt = FakeRuntime.adopt

    def raises(runtime: FakeRuntime, wanted: Any, found: Found, ears: Any) -> FakeRun:
        if wanted.ref == BAD:
            raise FILES
        return adopt(runtime, wanted, found, ears)

    monkeypatch.setattr(FakeRuntime, "adopt", raises)
    fake.script = well
    fake.there = [Found(ref=ref, container=f"c-{ref.step}", running=True) for ref in (BAD, BESIDE)]
    async with scene.agent():
        assert (await scene.until("attempt.failed")).error.code == "agent_failed"
        await scene.until("attempt.finished")
    assert fake.discarded == ["c-bad"]


async def test_an_end_that_cannot_be_written_is_a_failure(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """What an attempt gives and the agent cannot put into a fact is told as its failure, not forgotten."""
    put = Outbox.put

    async def puts(outbox: Outbox, body: Any, ref: Any = None, **rest: Any) -> Any:
        if isinstance(body, AttemptFinished) and ref == BAD:
            raise DEFECT
        return await put(outbox, body, ref, **rest)

    monkeypatch.setattr(Outbox, "put", puts)
    async with scene.agent():
        await scene.start(order("bad"))
        assert (await scene.until("attempt.failed")).error.code == "agent_failed"
        await scene.start(order("later"))
        await scene.until("attempt.finished")


async def test_a_function_for_which_the_disk_has_no_room(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """Its container cannot be written down: the call has failed, nothing is left of it, and other calls go on."""
    write = Ledger._write

    def writes(ledger: Ledger, name: str, text: bytes) -> None:
        if full:
            raise FULL
        write(ledger, name, text)

    monkeypatch.setattr(Ledger, "_write", writes)
    full = False
    async with scene.agent():
        await scene.start(order("good", function="app:f"))
        await scene.until("attempt.finished")
        full = True
        await scene.start(order("bad", function="app:g"), order("warm", function="app:f"))
        failed = await scene.until("attempt.failed")
        await scene.until("attempt.finished", count=2)
        full = False
        await scene.start(order("bad", function="app:g", attempt=2))
        await scene.until("attempt.finished", count=3)
    assert (failed.error.code, failed.phase, failed.error.step) == ("agent_failed", "start", "bad")
    assert [one.diary[-1] for one in fake.made] == ["remove"] * 3


async def test_lines_that_cannot_be_sent(
    scene: Scene, fake: FakeRuntime, memory: MemoryBroker, monkeypatch: pytest.MonkeyPatch, caplog
):
    """They are dropped, in the agent's own output; the attempt ends well, and others' lines come."""
    write = memory.lines.write

    async def writes(machine: str, execution: str, step: str, attempt: int, lines: Any) -> None:
        if step == "bad":
            raise DEFECT
        await write(machine, execution, step, attempt, lines)

    async def script(run: FakeRun) -> Exit:
        run.ears.print("stdout", b"a line\n")
        return await well(run)

    monkeypatch.setattr(memory.lines, "write", writes)
    fake.script = script
    async with scene.agent():
        await scene.start(order("bad"))
        await scene.until("attempt.finished")
        await scene.start(order("good"))
        await scene.until("attempt.finished", count=2)
        await scene.printed("a line", step="good")
    assert "1 log lines of bad could not be sent" in caplog.text


# ---- what the agent does beside


async def test_a_machine_that_does_not_say_how_busy_it_is(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """The system has no file left to read it from: the beats come without it."""

    def raises() -> Iterator[float]:
        raise OSError("Load averages are unobtainable")

    monkeypatch.setattr(os, "getloadavg", raises)
    async with scene.agent():
        beats = scene.broker.heartbeats.listen()
        assert (await anext(beats)).load is None
        assert (await anext(beats)).load is None
        await beats.aclose()
