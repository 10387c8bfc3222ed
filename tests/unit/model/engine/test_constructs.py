"""What holds for every workflow, whatever constructs it is made of and whatever happens to it."""

from __future__ import annotations

import random
from collections import Counter
from copy import deepcopy
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.definition.validation import validate
from muster.model.engine.decide import decide
from muster.model.log.envelope import encode
from muster.model.log.names import SCHEDULER
from muster.model.log.transitions import BY_TYPE, TERMINAL
from muster.model.proof.replay import replay
from tests.fixtures.constructs import workflows
from tests.fixtures.hazards import MACHINES, OUTCOMES, POLICY, act, elect, finish, perform, succeed
from tests.fixtures.pictures import picture
from tests.fixtures.play import Play, fold

SEEDS = st.integers(0, 2**32)
often = settings(max_examples=100, deadline=None)


def outcomes(play: Play) -> Counter[tuple[str, str]]:
    """How often each step of each execution had an outcome."""
    return Counter((r.event.execution, r.event.step or "") for r in play.log if r.event.kind in OUTCOMES)


@often
@given(workflows())
def test_what_is_drawn_is_valid(definition: dict[str, Any]) -> None:
    """Otherwise the other tests would be about refused workflows."""
    assert validate(definition) == []


@often
@given(st.lists(workflows(), min_size=1, max_size=2), SEEDS, st.integers(1, 4))
def test_every_execution_ends_and_nothing_is_left_of_it(
    definitions: list[dict[str, Any]], seed: int, leaders: int
) -> None:
    """Whatever fails, whoever is lost, and wherever leaders die: it ends, and no slot stays taken."""
    play = perform(definitions, seed, leaders=leaders)
    assert not play.state.executions
    for machine in list(play.state.machines.values()):
        if not machine.online:
            play.connect(machine.name, slots=2, attempts=list(machine.held))
    play.obey()
    assert all(machine.slots_used == 0 for machine in play.state.machines.values())
    assert len(play.state.queue) == 0
    assert not play.state.touched


@often
@given(st.lists(workflows(), min_size=1, max_size=2), SEEDS, st.integers(1, 4))
def test_each_step_that_is_begun_has_exactly_one_outcome(
    definitions: list[dict[str, Any]], seed: int, leaders: int
) -> None:
    """And nothing is said of a step behind its outcome, but that an attempt does not count."""
    play = perform(definitions, seed, leaders=leaders)
    found = outcomes(play)
    assert set(found.values()) <= {1}
    ended = set()
    for recorded in play.log:
        event = recorded.event
        if event.writer != SCHEDULER or event.step is None:
            continue
        assert (event.execution, event.step) not in ended or event.kind == "attempt.superseded", event
        assert (event.execution, event.step) in found
        if event.kind in OUTCOMES:
            ended.add((event.execution, event.step))
    for number, definition in enumerate(definitions):
        for step in definition["steps"]:
            if "id" in step:
                assert found[f"x{number}", step["id"]] == 1


@often
@given(st.lists(workflows(), min_size=1, max_size=2), SEEDS, st.integers(1, 4))
def test_transitions_follow_the_table(definitions: list[dict[str, Any]], seed: int, leaders: int) -> None:
    """Without gaps, each from where the one before it led, and the last is terminal; children too."""
    play = perform(definitions, seed, leaders=leaders)
    executions = {r.event.execution for r in play.log if r.event.kind == "execution.queued"}
    for execution in executions:
        found = [
            r.event.data.transition
            for r in play.log
            if r.event.execution == execution and hasattr(r.event.data, "transition")
        ]
        assert [t.number for t in found] == list(range(1, len(found) + 1))
        assert [t.before for t in found] == [None, *(t.after for t in found[:-1])]
        assert all(t.before in BY_TYPE[t.type].before for t in found)
        assert found[-1].after in TERMINAL
        ids = [
            r.event.id
            for r in play.log
            if r.event.execution == execution
            and r.event.writer == SCHEDULER
            and r.event.kind != "command.refused"
        ]
        assert ids == [f"{execution}:{number}" for number in range(1, len(ids) + 1)]


