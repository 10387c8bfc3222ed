"""Schedules under leaders that die anywhere, clocks that jump, and logs that executions are gone from."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.definition.schedule import Schedule
from muster.model.engine.decide import decide
from muster.model.log import catalogue as c
from muster.model.log.commands import PauseSchedule, RemoveSchedule, ResumeSchedule, TriggerSchedule
from muster.model.log.envelope import Event, Recorded
from muster.model.log.erasure import Span, spans
from muster.model.policy import Policy
from muster.model.proof.replay import replay
from muster.model.proof.shadow import Comparison
from muster.model.schedules import calendar
from tests.fixtures.hazards import elect, succeed
from tests.fixtures.pictures import picture
from tests.fixtures.play import Play, fold
from tests.fixtures.scheduled import ask, begun, scheduled, set_, told
from tests.unit.model.proof.test_shadow import compare

POLICY = Policy(schedule_catch_up_max=4, schedule_running_max=6, schedule_late_s=30)
SPECS: list[dict[str, Any]] = [
    {"every": "10s"},
    {"every": "45s"},
    {"every": None, "cron": "* * * * *"},
    {"every": None, "cron": "*/20 * * * * *", "timezone": "Europe/Berlin"},
]


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    """When, and what becomes of what is late or overlaps."""
    return {
        **draw(st.sampled_from(SPECS)),
        "overlap": draw(st.sampled_from(["skip", "queue", "cancel"])),
        "catch_up": draw(st.sampled_from(["none", "last", "all"])),
    }


@pytest.mark.parametrize("gone", ["archived", "cleared"])
def test_a_run_that_is_gone_from_the_log_is_not_run_again(gone: str) -> None:
    """Whoever folds the log anew does not find the execution, and knows that it was begun."""
    play = scheduled(catch_up="none", every="1h")
    play.later(3600)
    play.run_all()
    (execution,) = begun(play)
    marker: Any = c.LogArchived(place="nats:x") if gone == "archived" else c.ExecutionCleared()
    event = Event(
        id="gone", writer="scheduler", time=play.now, data=marker, execution=execution if gone == "cleared" else "-"
    )  # fmt: skip
    play._record(event)
    kept = [r for r in play.log if r.event.execution != execution or r.event.kind == "execution.cleared"]
    anew = Play(play.policy)
    anew.state, anew.now = fold(kept, play.policy), play.now
    anew.read_to = 0
    assert anew.round().events == []
    anew.later(3600)
    assert told(anew) == ["fired 00:00"]
    play.log.clear()


def act(play: Play, chance: random.Random, times: int) -> None:
    """Time goes by in steps and leaps; runs end or do not; people pause, resume, trigger, remove and set again."""
    for number in range(times):
        play.now += timedelta(seconds=chance.choice([0, 1, 7, 7, 20, 61, 300]))
        names = list(play.state.schedules.by_name)
        what, name = chance.random(), chance.choice(names) if names else "s0"
        if what < 0.06:
            ask(play, PauseSchedule, name=name)
        elif what < 0.14:
            ask(play, ResumeSchedule, name=name)
        elif what < 0.17:
            ask(play, RemoveSchedule, name=name)
        elif what < 0.24:
            set_(play, f"s{chance.randrange(3)}", **chance.choice(SPECS))
        elif what < 0.28:
            ask(play, TriggerSchedule, name=name, execution=f"t{len(play.log)}-{number}")
        else:
            play.round()
        for ref in play.refs():
            if chance.random() < 0.4:
                play.begin(ref)
                play.finish(ref)
        if chance.random() < 0.5:
            play.round()


def perform(specs: list[dict[str, Any]], seed: int) -> Play:
    """A play of these schedules under one leader."""
    play = Play(POLICY)
    elect(play, "s1")
    play.connect("m1", slots=3)
    for number, spec in enumerate(specs):
        set_(play, f"s{number}", **spec)
    act(play, random.Random(seed), 25)
    return play


def changed_hands(specs: list[dict[str, Any]], seed: int) -> Play:
    """As perform, under leaders that die behind any event, each with a clock of its own."""
    chance = random.Random(seed)
    play = perform(specs, seed)
    for leader in range(2, 5):
        cut = chance.randrange(2 + len(specs), len(play.log) + 1)
        play = succeed(play.log[:cut], f"s{leader}", policy=play.policy)
        play.commands = 1000 * leader
        play.now += timedelta(seconds=chance.choice([-600, -20, -3, 0, 30, 600]))
        play.round()
        act(play, chance, 12)
    return play


@settings(max_examples=30, deadline=None)
@given(st.lists(schedules(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_a_time_is_dealt_with_once(specs: list[dict[str, Any]], seed: int) -> None:
    """Whoever leads, by whatever clock: no time is gone back to, and each that was fired has its one execution."""
    play = changed_hands(specs, seed)
    newest: dict[str, datetime] = {}
    fired: list[str] = []
    for recorded in play.log:
        data = recorded.event.data
        if isinstance(data, c.ScheduleFired | c.ScheduleSkipped):
            assert data.name not in newest or data.due_at > newest[data.name]
            assert data.next_at is not None and data.next_at > data.due_at  # noqa: PT018
            newest[data.name] = data.due_at
        if isinstance(data, c.ScheduleFired):
            fired.append(data.execution)
    executions = Counter(begun(play))
    assert set(executions.values()) <= {1}
    assert set(fired) == {id_ for id_ in executions if not id_.startswith("t")}


@settings(max_examples=30, deadline=None)
@given(st.lists(schedules(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_every_decision_comes_out_the_same(specs: list[dict[str, Any]], seed: int) -> None:
    """A replay gives no difference, folding gives the leader's state, and looking at everything decides no more."""
    play = changed_hands(specs, seed)
    assert replay(play.log).differences == []
    assert picture(play.state) == picture(fold(play.log, play.policy))
    play.round()
    play.state.revisit()
    assert decide(play.state, play.now).events == []


