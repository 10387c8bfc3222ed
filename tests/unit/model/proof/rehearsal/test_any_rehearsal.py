"""What holds of every rehearsal, whatever was recorded and whatever is changed."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from muster.model.policy import Policy
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.rehearse import rehearse
from tests.fixtures.clocked import ClockedPlay
from tests.fixtures.drawn import take_place, workflows
from tests.fixtures.hazards import act, settle, succeed


def perform(definitions: list[dict[str, Any]], seed: int) -> ClockedPlay:
    """Run the workflows to their end under whatever chance brings."""
    play = ClockedPlay(Policy(offline_timeout_s=60.0))
    take_place(play, definitions, seed)
    return play


@settings(max_examples=100, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_unchanged_rules_give_what_is_recorded(definitions: list[dict[str, Any]], seed: int) -> None:
    """Whatever happened, played again unchanged it comes out as recorded: outcomes, attempts, machines and times."""
    found = rehearse(perform(definitions, seed).log, Changes())
    assert [execution.deviations for execution in found.executions] == [[]] * len(definitions)
    assert found.drift_s < 0.01
    assert found.same


def step(name: str, *needs: str, machine: str | None = None, calls: bool = True) -> dict[str, Any]:
    """A step of a definition that was found."""
    found: dict[str, Any] = {"id": name, "image": "busybox:1", "command": ["true"], "needs": [*needs]}
    found |= {"function": "g", "isolation": "shared"} if calls else {}
    found |= {"retry": {"max_attempts": 1, "backoff": {"initial": "1s"}}}
    return found | ({"machine": machine} if machine else {})


FOUND = [
    [step("s0"), step("s1", "s0", machine="m1"), step("s2", calls=False), step("s3", "s0", calls=False)],
    [
        step("s0"),
        step("s1", machine="m1"),
        step("s2", "s1", calls=False),
        step("s3", "s0"),
        step("s4", "s0"),
    ],
]


@settings(max_examples=60, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=2), st.integers(0, 2**32))
@example([{"name": "play", "steps": steps} for steps in FOUND], 36450)
def test_a_log_of_several_leaders_comes_out_again(definitions: list[dict[str, Any]], seed: int) -> None:
    """Where leaders died between rounds and in the middle of one, nobody decides until the next was elected."""
    play, chance = ClockedPlay(Policy(offline_timeout_s=60.0)), random.Random(seed)
    for term in range(1, 4):
        for number, definition in enumerate(definitions):
            play.submit(definition, f"x{term}-{number}")
        for _ in range(40):
            act(play, chance)
        cut = chance.randrange(max(1, len(play.log) - 8), len(play.log) + 1)
        play = ClockedPlay.following(succeed(play.log[:cut], "s", policy=play.policy))
        play.round()
    for _ in range(200):
        if play.state.executions:
            settle(play)
    found = rehearse(play.log, Changes())
    assert [execution.deviations for execution in found.executions if execution.deviations] == []
    assert found.drift_s < 0.01


RULES = (
    Changes(steps={"*": {"retry": {"max_attempts": 1}}}),
    Changes(steps={"*": {"retry": {"max_attempts": 5}}}),
    Changes(policy={"beats_missed_max": 30}),
    Changes(policy={"beats_missed_max": 1, "beat_slack_s": 0, "lost_max": 50}),
    Changes(policy={"accept_timeout_s": 1, "lost_max": 1000}),
    Changes(machines={"m1": {"absent": True}, "m2": {"slots": 1}}),
    Changes(machines={"m4": {"like": "m1"}}),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(workflows(), min_size=1, max_size=3),
    st.integers(0, 2**32),
    st.sampled_from(RULES),
    st.sampled_from(["repeat", "succeed"]),
)
def test_changed_rules_always_give_an_answer(
    definitions: list[dict[str, Any]], seed: int, rules: Changes, assume: Any
) -> None:
    """Whatever is changed, the play ends by itself, and the same question gets the same answer."""
    play = perform(definitions, seed)
    for machine in ("m1", "m2"):
        if machine not in play.state.machines:
            play.connect(machine, slots=2)
    found = rehearse(play.log, rules, assume, rounds_max=100_000)
    assert not any("the play was ended" in one.text for one in found.assumed)
    assert found == rehearse(play.log, rules, assume)