@often
@given(st.lists(workflows(), min_size=1, max_size=2), SEEDS, st.integers(1, 4))
def test_a_play_replays_to_zero_differences(
    definitions: list[dict[str, Any]], seed: int, leaders: int
) -> None:
    """With any number of leaders, that read behind, and died inside their rounds."""
    play = perform(definitions, seed, leaders=leaders)
    assert replay(play.log).differences == []


@often
@given(st.lists(workflows(), min_size=1, max_size=2), SEEDS)
def test_facts_and_decisions_commute(definitions: list[dict[str, Any]], seed: int) -> None:
    """A leader that folds its decisions at once and facts later has the state that the log gives."""
    chance = random.Random(seed)
    play = Play(POLICY)
    elect(play, "s0")
    for machine in MACHINES:
        play.connect(machine, slots=2)
    for number, definition in enumerate(definitions):
        play.submit(definition, f"x{number}")
    play.lagging = True
    for _ in range(chance.randrange(1, 100)):
        act(play, chance)
        if chance.random() < 0.3:
            play.read(chance.randrange(1, 6))
    play.read()
    assert picture(play.state) == picture(fold(play.log, play.policy))


@often
@given(st.lists(workflows(), min_size=1, max_size=2), SEEDS)
def test_looking_at_everything_decides_no_more(definitions: list[dict[str, Any]], seed: int) -> None:
    """Visiting only what was touched decides the same as visiting everything."""
    chance = random.Random(seed)
    play = Play(POLICY)
    elect(play, "s0")
    for number, definition in enumerate(definitions):
        play.submit(definition, f"x{number}")
    for _ in range(80):
        act(play, chance)
        play.round()
        for execution in play.state.executions.values():
            for path in ["", *execution.steps]:
                play.state.touch(execution.id, path)
        play.state.queue_stirred = True
        assert decide(play.state, play.now).events == []


@often
@given(workflows(), SEEDS, SEEDS)
def test_the_fold_of_any_prefix_is_legal(definition: dict[str, Any], seed: int, where: int) -> None:
    """Whoever finds a beginning of the log can go on from it, and comes to an end."""
    play = perform([definition], seed)
    place = random.Random(where).randrange(1, len(play.log) + 1)
    successor = succeed(play.log[:place])
    successor.round()
    assert successor.round().events == []
    finish(successor)
    assert not successor.state.executions
    assert set(outcomes(successor).values()) <= {1}
    assert replay(successor.log).differences == []


@often
@given(workflows(), SEEDS)
def test_progress_never_goes_back(definition: dict[str, Any], seed: int) -> None:
    """What is open in a frame only becomes less, but for what rescues a step that failed."""
    chance = random.Random(seed)
    play = Play(POLICY)
    elect(play, "s0")
    play.submit(definition)
    before: dict[str, str] = {}
    ranks = {"pending": 0, "scheduled": 1, "running": 1, "waiting": 1}
    for _ in range(60):
        act(play, chance)
        for execution in play.state.executions.values():
            for path, step in execution.steps.items():
                key = f"{execution.id}/{path}"
                was = before.get(key, "pending")
                assert ranks.get(step.status, 2) >= ranks.get(was, 2)
                assert ranks.get(was, 2) < 2 or step.status == was
                before[key] = step.status
            assert 0 <= execution.open <= len(execution.steps) + 1


@often
@given(workflows(), SEEDS)
def test_a_copy_of_the_state_goes_its_own_way(definition: dict[str, Any], seed: int) -> None:
    """What is decided on a copy comes out as it does on the state, and changes nothing there."""
    chance = random.Random(seed)
    play = Play(POLICY)
    elect(play, "s0")
    play.submit(definition)
    for _ in range(30):
        act(play, chance)
    before, copied = picture(play.state), deepcopy(play.state)
    assert picture(copied) == before
    later = play.now + timedelta(seconds=30)
    copied.revisit()
    now = [encode(event) for event in decide(copied, later).events]
    assert picture(play.state) == before
    play.state.revisit()
    assert now == [encode(event) for event in decide(play.state, later).events]