@settings(max_examples=30, deadline=None)
@given(schedules(), st.integers(0, 2**32))
def test_no_time_is_passed_over_in_silence(spec: dict[str, Any], seed: int) -> None:
    """Every time it was due is run, or skipped by an event that counts it."""
    chance, play = random.Random(seed), scheduled("s0", POLICY, **spec)
    since = play.now
    for _ in range(30):
        play.later(chance.choice([1, 7, 20, 61, 300]))
        if chance.random() < 0.5:
            play.run_all()
    events = [e.data for kind in ("fired", "skipped") for e in play.events(f"schedule.{kind}")]
    counted = sum(getattr(data, "count", 1) for data in events)
    schedule = Schedule(**{key: value for key, value in spec.items() if value is not None})
    due = 0
    for moment in islice(calendar.coming(schedule, since, since), 100_000):
        if moment > play.now:
            break
        due += 1
    assert counted == due


def cleared(play: Play, execution: str) -> tuple[list[Recorded], list[Span]]:
    """The log once the execution is erased, and where it stood."""
    sequences = [recorded.sequence for recorded in play.log if recorded.event.execution == execution]
    marker = c.ExecutionCleared(events=len(sequences), sequences=[(sequences[0], sequences[-1])])
    event = Event(id="gone", writer="scheduler", time=play.now, data=marker, execution=execution)
    recorded = play._record(event)
    kept = [r for r in play.log if r.event.execution != execution or r.event.kind == "execution.cleared"]
    return kept, spans(recorded)


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("overlap", ["skip", "queue"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_log_comes_out_again_though_a_run_was_cleared(overlap: str, number: int, cut: bool) -> None:
    """What was decided beside a run that is gone is taken as it stands, and everything else comes out again.

    Also where the leader that fired it died, and the one that began it is not to be seen either.
    """
    play = scheduled(overlap=overlap)
    for _ in range(3):
        play.until_due()
        if cut and len(begun(play)) == number + 1:
            play = succeed(play.log, "s2", policy=play.policy)
        for ref in play.refs():
            play.begin(ref)
            play.finish(ref)
        play.round()
    play.until_due()
    kept, gone = cleared(play, begun(play)[number])
    found = replay(kept)
    assert found.differences == []
    assert found.decisions > 5
    comparison = Comparison()
    comparison.erased.add(gone)
    assert compare(kept, comparison) == []


@settings(max_examples=15, deadline=None)
@given(st.lists(schedules(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_whoever_decides_beside_the_leader_agrees(specs: list[dict[str, Any]], seed: int) -> None:
    """A comparison finds no disagreement, whoever leads and by whatever clock."""
    assert compare(changed_hands(specs, seed).log) == []
