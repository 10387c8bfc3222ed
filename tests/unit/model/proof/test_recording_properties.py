"""Recordings of whatever may happen: they replay, and show machines as they were."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from muster.broker.filters import matcher
from muster.model.engine.evolve import evolve
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.envelope import Recorded
from muster.model.log.facts import AGENT_ENDS
from muster.model.log.subjects import event as subject
from muster.model.policy import Policy
from muster.model.proof import recording as recordings
from muster.model.proof.foreign import hold
from muster.model.proof.loads import calls
from muster.model.proof.recording import record
from muster.model.proof.replay import replay
from tests.fixtures.drawn import several, workflows
from tests.fixtures.hazards import MACHINES, act
from tests.fixtures.histories import history
from tests.fixtures.play import Play

IMAGES = ("busybox:1", "other:1", "third:1")


# ---- whatever happens


def busy(definitions: list[dict[str, Any]], seed: int) -> Play:
    """A play in which images are pulled, agents end, goodbyes are said and facts are told twice, beside the rest."""
    play, chance = Play(Policy(offline_timeout_s=60.0)), random.Random(seed)
    for number, definition in enumerate(definitions):
        play.submit(definition, f"x{number}")
        for _ in range(40):
            act(play, chance)
            _upset(play, chance)
    return play


def _upset(play: Play, chance: random.Random) -> None:
    name, what = chance.choice(MACHINES), chance.random()
    machine = play.state.machines.get(name)
    if machine is None or what > 0.4:
        return
    if what < 0.2:
        ref = next(iter(machine.held), None)
        play.fact(name, c.ImagePulled(image=chance.choice(IMAGES)), ref)
    elif what < 0.25 and machine.online:
        play.fact(name, c.MachineDisconnected(reason=AGENT_ENDS))
    elif what < 0.3 and machine.held:
        ref = chance.choice(list(machine.held))
        play.orders.pop(ref, None)
        play.fact(name, c.AttemptStopped(reason=AGENT_ENDS), ref)
    else:
        facts = [recorded.event for recorded in play.log[-20:] if recorded.event.n is not None]
        if facts:
            play._record(chance.choice(facts))
            play.read()


def pictures(log: list[Recorded], execution: str) -> dict[int, Any]:
    """The machines as a fold of ``log`` has them at each event of the execution: what placement looks at."""
    state, found = State(), {}
    queued = {recorded.event.execution for recorded in log if recorded.event.kind == "execution.queued"}
    for recorded in log:
        event = recorded.event
        if isinstance(event.data, c.StepScheduled) and event.execution not in queued:
            hold(state, event, event.data)
        else:
            evolve(state, event, recorded.sequence)
        if event.execution == execution and execution in state.executions:
            calling = calls(state.executions[execution].plan.workflow)
            found[recorded.sequence] = {
                machine.name: [
                    *(machine.session, machine.status, machine.open, machine.facts),
                    *(machine.slots_used, sorted(machine.held), "busybox:1" in machine.images),
                    *((machine.keeps, {**machine.loaded}, {**machine.calling}) if calling else ()),
                ]
                for machine in state.machines.values()
            }
    return found


@settings(max_examples=120, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_machines_are_in_a_recording_what_they_were(definitions: list[dict[str, Any]], seed: int) -> None:
    """At each event of the execution, folding its recording gives every machine as the whole log gives it."""
    log = busy(definitions, seed).log
    for number in range(len(definitions)):
        execution = f"x{number}"
        assert pictures(record(log, execution), execution) == pictures(log, execution)


@settings(max_examples=120, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_every_decision_of_a_recording_can_be_made_again(
    definitions: list[dict[str, Any]], seed: int
) -> None:
    """A recording replays to zero differences, whatever else went on."""
    log = busy(definitions, seed).log
    for number in range(len(definitions)):
        found = replay(record(log, f"x{number}"))
        assert found.differences == []
        assert found.given


@settings(max_examples=120, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
def test_leaders_that_die_in_mid_round_are_recorded(definitions: list[dict[str, Any]], seed: int) -> None:
    """With several leaders that read behind and die at any point, each recording replays to zero differences."""
    play = several(definitions, random.Random(seed))
    for execution in {r.event.execution for r in play.log if r.event.kind == "execution.queued"}:
        assert replay(record(play.log, execution)).differences == []


@settings(max_examples=120, deadline=None)
@given(st.lists(workflows(), min_size=2, max_size=3), st.integers(0, 2**32))
def test_a_recording_is_made_of_the_log(definitions: list[dict[str, Any]], seed: int) -> None:
    """It is in the order of the log, has all of its own, nothing after that, and of others what takes room."""
    log = busy(definitions, seed).log
    found = record(log, "x1")
    own = [recorded for recorded in log if recorded.event.execution == "x1"]
    assert [recorded for recorded in found if recorded.event.execution == "x1"] == own
    assert found == sorted(found, key=lambda recorded: recorded.sequence)
    assert set(map(id, found)) <= set(map(id, log))
    assert found[-1] is own[-1]
    others = {recorded.event.kind for recorded in found if recorded.event.execution not in {"x1", "-"}}
    assert others <= {
        "step.scheduled", "attempt.accepted", "attempt.superseded", "attempt.finished", "attempt.failed",
        "attempt.stopped", "image.pulled", "function.loaded",
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_a_recording_of_a_recording_is_the_same(definitions: list[dict[str, Any]], seed: int) -> None:
    """What a recording holds is enough to make it again."""
    found = record(busy(definitions, seed).log, "x0")
    assert record(found, "x0") == found


def test_the_subjects_give_all_that_is_kept():
    """Reading only the subjects that are asked for gives the same recording as reading everything."""
    log = history(7, executions=12, mishaps=0.6).events
    matches = matcher(recordings.OTHERS)
    for execution in {recorded.event.execution for recorded in log} - {"-"}:
        asked = [r for r in log if r.event.execution == execution or matches(subject(r.event))]
        assert record(asked, execution) == record(log, execution)


def test_subjects_do_not_overlap():
    """No event is asked for twice: a broker refuses filters of which one subject matches two."""
    for recorded in history(3, executions=8, mishaps=0.5).events:
        assert sum(matcher([asked])(subject(recorded.event)) for asked in recordings.OTHERS) <= 1
