"""What every construct does, decided and folded without any broker."""

from __future__ import annotations

import pytest

from tests.fixtures.controlled import CHILD, ends, go, outcome, outputs, played, step

pytestmark = pytest.mark.usefixtures("sound")


def test_a_chain_runs_in_order():
    """Each element begins when the one before it is done."""
    play = go(played({"chain": [step("a"), {"group": [step("b"), step("c")]}, step("d")]}))
    assert [r.event.step for r in play.log if r.event.kind == "step.scheduled"] == ["a", "b", "c", "d"]
    assert outcome(play) == "succeeded"


def test_an_empty_group_keeps_the_order_around_it():
    """What stands behind an empty group still waits for what stands before it."""
    play = played({"chain": [step("a"), {"group": []}, step("b")]})
    assert [ref.step for ref in play.refs()] == ["a"]
    assert list(ends(go(play))) == ["a", "b"]


def test_a_condition_that_is_false_skips_the_step_and_is_no_failure():
    """The rest goes on, also what needs the step."""
    play = go(
        played(
            step("a"),
            step("b", **{"if": "inputs.on"}),
            step("c", needs=["b"]),
            inputs={"on": {"type": "boolean"}},
            given={"on": False},
        )
    )
    assert ends(play) == {"a": "succeeded", "b": "skipped condition", "c": "succeeded"}
    assert outcome(play) == "succeeded"


def test_all_conditions_of_a_list_must_hold():
    """One that is false is enough."""
    play = go(played(step("a", **{"if": [True, "1 < 2"]}), step("b", **{"if": ["1 < 2", "${{ 2 < 1 }}"]})))
    assert ends(play) == {"b": "skipped condition", "a": "succeeded"}


def test_a_condition_that_is_no_boolean_fails_the_step():
    """A text is neither true nor false."""
    play = go(played(step("a"), step("b", **{"if": "steps.a.outputs.n"})))
    assert ends(play)["b"] == "failed"
    assert outcome(play) == "failed"


@pytest.mark.parametrize(("on", "taken"), [(True, "x/then/a"), (False, "x/else/b")])
def test_if_takes_one_of_two_branches(on: bool, taken: str):
    """The outputs of the branch are those of the step."""
    branch = {"id": "x", "if": "inputs.on", "then": [step("a")], "else": [step("b")]}
    play = go(
        played(
            branch,
            inputs={"on": {"type": "boolean"}},
            outputs={"n": "${{ steps.x.outputs.n }}"},
            given={"on": on},
        )
    )
    assert outputs(play, "x") == {"n": taken}
    assert outcome(play) == "succeeded"


@pytest.mark.parametrize(("size", "taken"), [(1, "x/case-1/a"), (5, "x/mid/b"), (50, "x/default/c")])
def test_switch_takes_the_first_case_that_holds(size: int, taken: str):
    """One without a case is always taken."""
    cases = [
        {"case": "inputs.size < 3", "then": [step("a")]},
        {"case": "inputs.size < 10", "name": "mid", "then": [step("b")]},
        {"then": [step("c")]},
    ]
    play = go(
        played({"id": "x", "switch": cases}, inputs={"size": {"type": "integer"}}, given={"size": size})
    )
    assert outputs(play, "x") == {"n": taken}


def test_a_switch_without_a_match_gives_nothing():
    """It is no failure."""
    play = go(played({"id": "x", "switch": [{"case": "1 > 2", "then": [step("a")]}]}))
    assert ends(play) == {"x": "succeeded"}


def test_for_each_gives_the_outputs_in_the_order_of_the_items():
    """However many run at once, and whichever is done first."""
    play = played(
        {
            "id": "each",
            "for_each": {
                "in": "${{ inputs.all }}",
                "max_parallel": 2,
                "steps": [step("a", command=["x", "${{ item }}"])],
            },
        },
        inputs={"all": {"type": "array"}},
        given={"all": ["p", "q", "r"]},
    )
    assert [ref.step for ref in play.refs()] == ["each/0/a", "each/1/a"]
    second = play.refs()[1]
    play.begin(second)
    play.finish(second, n="second")
    play.round()
    assert [ref.step for ref in play.refs()] == ["each/0/a", "each/2/a"]
    assert play.orders[play.refs()[1]][1].container.command == ["x", "r"]
    go(play)
    assert outputs(play, "each") == {"items": [{"n": "each/0/a"}, {"n": "second"}, {"n": "each/2/a"}]}


def test_for_each_over_a_mapping_sees_keys_and_values():
    """In the order in which they were given."""
    body = {"id": "s", "log": "${{ item.key }}=${{ item.value }}"}
    play = go(played({"id": "each", "for_each": {"in": {"a": 1, "b": 2}, "steps": [body]}}))
    assert [found["message"] for found in outputs(play, "each")["items"]] == ["a=1", "b=2"]


def test_for_each_over_nothing_succeeds():
    """With an empty list of results."""
    play = go(played({"id": "each", "for_each": {"in": [], "steps": [step("a")]}}))
    assert outputs(play, "each") == {"items": []}
    assert outcome(play) == "succeeded"


@pytest.mark.parametrize("at_once", [1, 5_000])
def test_thousands_of_members_with_nothing_in_them_are_done_at_once(at_once: int):
    """Each closes as it opens, which takes no more of the stack for many than for one."""
    loop = {"in": "${{ inputs.all }}", "max_parallel": at_once, "steps": [{"group": []}]}
    each = {"id": "each", "for_each": loop}
    play = go(played(each, inputs={"all": {"type": "array"}}, given={"all": [0] * 5_000}))
    assert outputs(play, "each") == {"items": [{}] * 5_000}
    assert outcome(play) == "succeeded"


