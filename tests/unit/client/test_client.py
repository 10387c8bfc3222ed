from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import pytest_asyncio

from muster.broker.memory import MemoryBroker
from muster.client import Client, StepView, client, serialize
from muster.model.errors import (
    BrokerError,
    ExecutionConflictError,
    ExecutionNotFoundError,
    ExecutionTimeoutError,
    InputMissingError,
    InvalidArgumentError,
    InvalidTypeError,
    NameInvalidError,
    SourceNodeMissingError,
    WorkflowInvalidError,
)
from muster.model.log import catalogue, commands
from muster.model.log.commands import LogLine
from muster.model.log.envelope import Event
from tests.unit.client.story import HELLO, T0, FakeScheduler, Story


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    """The in-memory broker."""
    made = MemoryBroker()
    await made.prepare()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def connected(broker: MemoryBroker) -> AsyncIterator[Client]:
    """A client of it."""
    async with Client(broker=broker) as made:
        yield made


def runs(command: commands.Command) -> list[Event]:
    """A scheduler that plays the whole story."""
    assert isinstance(command, commands.Submit)
    return Story(command.execution).whole()


def accepts(command: commands.Command) -> list[Event]:
    """A scheduler that only accepts, and cancels when asked to."""
    if isinstance(command, commands.Submit):
        return [Story(command.execution).queued(labels=command.labels)]
    assert isinstance(command, commands.Cancel)
    story = Story(command.execution)
    story.queued()
    return story.cancelled(command.reason)


async def append(broker: MemoryBroker, *events: Event) -> None:
    await broker.log.append(events)


async def test_run_returns_the_result(broker: MemoryBroker, connected: Client):
    """A run that goes well gives its outputs."""
    async with FakeScheduler(broker, runs):
        result = await connected.run(HELLO, {"name": "you"})
    assert result.status == "succeeded"
    assert result.succeeded
    assert result.outputs == result.check() == {"text": "hi"}


async def test_run_of_a_failure_is_a_result(broker: MemoryBroker, connected: Client):
    """A failed execution is returned with its error, and `check` raises it."""

    def fails(command: commands.Command) -> list[Event]:
        assert isinstance(command, commands.Submit)
        story = Story(command.execution)
        return [story.queued(), story.started(), *story.begins("greet"), *story.failed("greet")]

    async with FakeScheduler(broker, fails):
        result = await connected.run(HELLO, {"name": "you"})
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.code == "execution"
    with pytest.raises(Exception, match="exited with code 3"):
        result.check()


async def test_submit_returns_once_accepted(broker: MemoryBroker, connected: Client):
    """The id that submit gives is in the log, with the inputs filled in."""
    async with FakeScheduler(broker, accepts) as scheduler:
        execution = await connected.submit(HELLO, {"name": "you"}, labels={"team": "a"})
        state = await connected.state(execution)
    assert state.status == "queued"
    assert state.inputs == {"name": "you", "times": 1}
    (command,) = scheduler.received
    assert isinstance(command, commands.Submit)
    assert (command.execution, command.labels) == (execution, {"team": "a"})


