"""Wherever a leader dies, its successor brings the workflow to the same end.

The point of death is behind every single event of the log, so also inside each round that was half written.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from muster.model.definition.validation import validate
from muster.model.definition.workflow import Step
from muster.model.log.names import SCHEDULER
from muster.model.proof.replay import replay
from tests.fixtures.hazards import OUTCOMES, POLICY, elect, finish, settle, succeed
from tests.fixtures.play import Play


def run(id_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "image": "busybox:1", "command": ["true"], "outputs": {"n": {}}, **fields}


INNER = {
    "name": "inner",
    "inputs": {"x": {}},
    "steps": [
        {
            "chain": [
                {"id": "nap", "sleep": "1s"},
                run("work", inputs={"x": "${{ inputs.x }}"}, accepts={"x": {}, "y": {"default": 1}}),
            ]
        },
        {"id": "ask", "wait_for_input": {"prompt": "go on?"}},
    ],
    "on_finish": [{"id": "tell", "log": "inner is done"}],
    "outputs": {"n": "${{ steps.work.outputs.n }}", "ok": "${{ steps.ask.outputs.ok }}"},
}

EACH = {
    "id": "each",
    "for_each": {
        "in": "${{ inputs.all }}",
        "max_parallel": 2,
        "steps": [
            {
                "id": "pick",
                "switch": [
                    {"case": "item == 1", "name": "one", "then": [
                        {"id": "call", "workflow": "inner", "inputs": {"x": "${{ item }}"}},
                    ]},
                    {"case": "item == 2", "name": "two", "then": [
                        {"id": "both", "parallel": [run("left", concurrency={"key": "side"}), {"chain": [
                            run("right", cache={"key": "k", "scope": "global"}, concurrency={"key": "side"}),
                            {"group": []},
                            run("end", cache={"key": "k", "scope": "global"}),
                        ]}]},
                    ]},
                    {"then": [{"id": "text", "log": "it is ${{ item }}"}]},
                ],
            },
            {"id": "keep", "set": {"seen": "${{ item }}"}, "needs": ["pick"]},
        ],
    },
}  # fmt: skip

MAP = {
    "id": "sum",
    "map": {
        "over": [3, 4],
        "steps": [
            {
                "id": "if",
                "if": "item == 3",
                "then": [{"id": "deep", "for_each": {"in": ["a"], "steps": [run("unit", **{"if": "item == 'a'"})]}}],
                "else": [{"id": "until", "sleep_until": "2026-11-21T12:00:30Z"}],
            },
            {"id": "two", "set": {"n": "${{ item * 2 }}"}},
        ],
        "initial": 1,
        "reduce": "${{ item.result + item.value.two.n }}",
    },
}  # fmt: skip

STEPS = [
    {"id": "first", "set": {"v": 1}},
    {"id": "got", "get": "v", "needs": ["first"]},
    {"chain": [EACH, {"group": [MAP, {"id": "ask", "wait_for_input": {"prompt": "publish?"}}]}, run("end")]},
    {"id": "maybe", "chain": [run("inside")], "if": "steps.got.outputs.value == 1"},
    {"id": "never", "log": "not said", "if": ["steps.got.outputs.value == 2", True]},
    run("late", needs=["never"], always=True),
]
ALL = [
    "end",
    "maybe",
    "late",
]  # what is left of the others when a workflow is ending depends on how fast they are
WHOLE = {
    "name": "whole",
    "inputs": {"all": {"default": [1, 2, 3]}},
    "workflows": {"inner": INNER},
    "on_finish": [run("tidy"), {"id": "bad", "error": "nobody minds"}],
}

DEFINITIONS: dict[str, dict[str, Any]] = {
    "succeeds": {
        **WHOLE,
        "steps": STEPS,
        "outputs": {"sum": "${{ steps.sum.outputs.result }}", "end": "${{ steps.end.outputs.n }}"},
    },
    "returns": {
        **WHOLE,
        "steps": [
            *STEPS,
            {"id": "out", "return": {"all": "${{ steps.each.outputs.items }}"}, "needs": ALL},
            run("x", needs=["out"]),
        ],
    },
    "fails": {
        **WHOLE,
        "on_failure": "continue",
        "steps": [
            *STEPS,
            run("wrong", on_failure=[{"id": "tell", "log": "${{ error.name }}"}, {"chain": [run("mend"), run("end")]}]),
            {"id": "stop", "error": "enough of ${{ steps.end.outputs.n }}"},
            run("barred", needs=["wrong"]),
        ],
    },
    "drains": {
        **WHOLE,
        "steps": [*STEPS, run("wrong", needs=ALL, on_failure=[run("mend")]), run("x", needs=["wrong"])],
    },
}  # fmt: skip

FAILING = "wrong"


def played(definition: dict[str, Any]) -> Play:
    """The play that nobody disturbs, so that all that happens happens in an order of its own."""
    play = Play(POLICY)
    elect(play, "s1")
    play.submit(definition)
    finish(play, failing=FAILING)
    return play


def ends(play: Play) -> dict[str, tuple[str, Any]]:
    """How each step and each execution ended, and with what; a child goes by the step that called it."""
    names = {"x1": "x1"}
    found: dict[str, tuple[str, Any]] = {}
    for recorded in play.log:
        event, data = recorded.event, recorded.event.data
        if event.kind == "execution.queued" and data.parent is not None:
            names[event.execution] = f"{names[data.parent.execution]}/{data.parent.step}"
        kind = event.kind.partition(".")[2]
        over = event.kind in OUTCOMES or (
            event.kind.startswith("execution.") and kind in {"succeeded", "failed"}
        )
        if over:
            place = f"{names[event.execution]}:{event.step or ''}"
            assert place not in found, f"{place} has two outcomes"
            error = getattr(data, "error", None)
            found[place] = (kind, getattr(data, "outputs", None) or (error.message if error else data))
    return found


def test_every_construct_occurs_in_another():
    """Else the cuts would show less than they say."""
    assert all(validate(definition) == [] for definition in DEFINITIONS.values())
    text = repr(DEFINITIONS)
    keys = {field.encode_name for field in msgspec.structs.fields(Step)}
    plain = {
        *(
            "id",
            "description",
            "entrypoint",
            "environment",
            "working_dir",
            "user",
            "network_mode",
            "read_only",
        ),
        *(
            "pull_policy",
            "stop_grace_period",
            "retry",
            "timeouts",
            "machine",
            "resources",
            "tags",
            "priority",
            "function",
            "params",
            "isolation",
        ),
    }
    assert {key for key in keys - plain if f"'{key}':" not in text} <= {"gives_result"}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_undisturbed_play_ends_as_it_should(name: str):
    """The measure for the others."""
    play = played(DEFINITIONS[name])
    found = ends(play)
    assert found["x1:"][0] == ("failed" if name in {"fails", "drains"} else "succeeded")
    assert found["x1:on_finish/tidy"][0] == "succeeded"
    assert replay(play.log).differences == []
    if name == "succeeds":
        assert found["x1:"][1] == {"sum": 15, "end": "end"}


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_leader_may_die_behind_any_event(name: str):
    """Its successor comes to the same outputs and the same outcome, and each step has one outcome."""
    play = played(DEFINITIONS[name])
    expected = ends(play)
    accepted = next(r.sequence for r in play.log if r.event.kind == "execution.queued")
    for cut in range(accepted, len(play.log) + 1):
        successor = succeed(play.log[:cut])
        successor.round()
        assert successor.round().events == []
        finish(successor, failing=FAILING)
        assert not successor.state.executions, cut
        assert ends(successor) == expected, cut
        assert replay(successor.log).differences == [], cut


@pytest.mark.slow
def test_leaders_may_die_one_after_the_other():
    """Each decides a few events, and is gone in the middle of its round."""
    expected = ends(played(DEFINITIONS["succeeds"]))
    for few in (1, 2, 3, 5):
        play = Play(POLICY)
        elect(play, "s0")
        play.submit(DEFINITIONS["succeeds"])
        for term in range(300):
            if not play.state.executions:
                break
            before = len(play.log)
            settle(play)
            decided = [r.sequence for r in play.log[before:] if r.event.writer == SCHEDULER]
            play = succeed(play.log[: decided[few - 1]] if len(decided) >= few else play.log, f"s{term + 1}")
        assert ends(play) == expected
        assert replay(play.log).differences == []


HANDLERS = {
    "input": [{"id": "h", "wait_for_input": {}}, run("b", needs=["h"])],
    "sleep": [{"id": "h", "sleep": "5h"}],
    "container": [run("h"), run("b", needs=["h"])],
    "queue": [run("g", resources={"slots": 3}), run("h", resources={"slots": 4})],
    "loop": [
        {
            "id": "h",
            "for_each": {"in": [1, 2], "max_parallel": 1, "steps": [{"id": "a", "wait_for_input": {}}]},
        }
    ],
    "child": [{"id": "h", "workflow": "inner", "inputs": {"x": 1}}],
}


@pytest.mark.parametrize("where", ["on_finish", "on_failure"])
@pytest.mark.parametrize("name", HANDLERS)
def test_a_handler_that_takes_too_long_is_given_up(name: str, where: str):
    """Whatever it waits for: the execution ends as it had to, and nothing of it stays."""
    first: dict[str, Any] = {"id": "a", "error": "no"}
    definition: dict[str, Any] = {"name": "w", "workflows": {"inner": INNER}, "steps": [first]}
    (definition if where == "on_finish" else first)[where] = HANDLERS[name]
    play = Play(POLICY)
    elect(play, "s1")
    play.connect("m1", slots=4)
    play.submit(definition)
    for ref in play.refs():
        play.begin(ref)
    for _ in range(20):
        play.later(POLICY.handler_timeout_s / 4)
        play.obey()
    assert not play.state.executions
    assert len(play.events("execution.failed")) == 1
    assert replay(play.log).differences == []