def test_an_item_that_fails_ends_the_loop_after_what_runs():
    """No further item is begun, and the step has the error of the first that failed."""
    play = played({"id": "each", "for_each": {"in": [1, 2, 3], "max_parallel": 2, "steps": [step("a")]}})
    go(play, failing=("each/0/a",))
    assert ends(play) == {"each/0/a": "failed", "each/1/a": "succeeded", "each": "failed"}
    assert outcome(play) == "failed"


def test_items_go_on_after_a_failure_where_that_is_asked_for():
    """The step still fails in the end."""
    loop = {"in": [1, 2, 3], "max_parallel": 1, "on_failure": "continue", "steps": [step("a")]}
    play = go(played({"id": "each", "for_each": loop}), failing=("each/0/a",))
    assert ends(play) == {
        "each/0/a": "failed",
        "each/1/a": "succeeded",
        "each/2/a": "succeeded",
        "each": "failed",
    }


def test_map_reduces_the_results_in_order():
    """From the initial value on."""
    body = {"id": "double", "set": {"twice": "${{ item * 2 }}"}}
    loop = {
        "over": [1, 2, 3],
        "steps": [body],
        "initial": 100,
        "reduce": "${{ item.result + item.value.twice }}",
    }
    play = go(played({"id": "sum", "map": loop}))
    assert outputs(play, "sum")["result"] == 112


def test_loops_nest():
    """Each level has its own items, and each is gone when it is done."""
    inner = {"id": "in", "for_each": {"in": "${{ item }}", "steps": [step("a")]}}
    play = go(played({"id": "out", "for_each": {"in": [[1], [2, 3]], "steps": [inner]}}))
    assert outputs(play, "out") == {
        "items": [
            {"items": [{"n": "out/0/in/0/a"}]},
            {"items": [{"n": "out/1/in/0/a"}, {"n": "out/1/in/1/a"}]},
        ]
    }


def test_parallel_gathers_the_outputs_of_its_branches():
    """In the order in which they are written."""
    play = go(
        played(
            {"id": "p", "parallel": [{"chain": [step("a"), step("b")]}, step("c")]}, step("d", needs=["p"])
        )
    )
    assert outputs(play, "p") == {"branches": [{"n": "b"}, {"n": "c"}]}
    assert list(ends(play))[-1] == "d"


def test_variables_are_set_and_read():
    """What was set last counts."""
    play = go(
        played(
            {"id": "one", "set": {"x": 1}},
            {"id": "two", "set": {"x": "${{ vars.x + 1 }}"}, "needs": ["one"]},
            {"id": "got", "get": "x", "needs": ["two"]},
        )
    )
    assert outputs(play, "got") == {"value": 2}


def test_a_sleep_takes_its_time():
    """What needs it waits for it."""
    play = played({"id": "nap", "sleep": "10s"}, step("a", needs=["nap"]))
    play.later(9.0)
    assert play.refs() == []
    play.later(1.0)
    assert [ref.step for ref in play.refs()] == ["a"]
    assert outcome(go(play)) == "succeeded"


def test_sleep_until_a_time():
    """A time that has passed is no wait."""
    play = played(
        {"id": "nap", "sleep_until": "${{ inputs.at }}"},
        inputs={"at": {}},
        given={"at": "2020-01-01T00:00:00Z"},
    )
    play.later(0.0)
    assert outcome(play) == "succeeded"


def test_an_error_step_fails_the_execution_with_its_message():
    """Also where it is the last step."""
    play = go(played(step("a"), {"id": "stop", "error": "no ${{ steps.a.outputs.n }}"}))
    (failed,) = play.events("execution.failed")
    assert failed.data.error.message == "no a"
    assert failed.data.error.name == "RaisedError"


def test_return_ends_the_execution_with_its_value():
    """What has not begun is not run."""
    play = go(
        played(
            step("a"), {"id": "out", "return": {"x": "${{ steps.a.outputs.n }}"}}, step("b", needs=["out"])
        )
    )
    (ended,) = play.events("execution.succeeded")
    assert ended.data.outputs == {"x": "a"}
    assert ends(play)["b"] == "skipped ending"


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_return_in_a_loop_ends_the_whole_execution(at_once: int):
    """With its value; what has not begun of this member, of others and behind the loop is not run."""
    body = [
        {"id": "found", "if": "item == 2", "return": {"n": "${{ item }}"}},
        {"id": "on", "log": "x", "needs": ["found"]},
    ]
    loop = {"in": [1, 2, 3, 4], "max_parallel": at_once, "steps": body}
    play = played({"id": "each", "for_each": loop}, {"id": "later", "log": "y", "needs": ["each"]})
    (ended,) = play.events("execution.succeeded")
    assert ended.data.outputs == {"n": 2}
    assert {event.step for event in play.events("step.succeeded")} <= {"each/0/on", "each/1/found"}
    assert [event.step for event in play.events("step.cancelled")] == ["each"]
    assert "later" in {event.step for event in play.events("step.skipped")}


def test_constructs_nest_in_each_other():
    """A branch in a loop in a chain, with a child and a wait in it."""
    branch = {
        "id": "pick",
        "if": "item > 1",
        "then": [{"id": "nap", "sleep": "1s"}, step("a", needs=["nap"])],
        "else": [{"id": "call", "workflow": "inner", "inputs": {"x": "${{ item }}"}}],
    }
    play = played(
        {"chain": [{"id": "each", "for_each": {"in": [1, 2], "steps": [branch]}}, step("end")]},
        workflows={"inner": CHILD},
    )
    go(play)
    play.later(1.0)
    go(play)
    assert outputs(play, "each")["items"][0] == {"y": 1}
    assert outcome(play) == "succeeded"
    assert not play.state.executions
