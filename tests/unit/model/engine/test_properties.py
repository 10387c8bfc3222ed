"""What holds for every play: whatever fails, whoever is lost, in whatever order things are heard."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.engine.decide import decide
from muster.model.engine.evolve import evolve
from muster.model.engine.state import State
from muster.model.errors import ImagePullError
from muster.model.log.catalogue import AttemptRef
from muster.model.log.names import SCHEDULER
from muster.model.log.transitions import BY_TYPE, TERMINAL
from muster.model.policy import Policy
from tests.fixtures.hazards import load, loaded
from tests.fixtures.play import Play, fold

MACHINES = ("m1", "m2", "m3")


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    """A workflow of up to eight steps, each needing some of those before it."""
    count = draw(st.integers(1, 8))
    steps = []
    for number in range(count):
        needs = draw(st.sets(st.integers(0, max(0, number - 1)), max_size=3)) if number else set()
        step: dict[str, Any] = {"id": f"s{number}", "image": "busybox:1", "command": ["true"]}
        step["needs"] = [f"s{need}" for need in sorted(needs)]
        if draw(st.integers(0, 2)) == 0:
            step["function"] = "g"
            step["isolation"] = draw(st.sampled_from(["shared", "execution", "call"]))
        step["retry"] = {"max_attempts": draw(st.integers(1, 3)), "backoff": {"initial": "1s"}}
        if draw(st.integers(0, 5)) == 0:
            step["machine"] = draw(st.sampled_from([*MACHINES, "never"]))
        steps.append(step)
    return {"name": "play", "steps": steps}


def perform(definitions: list[dict[str, Any]], seed: int) -> Play:
    """Run the workflows to their end under failures drawn from ``seed``."""
    chance = random.Random(seed)
    play = Play(Policy(offline_timeout_s=60.0))
    for number, definition in enumerate(definitions):
        play.submit(definition, f"x{number}")
    for _ in range(400):
        _act(play, chance)
        if not play.state.executions:
            break
    for _ in range(200):
        if not play.state.executions:
            break
        _settle(play)
    for machine in MACHINES:
        if machine not in play.state.machines:
            play.connect(machine, slots=2)
    return play


def _act(play: Play, chance: random.Random) -> None:
    machine = chance.choice(MACHINES)
    known = play.state.machines.get(machine)
    held = [ref for ref, (where, _) in play.orders.items() if where == machine]
    if known is not None and chance.random() < 0.2:
        load(play, chance, machine, held)
    what = chance.random()
    if known is None or (what < 0.05 and not known.online):
        play.connect(machine, slots=2, attempts=held, functions=loaded(chance))
    elif what < 0.08:
        for ref in held:
            del play.orders[ref]
        play.connect(machine, slots=2, attempts=[], functions=loaded(chance))
    elif what < 0.11 and known.online:
        play.verdict(machine)
    elif what < 0.13 and not known.online and known.gone_id is None:
        play.verdict(machine, online=True)
    elif what < 0.135 and play.state.executions:
        play.cancel(chance.choice(list(play.state.executions)))
    elif held:
        _attempt(play, chance, chance.choice(held))
    if chance.random() < 0.7:
        play.later(chance.choice([0.0, 0.1, 1.0, 5.0]))


def _attempt(play: Play, chance: random.Random, ref: AttemptRef) -> None:
    what = chance.random()
    if ref in play.stops and what < 0.7:
        play.stopped(ref)
    elif what < 0.6:
        play.begin(ref)
    elif what < 0.92:
        play.finish(ref)
    elif what < 0.94:
        play.fail(ref, ImagePullError(image="x"), phase="pull", retriable=False)
    else:
        play.fail(ref)


def _settle(play: Play) -> None:
    """From here on the world is kind: machines are there and every attempt ends well."""
    for machine in MACHINES:
        known = play.state.machines.get(machine)
        if known is None or not known.online:
            held = [ref for ref, (where, _) in play.orders.items() if where == machine]
            play.connect(machine, slots=2, attempts=held)
        play.greet(machine)
    for ref in play.refs():
        play.begin(ref)
        play.finish(ref)
    play.later(20.0)


def picture(state: State) -> bytes:
    """All that is decided from, in a form that can be compared."""
    machines = {
        name: {
            key: value
            for key, value in msgspec.structs.asdict(machine).items()
            if key not in {"held", "gone_at"}
        }
        | {"held": sorted((str(ref), str(attempt)) for ref, attempt in machine.held.items())}
        for name, machine in sorted(state.machines.items())
    }
    executions = {
        execution.id: [
            execution.number,
            execution.transitions,
            execution.status,
            execution.ending,
            execution.open,
        ]
        + [
            str(
                (
                    path,
                    step.status,
                    step.started,
                    step.unmet,
                    step.attempt,
                    step.used,
                    step.due_at,
                    step.outputs,
                )
            )
            for path, step in execution.steps.items()
        ]
        for execution in state.executions.values()
    }
    schedules = [
        [each.name, each.since, each.next_at, each.passed_at, each.paused, sorted(each.running), each.digest]
        for _, each in sorted(state.schedules.by_name.items())
    ]
    told = [schedules, sorted(state.schedules.owed), sorted(state.schedules.asked), state.schedules.passed]
    return msgspec.json.encode(
        [machines, executions, sorted(state.ended), state.number, told], order="sorted"
    )


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
        _act(play, chance)
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
        _settle(successor)
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
        _act(play, chance)
        play.round()
        for execution in play.state.executions.values():
            for path in ["", *execution.steps]:
                play.state.touch(execution.id, path)
        play.state.queue_stirred = True
        assert decide(play.state, play.now).events == []
