"""What holds for every play: whatever fails, whoever is lost, in whatever order things are heard."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.engine.decide import decide
from muster.model.engine.evolve import evolve
from muster.model.log.names import SCHEDULER
from muster.model.log.transitions import BY_TYPE, TERMINAL
from muster.model.policy import Policy
from tests.fixtures.drawn import perform, workflows
from tests.fixtures.hazards import MACHINES, act, loaded, settle
from tests.fixtures.pictures import picture
from tests.fixtures.play import Play, fold


@settings(max_examples=150, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_every_execution_ends_and_no_slot_stays_taken(definitions: list[dict[str, Any]], seed: int) -> None:
    """Whatever fails and whoever is lost, every execution ends and gives back what it held."""
    play = perform(definitions, seed)
    assert not play.state.executions
    for machine in MACHINES:
        if not play.state.machines[machine].online:
            play.connect(machine, slots=2, attempts=list(play.state.machines[machine].held))
    play.obey()
    assert all(machine.slots_used == 0 for machine in play.state.machines.values())


@settings(max_examples=150, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
def test_each_step_has_exactly_one_outcome_and_transitions_are_legal(
    definitions: list[dict[str, Any]], seed: int
) -> None:
    """Each step gets one outcome; transitions follow the table, without gaps, and the last is terminal."""
    play = perform(definitions, seed)
    for number, definition in enumerate(definitions):
        for step in definition["steps"]:
            kinds = play.kinds(f"x{number}", step["id"])
            outcomes = [
                k for k in kinds if k in {"step.succeeded", "step.failed", "step.skipped", "step.cancelled"}
            ]
            assert len(outcomes) == 1, kinds
        transitions = [
            r.event.data.transition
            for r in play.log
            if r.event.execution == f"x{number}" and hasattr(r.event.data, "transition")
        ]
        assert [t.number for t in transitions] == list(range(1, len(transitions) + 1))
        assert all(t.before in BY_TYPE[t.type].before for t in transitions)
        assert transitions[-1].after in TERMINAL


@settings(max_examples=150, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
def test_facts_and_decisions_commute(definitions: list[dict[str, Any]], seed: int) -> None:
    """A leader that folds its decisions at once and facts later has the state that the log gives."""
    chance = random.Random(seed)
    play = Play(Policy(offline_timeout_s=60.0))
    for machine in MACHINES:
        play.connect(machine, slots=2, functions=loaded(chance))
    for number, definition in enumerate(definitions):
        play.submit(definition, f"x{number}")
    play.lagging = True
    for _ in range(chance.randrange(1, 150)):
        act(play, chance)
        if chance.random() < 0.3:
            play.read(chance.randrange(1, 6))
    play.read()
    assert picture(play.state) == picture(fold(play.log, play.policy))


@settings(max_examples=150, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_new_leader_finishes_any_cut_log(definitions: list[dict[str, Any]], seed: int, where: int) -> None:
    """A leader that takes over after any event goes on with ids that continue the numbering without a gap."""
    play = perform(definitions, seed)
    cut = random.Random(where).randrange(1, len(play.log) + 1)
    successor = Play(play.policy)
    successor.now = play.log[cut - 1].event.time
    for recorded in play.log[:cut]:
        successor.log.append(recorded)
        evolve(successor.state, recorded.event, recorded.sequence)
        if recorded.event.n is not None:
            successor.n[recorded.event.writer] = recorded.event.n
    for machine in successor.state.machines.values():
        for ref in machine.held:
            successor.orders[ref] = (machine.name, None)  # type: ignore[assignment]
    successor.read_to = cut
    successor.round()
    assert successor.round().events == []
    for _ in range(200):
        if not successor.state.executions:
            break
        settle(successor)
    assert not successor.state.executions
    ids = [r.event.id for r in successor.log if r.event.writer == SCHEDULER]
    assert len(ids) == len(set(ids))


@settings(max_examples=150, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
def test_looking_at_everything_decides_no_more(definitions: list[dict[str, Any]], seed: int) -> None:
    """Visiting only what was touched decides the same as visiting everything."""
    chance = random.Random(seed)
    play = Play(Policy(offline_timeout_s=60.0))
    for number, definition in enumerate(definitions):
        play.submit(definition, f"x{number}")
    for _ in range(120):
        act(play, chance)
        play.round()
        for execution in play.state.executions.values():
            for path in ["", *execution.steps]:
                play.state.touch(execution.id, path)
        play.state.queue_stirred = True
        assert decide(play.state, play.now).events == []
