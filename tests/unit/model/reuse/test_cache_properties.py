"""What holds of the result cache in every play: whatever fails, whoever leads, however steps wait for room."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.log import catalogue as c
from muster.model.policy import Policy
from muster.model.proof.replay import replay
from tests.fixtures.constructs import workflows
from tests.fixtures.hazards import OUTCOMES, act, elect, finish, succeed
from tests.fixtures.play import Play, fold

pytestmark = pytest.mark.slow

SMALL = Policy(offline_timeout_s=60.0, handler_timeout_s=120.0, cache_kept=2)


def perform(definition: dict[str, Any], chance: random.Random) -> Play:
    """Three executions of one workflow among hazards, with a cache of two entries, and machines of few slots."""
    play = Play(SMALL)
    elect(play, "s1")
    for name in ("x1", "x2", "x3"):
        play.submit(definition, name)
        for _ in range(chance.randrange(40)):
            act(play, chance)
    finish(play)
    return play


def told(play: Play) -> dict[tuple[str, str], list[str]]:
    """The outcomes of each step."""
    found: dict[tuple[str, str], list[str]] = {}
    for recorded in play.log:
        event = recorded.event
        if event.kind in OUTCOMES:
            found.setdefault((event.execution, event.step or ""), []).append(event.kind)
    return found


@settings(max_examples=60, deadline=None)
@given(workflows(caching=True), st.integers(0, 2**32))
def test_what_is_found_is_found_again_by_whoever_folds_the_log(definition: dict[str, Any], seed: int) -> None:
    """A replay makes every decision again, a fold has the same cache, and what was found was made before."""
    play = perform(definition, random.Random(seed))
    assert replay(play.log).differences == []
    assert fold(play.log, play.policy).cache.entries == play.state.cache.entries
    assert all(len(kinds) == 1 for kinds in told(play).values())
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for event in (recorded.event for recorded in play.log):
        if isinstance(event.data, c.StepSucceeded):
            made[event.execution, event.step or ""] = event.data.outputs
            if event.data.reason == "cached":
                source = event.data.source
                assert source is not None
                assert made[source.execution, source.step] == event.data.outputs


@settings(max_examples=40, deadline=None)
@given(workflows(caching=True), st.integers(0, 2**32))
def test_a_leader_may_die_anywhere(definition: dict[str, Any], seed: int) -> None:
    """Its successor finds what it would have found, and every step has one outcome."""
    chance = random.Random(seed)
    play = perform(definition, chance)
    successor = succeed(play.log[: chance.randint(2, len(play.log))], policy=SMALL)
    finish(successor)
    assert replay(successor.log).differences == []
    assert all(len(kinds) == 1 for kinds in told(successor).values())
