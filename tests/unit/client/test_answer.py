"""Giving a step its input: which step is meant, and what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from muster.broker.memory import MemoryBroker
from muster.client.answer import addressed
from muster.client.client import Client
from muster.client.follower import ExecutionView
from muster.client.steps import Items
from muster.model.errors import ExecutionNotFoundError, InvalidArgumentError
from muster.model.log import catalogue as c
from muster.model.log import commands
from tests.fixtures.controlled import ASK, answer, go, played, step
from tests.fixtures.play import Play


def seen(play: Play, execution: str = "x1") -> ExecutionView:
    """What a client sees of it."""
    view = ExecutionView(execution)
    view.apply_all(each for each in play.log if each.event.execution == execution)
    return view


def test_the_only_step_that_asks_is_meant():
    """Where nothing else is said; and where it is said, that one."""
    view = seen(played(ASK, {**ASK, "id": "other", "needs": ["ask"]}))
    assert addressed(view, None, None).path == "ask"
    assert addressed(view, "ask", view.steps["ask"].token).path == "ask"
    assert (view.steps["ask"].prompt, view.steps["ask"].schema["required"]) == ("Publish?", ["ok"])


def test_of_two_that_ask_one_must_be_named():
    """The error names both; path or token is enough."""
    view = seen(played(ASK, {**ASK, "id": "other"}))
    with pytest.raises(InvalidArgumentError, match="ask, other"):
        addressed(view, None, None)
    assert addressed(view, "other", None).path == "other"
    assert addressed(view, None, view.steps["other"].token).path == "other"


def test_who_asks_nothing_cannot_be_answered():
    """A step that is not there, one that does something else, a wrong token, an unknown execution."""
    view = seen(played(ASK, step("a")))
    for path, token in (("nobody", None), ("a", None), (None, "0" * 32), ("ask", "0" * 32)):
        with pytest.raises(InvalidArgumentError, match="waits for input in: ask"):
            addressed(view, path, token)
    with pytest.raises(ExecutionNotFoundError):
        addressed(ExecutionView("nobody"), None, None)


def test_a_step_that_was_answered_is_found_all_the_same():
    """So that it can be said that nothing changes."""
    play = played(ASK)
    answer(play, {"ok": True})
    view = seen(play)
    assert not view.asking
    assert not addressed(view, None, None).asks


@pytest.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    made = MemoryBroker()
    await made.prepare()
    yield made
    await made.close()


async def test_an_execution_that_has_ended_takes_no_answer(broker: MemoryBroker):
    """No command is sent, and the answer says that nothing changed; the token finds it too."""
    play = played(ASK)
    token = seen(play).steps["ask"].token
    answer(play, {"ok": True})
    await broker.log.append([each.event for each in play.log])
    async with Client(broker=broker) as client:
        for found in (await client.resume("x1", {"ok": False}), await client.resume(None, 1, token=token)):
            assert (found.execution, found.step, found.changed, found.status) == (
                "x1",
                "ask",
                False,
                "succeeded",
            )
        with pytest.raises(InvalidArgumentError, match="under this token"):
            await client.resume(None, 1, token="0" * 32)
        with pytest.raises(InvalidArgumentError, match="under this token"):
            await client.resume(None, 1)


async def test_an_answer_is_seen_in_the_log(broker: MemoryBroker):
    """The command names the step and its token; resume returns when the log shows what became of it."""
    play = played(ASK)
    before = len(play.log)
    await broker.log.append([each.event for each in play.log])
    sent: list[commands.Resume] = []
    real = broker.commands.send

    async def send(target: str, verb: str, command: commands.Command) -> None:
        await real(target, verb, command)
        assert isinstance(command, commands.Resume)
        sent.append(command)
        play.round(command)
        await broker.log.append([each.event for each in play.log[before:]])

    broker.commands.send = send  # type: ignore[method-assign]
    async with Client(broker=broker) as client:
        found = await client.resume("x1", {"ok": True})
    assert found.changed
    assert (sent[0].step, sent[0].token) == ("ask", seen(play).steps["ask"].token)


async def test_an_answer_that_does_not_fit_is_refused(broker: MemoryBroker):
    """With the sentence of the refusal."""
    play = played(ASK)
    before = len(play.log)
    await broker.log.append([each.event for each in play.log])
    real = broker.commands.send

    async def send(target: str, verb: str, command: commands.Command) -> None:
        await real(target, verb, command)
        assert isinstance(command, commands.Resume)
        play.round(command)
        await broker.log.append([each.event for each in play.log[before:]])

    broker.commands.send = send  # type: ignore[method-assign]
    async with Client(broker=broker) as client:
        with pytest.raises(InvalidArgumentError, match="not what it asks for"):
            await client.resume("x1", {"no": True})


def test_a_loop_counts_its_items():
    """Items that are done, those that failed by name, whatever their steps ran inside."""
    inner = [step("one"), {"id": "two", "if": "item > 1", "then": [step("deep")]}]
    loop = {"in": [1, 2, 3], "steps": inner, "on_failure": "continue"}
    play = go(played({"id": "each", "for_each": loop}), failing=("each/1/two/then/deep", "each/2/one"))
    found = seen(play).steps["each"].items
    assert found == Items(total=3, done=3, failed=2, failures=found.failures if found else ())
    assert found is not None
    assert set(found.failures) == {"each/1/two", "each/2/one"}


def test_variables_children_and_parents_are_seen():
    """What was set, which execution a step runs, and who runs this one."""
    inner = {"name": "inner", "steps": [step("a")]}
    chain = [{"id": "put", "set": {"n": 1}}, {"id": "call", "workflow": "inner"}]
    play = played({"chain": chain}, workflows={"inner": inner})
    view = seen(play)
    assert view.variables == {"n": 1}
    child = view.steps["call"].child
    assert child is not None
    parent = seen(play, child).parent
    assert parent is not None
    assert (parent.execution, parent.step) == ("x1", "call")
    assert view.progress == (1, 2)


def test_a_wait_has_its_reason_and_its_end():
    """A sleeping step says until when."""
    play = played({"id": "nap", "sleep": "10s"})
    nap = seen(play).steps["nap"]
    assert (nap.status, nap.reason) == ("waiting", "timer")
    (waits,) = play.events("step.waiting")
    assert isinstance(waits.data, c.StepWaiting)
    assert nap.due_at == waits.data.due_at == waits.time + timedelta(seconds=10)


def test_what_a_step_says_is_told():
    """The message of a log step is on the step and in the timeline."""
    view = seen(played({"id": "tell", "log": "all is ${{ 'well' }}"}))
    assert view.steps["tell"].message == "all is well"
    assert [(moment.label, moment.detail) for moment in view.timeline] == [("Said", "all is well")]


def test_how_long_is_waited_is_said_as_it_would_be_written():
    """Not as a number of seconds that nobody reads."""
    steps = [{"id": f"nap-{number}", "sleep": wait} for number, wait in enumerate(["36h", "90s", "500ms"])]
    assert [moment.detail for moment in seen(played(*steps)).timeline] == ["for 36h", "for 90s", "for 0.5s"]