@pytest.mark.parametrize(
    ("workflow", "inputs", "error"),
    [
        (HELLO, {}, InputMissingError),
        (HELLO, {"name": 5}, InvalidTypeError),
        (HELLO, {"name": "you", "nam": 1}, InvalidArgumentError),
        (HELLO, {"name": object()}, InvalidTypeError),
        ({"name": "x", "steps": []}, {}, WorkflowInvalidError),
        ({"nonsense": True}, {}, WorkflowInvalidError),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(
    broker: MemoryBroker, connected: Client, workflow: Any, inputs: Any, error: type[Exception]
):
    """What is not valid raises here, and no command reaches the scheduler."""
    async with FakeScheduler(broker, runs) as scheduler:
        with pytest.raises(error):
            await connected.run(workflow, inputs)
    assert scheduler.received == []


async def test_a_refusal_is_raised(broker: MemoryBroker, connected: Client):
    """Where the scheduler refuses the submit, its error is raised."""

    def refuses(command: commands.Command) -> list[Event]:
        assert isinstance(command, commands.Submit)
        info = WorkflowInvalidError("not with me").info()
        refusal = catalogue.CommandRefused(command=command.id, verb="submit", error=info)
        return [Story(command.execution).decides(refusal)]

    async with FakeScheduler(broker, refuses):
        with pytest.raises(WorkflowInvalidError, match="not with me"):
            await connected.submit(HELLO, {"name": "you"})


async def test_submitting_again_with_the_same_id_is_safe(broker: MemoryBroker, connected: Client):
    """A second submit of the same content under the same id returns the id."""
    known: set[str] = set()

    def once(command: commands.Command) -> list[Event]:
        assert isinstance(command, commands.Submit)
        if command.execution in known:
            return []
        known.add(command.execution)
        return accepts(command)

    async with FakeScheduler(broker, once):
        assert await connected.submit(HELLO, {"name": "you"}, execution="mine") == "mine"
        assert await connected.submit(HELLO, {"name": "you"}, execution="mine") == "mine"


async def test_an_id_with_other_content_is_a_conflict(broker: MemoryBroker, connected: Client):
    """An id that is taken by a run with other inputs is refused."""
    async with FakeScheduler(broker, accepts):
        await connected.submit(HELLO, {"name": "you"}, execution="mine")
        with pytest.raises(ExecutionConflictError):
            await connected.submit(HELLO, {"name": "another"}, execution="mine")


async def test_an_unknown_outcome_names_the_id(
    broker: MemoryBroker, connected: Client, monkeypatch: pytest.MonkeyPatch
):
    """Where it is not known whether a submit was stored, the error carries the id under which to repeat it."""

    async def loses(*_: Any) -> None:
        raise BrokerError("no answer came")

    monkeypatch.setattr(broker.commands, "send", loses)
    with pytest.raises(BrokerError, match="accepted once") as caught:
        await connected.submit(HELLO, {"name": "you"})
    assert caught.value.execution


async def test_without_a_scheduler_submit_says_so(
    broker: MemoryBroker, connected: Client, monkeypatch: pytest.MonkeyPatch
):
    """Where nobody takes the command up, the error names the remedy."""
    monkeypatch.setattr(client, "ACCEPT_LIMIT_S", 0.05)
    await broker.commands.open("scheduler")
    with pytest.raises(ExecutionTimeoutError, match="muster scheduler"):
        await connected.submit(HELLO, {"name": "you"})


async def test_run_gives_up_after_its_timeout(broker: MemoryBroker, connected: Client):
    """After the timeout the caller is told, and the execution goes on."""
    async with FakeScheduler(broker, accepts):
        with pytest.raises(ExecutionTimeoutError, match="goes on"):
            await connected.run(HELLO, {"name": "you"}, timeout=0.05)


async def test_callbacks_are_called(broker: MemoryBroker, connected: Client):
    """Each change of a step is told in order, and the end once, whether the functions are sync or async."""
    seen: list[tuple[str, str]] = []
    ends: list[str] = []

    def on_step(step: StepView) -> None:
        seen.append((step.path, step.status))

    async def on_finish(result: Any) -> None:
        ends.append(result.status)

    async with FakeScheduler(broker, runs):
        await connected.run(HELLO, {"name": "you"}, on_step_update=on_step, on_execution_finish=on_finish)
    assert ends == ["succeeded"]
    assert seen[0] == ("greet", "scheduled")
    assert seen[-1] == ("count", "succeeded")


async def test_a_failing_callback_fails_nothing(broker: MemoryBroker, connected: Client):
    """Functions that raise leave the result as it is."""

    def fails(_: Any) -> None:
        raise RuntimeError("mine")

    async with FakeScheduler(broker, runs):
        result = await connected.run(HELLO, {"name": "you"}, on_step_update=fails, on_execution_finish=fails)
    assert result.succeeded


async def test_wait_returns_the_end(broker: MemoryBroker, connected: Client):
    """Wait returns when the execution ends; without blocking it is None before."""
    story = Story()
    whole = story.whole()
    await append(broker, *whole[:5])
    assert await connected.wait("e1", block=False) is None
    waiting = asyncio.create_task(connected.wait("e1"))
    await append(broker, *whole[5:])
    result = await waiting
    assert result is not None
    assert result.outputs == {"text": "hi"}
    assert await connected.wait("e1", block=False) == result


async def test_wait_gives_up_after_its_timeout(broker: MemoryBroker, connected: Client):
    """After the timeout of wait the caller is told."""
    await append(broker, Story().queued())
    with pytest.raises(ExecutionTimeoutError):
        await connected.wait("e1", timeout=0.05)


async def test_looking_at_an_execution(broker: MemoryBroker, connected: Client):
    """Progress, outputs, steps, one step, transitions and the workflow are read from the log."""
    await append(broker, *Story().whole())
    assert await connected.progress("e1") == (2, 2)
    assert await connected.outputs("e1") == {"text": "hi"}
    assert list(await connected.steps("e1")) == ["greet", "count"]
    assert (await connected.step("e1", "greet")).outputs == {"text": "hi"}
    assert len(await connected.transitions("e1")) == 5
    assert serialize(await connected.workflow("e1")) == serialize(HELLO)


async def test_an_unknown_id_is_an_error(connected: Client):
    """Every question about an execution that is not there raises ExecutionNotFoundError."""
    for question in (
        connected.state,
        connected.wait,
        connected.progress,
        connected.outputs,
        connected.steps,
        connected.transitions,
        connected.workflow,
        connected.cancel,
    ):
        with pytest.raises(ExecutionNotFoundError):
            await question("nobody")
    with pytest.raises(ExecutionNotFoundError):
        async for _ in connected.logs("nobody"):
            pass


async def test_an_unknown_step_is_an_error(broker: MemoryBroker, connected: Client):
    """A path that the execution does not have is an error that names those it has."""
    await append(broker, Story().queued())
    with pytest.raises(SourceNodeMissingError, match="greet, count"):
        await connected.step("e1", "gret")


async def test_an_illegal_id_is_refused(connected: Client):
    """An id that would be a wildcard or another subject is refused before it is used."""
    for name in ("*", "a.b", ">", ""):
        with pytest.raises(NameInvalidError):
            await connected.state(name)


async def test_a_cleared_execution_is_not_found(broker: MemoryBroker, connected: Client):
    """Where only the marker is left, the error says that the execution was cleared."""
    await append(broker, Story().decides(catalogue.ExecutionCleared()))
    with pytest.raises(ExecutionNotFoundError, match="cleared"):
        await connected.state("e1")


async def test_cancel_waits_for_the_log_and_is_idempotent(broker: MemoryBroker, connected: Client):
    """Cancel returns when the log shows the end, and again without sending another command."""
    async with FakeScheduler(broker, accepts) as scheduler:
        execution = await connected.submit(HELLO, {"name": "you"})
        assert await connected.cancel(execution, "enough") == "cancelled"
        assert await connected.cancel(execution) == "cancelled"
        assert len(scheduler.received) == 2
        result = await connected.wait(execution)
    assert result is not None
    assert (result.status, result.reason) == ("cancelled", "enough")


async def test_one_that_has_failed_and_lets_end_what_runs_can_be_cancelled(
    broker: MemoryBroker, connected: Client
):
    """What runs is stopped then: without that only its own end would end it."""
    story = Story()
    await append(broker, story.queued(), story.started(), *story.begins("greet"))
    await append(
        broker, story.decides(catalogue.ExecutionEnding(outcome="failed", error=story.error("count")))
    )
    async with FakeScheduler(broker, lambda command: story.cancelled("enough")) as scheduler:
        assert await connected.cancel("e1", "enough") == "cancelled"
        assert [type(command) for command in scheduler.received] == [commands.Cancel]


async def test_cancel_of_a_finished_execution_changes_nothing(broker: MemoryBroker, connected: Client):
    """Cancelling what has ended returns how it ended."""
    await append(broker, *Story().whole())
    assert await connected.cancel("e1") == "succeeded"


async def test_events_are_filtered(broker: MemoryBroker, connected: Client):
    """Events can be asked for by execution, machine, kind and first sequence."""
    await append(broker, *Story("e1").whole(), *Story("e2").whole())
    every = [item async for item in connected.events()]
    assert [item.sequence for item in every] == list(range(1, len(every) + 1))
    of_one = [item async for item in connected.events("e2")]
    assert {item.event.execution for item in of_one} == {"e2"}
    pulls = [item.event.kind async for item in connected.events("e1", kind="image")]
    assert pulls == ["image.pulling", "image.pulled"] * 2
    ended = [item.event.kind async for item in connected.events(kind="*.succeeded")]
    assert set(ended) == {"step.succeeded", "execution.succeeded"}
    of_machine = [item.event async for item in connected.events("e1", machine="m1")]
    assert {event.writer for event in of_machine} == {"m1", "scheduler"}
    assert all("m1" in {event.writer, getattr(event.data, "machine", None)} for event in of_machine)
    rest = [item.sequence async for item in connected.events(from_sequence=10)]
    assert rest[0] == 10
    with pytest.raises(InvalidArgumentError):
        async for _ in connected.events(kind="step.dreamt"):
            pass


async def test_events_can_be_followed(broker: MemoryBroker, connected: Client):
    """With follow, what is appended later comes too."""
    story = Story()
    await append(broker, story.queued())
    kinds = []
    async with aclosing(connected.events(follow=True)) as events:
        async for item in events:
            kinds.append(item.event.kind)
            if len(kinds) == 2:
                break
            await append(broker, story.started())
    assert kinds == ["execution.queued", "execution.started"]


async def test_logs_end_with_the_execution(broker: MemoryBroker, connected: Client):
    """Followed log lines end when the execution has ended and every line was handed over."""
    story = Story()
    whole = story.whole()
    await append(broker, *whole[:5])
    lines = [LogLine(time=T0, stream="stdout", text=str(number)) for number in range(5)]
    await broker.lines.write("m1", "e1", "greet", 1, lines[:2])
    seen = []
    async for path, attempt, line in connected.logs("e1", follow=True):
        seen.append((path, attempt, line.text))
        if len(seen) == 2:
            await broker.lines.write("m1", "e1", "greet", 1, lines[2:])
            await append(broker, *whole[5:])
    assert seen == [("greet", 1, str(number)) for number in range(5)]


async def test_a_client_that_is_not_connected_says_so():
    """Before connect every call raises a BrokerError with the remedy."""
    with pytest.raises(BrokerError, match="async with"):
        await Client("nats://127.0.0.1:1").state("e1")


async def test_an_idempotency_key_is_an_id_of_its_own(broker: MemoryBroker, connected: Client):
    """The same key gives the same id, another workflow's another; an id and a key contradict each other."""
    async with FakeScheduler(broker, accepts) as scheduler:
        first = await connected.submit(HELLO, {"name": "you"}, idempotency_key="today")
        assert await connected.submit(HELLO, {"name": "you"}, idempotency_key="today") == first
        assert await connected.submit(HELLO, {"name": "you"}, idempotency_key="tomorrow") != first
        with pytest.raises(InvalidArgumentError, match="not both"):
            await connected.submit(HELLO, {"name": "you"}, idempotency_key="today", execution="x1")
        with pytest.raises(ExecutionConflictError, match=f"The idempotency key 'today' is taken by {first}"):
            await connected.submit(HELLO, {"name": "me"}, idempotency_key="today")
    assert len(scheduler.received) == 4
