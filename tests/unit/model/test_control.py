"""What every construct does, decided and folded without any broker."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model import catalogue as c
from muster.model.commands import Resume
from muster.model.replay import replay
from muster.model.results import Result
from muster.model.validation import from_object
from tests.fixtures.play import Play, fold
from tests.unit.model.test_properties import picture
from tests.unit.model.test_replay import elected

RUN = {"image": "busybox:1", "command": ["true"], "outputs": {"n": {}}}


def step(id_: str, **fields: Any) -> dict[str, Any]:
    """A container step with an output n, which is its id where nothing else is said."""
    return {"id": id_, **RUN, **fields}


def played(*steps: dict[str, Any], given: dict[str, Any] | None = None, **fields: Any) -> Play:
    """A workflow of these steps, begun on one machine."""
    play = Play()
    elected(play, "s1")
    play.connect("m1", slots=100)
    definition = {"name": "w", "steps": list(steps), **fields}
    from_object(definition)
    play.submit(definition, **(given or {}))
    return play


def go(play: Play, *, failing: tuple[str, ...] = (), limit: int = 100) -> Play:
    """Every attempt gives its path as n, or fails, until nothing moves."""
    for _ in range(limit):
        refs = play.refs()
        for ref in refs:
            play.begin(ref)
            if ref.step in failing:
                play.fail(ref)
            else:
                play.finish(ref, n=ref.step)
        before = len(play.log)
        play.round()
        if not refs and len(play.log) == before:
            return play
    raise AssertionError("it does not come to rest")


def outcome(play: Play, execution: str = "x1") -> str:
    """The kind of the last event about the execution itself."""
    found = [
        r.event for r in play.log if r.event.execution == execution and r.event.kind.startswith("execution.")
    ]
    return found[-1].kind.partition(".")[2]


def outputs(play: Play, step: str, execution: str = "x1") -> dict[str, Any]:
    """What a step gave."""
    (found,) = (
        r.event.data.outputs
        for r in play.log
        if r.event.execution == execution and r.event.step == step and r.event.kind == "step.succeeded"
    )
    return found


def ends(play: Play, execution: str = "x1") -> dict[str, str]:
    """How each step ended."""
    return {
        r.event.step: r.event.kind.partition(".")[2]
        + (f" {reason}" if (reason := getattr(r.event.data, "reason", "")) else "")
        for r in play.log
        if r.event.execution == execution
        and r.event.kind in {"step.succeeded", "step.failed", "step.skipped", "step.cancelled"}
    }


@pytest.fixture(autouse=True)
def sound(request: pytest.FixtureRequest):
    """Whatever was played replays, and folds to the state its leader has."""
    made: list[Play] = []
    real = Play.__init__

    def remembered(self: Play, *arguments: Any, **more: Any) -> None:
        real(self, *arguments, **more)
        made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Play, "__init__", remembered)
        yield
    for play in made:
        assert replay(play.log).differences == []
        assert picture(play.state) == picture(fold(play.log, play.policy))


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


def answer(play: Play, value: Any, **fields: Any) -> None:
    """Give input."""
    play.commands += 1
    play.round(Resume(id=f"command-{play.commands}", execution="x1", input=value, **fields))


ASK = {
    "id": "ask",
    "wait_for_input": {"prompt": "Publish?", "schema": {"type": "object", "required": ["ok"]}},
}


def test_an_execution_waits_for_input_and_goes_on_with_it():
    """Its status says so meanwhile; a second answer changes nothing."""
    play = played(ASK, step("a", **{"if": "steps.ask.outputs.ok"}))
    (execution,) = play.state.executions.values()
    assert execution.status == "awaiting_input"
    answer(play, {"ok": True})
    answer(play, {"ok": False})
    assert play.events("command.refused") == []
    assert outcome(go(play)) == "succeeded"
    assert [e.data.transition.type for e in play.events("execution.resumed")] == ["resume"]
    assert ends(play) == {"ask": "succeeded", "a": "succeeded"}


def test_an_answer_that_does_not_fit_is_refused():
    """The step goes on waiting."""
    play = played(ASK)
    answer(play, {"no": 1})
    (refused,) = play.events("command.refused")
    assert "'ok' is a required property" in refused.data.error.message
    answer(play, {"ok": 1})
    assert outcome(play) == "succeeded"


def test_the_token_answers_its_own_step_only():
    """A wrong one is refused."""
    play = played(ASK, {"id": "other", "wait_for_input": {}})
    tokens = {event.step: event.data.token for event in play.events("step.waiting")}
    answer(play, {"ok": 1}, token="wrong")
    answer(play, {"ok": 1})
    assert len(play.events("command.refused")) == 2
    answer(play, {"ok": 1}, token=tokens["ask"])
    answer(play, 5, step="other")
    assert outcome(play) == "succeeded"
    assert outputs(play, "other") == {"value": 5}


def test_input_that_does_not_come_in_time_fails_the_step():
    """Straight from awaiting_input to failed."""
    play = played({"id": "ask", "wait_for_input": {"timeout": "1h"}})
    play.later(3600.0)
    (failed,) = play.events("execution.failed")
    assert failed.data.transition.before == "awaiting_input"
    assert failed.data.error.name == "StepTimeoutError"


def test_always_runs_after_a_failure():
    """Whatever became of what it needs; what needs a failed step does not run."""
    play = go(played(step("a"), step("b", needs=["a"]), step("c", needs=["a"], always=True)), failing=("a",))
    assert ends(play) == {"a": "failed", "b": "skipped ending", "c": "succeeded"}
    assert outcome(play) == "failed"


def test_on_failure_continue_runs_what_does_not_need_it():
    """The execution fails in the end all the same."""
    play = go(
        played(step("a"), step("b", needs=["a"]), step("c", needs=["b"]), step("d"), on_failure="continue"),
        failing=("a",),
    )
    assert ends(play) == {"a": "failed", "d": "succeeded", "b": "skipped upstream", "c": "skipped upstream"}
    assert outcome(play) == "failed"


def test_on_failure_cancel_stops_what_runs():
    """Nothing is let end."""
    play = played(step("a"), step("b"), on_failure="cancel")
    a, b = play.refs()
    for ref in (a, b):
        play.begin(ref)
    play.fail(a)
    play.round()
    assert b in play.stops
    play.stopped(b)
    play.round()
    assert ends(play) == {"a": "failed", "b": "cancelled"}
    assert outcome(play) == "failed"


def test_a_step_is_rescued_and_fails_all_the_same():
    """What is run for it sees its error."""
    rescue = [{"id": "tell", "log": "${{ error.name }} in ${{ error.step }}"}]
    play = go(played(step("a", on_failure=rescue)), failing=("a",))
    assert outputs(play, "a/on_failure/tell") == {"message": "ExecutionError in a"}
    assert outcome(play) == "failed"


@pytest.mark.parametrize("failing", [(), ("a",)])
def test_on_finish_runs_however_it_ends(failing: tuple[str, ...]):
    """Its own failure changes nothing."""
    play = go(
        played(
            step("a"),
            on_finish=[step("tidy"), {"id": "bad", "error": "oh"}],
            outputs={"n": "${{ steps.a.outputs.n }}"},
        ),
        failing=failing,
    )
    assert ends(play)["on_finish/tidy"] == "succeeded"
    assert ends(play)["on_finish/bad"] == "failed"
    assert outcome(play) == ("failed" if failing else "succeeded")


def test_on_finish_runs_after_a_cancel():
    """Once nothing else is live."""
    play = played(step("a"), on_finish=[step("tidy")])
    (a,) = play.refs()
    play.begin(a)
    play.cancel()
    assert [ref.step for ref in play.refs()] == ["a"]
    play.stopped(a)
    play.round()
    assert [ref.step for ref in play.refs()] == ["on_finish/tidy"]
    assert outcome(go(play)) == "cancelled"


CHILD = {"name": "inner", "inputs": {"x": {}}, "steps": [step("a")], "outputs": {"y": "${{ inputs.x }}"}}


def test_a_workflow_step_runs_a_child_and_has_its_outputs():
    """Both say who the other is."""
    play = go(played({"id": "call", "workflow": "inner", "inputs": {"x": 7}}, workflows={"inner": CHILD}))
    (begun,) = (e for e in play.events("step.started") if e.step == "call")
    child = begun.data.child
    queued = next(e for e in play.events("execution.queued") if e.execution == child)
    assert (queued.data.parent.execution, queued.data.parent.step) == ("x1", "call")
    assert outputs(play, "call") == {"y": 7}
    assert outcome(play) == outcome(play, child) == "succeeded"


def test_a_child_that_fails_fails_its_step():
    """With the child's error."""
    play = go(
        played({"id": "call", "workflow": "inner", "inputs": {"x": 7}}, workflows={"inner": CHILD}),
        failing=("a",),
    )
    assert ends(play) == {"call": "failed"}


def test_cancelling_travels_to_the_child():
    """The parent ends when the child has."""
    play = played({"id": "call", "workflow": "inner", "inputs": {"x": 7}}, workflows={"inner": CHILD})
    (ref,) = play.refs()
    play.begin(ref)
    play.cancel()
    assert ref in play.stops
    play.stopped(ref)
    play.round()
    assert [outcome(play, x) for x in ("x1", ref.execution)] == ["cancelled", "cancelled"]


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


def said(play: Play, **result: Any) -> None:
    """The only attempt ends, and says this of itself."""
    (ref,) = play.refs()
    play.begin(ref)
    machine, _ = play.orders.pop(ref)
    play.fact(machine, c.AttemptFinished(result=Result(**result)), ref)
    play.round()


def test_a_container_may_skip_its_step():
    """That is no failure, and what it said is kept."""
    play = played(step("a"), step("b", needs=["a"]))
    said(play, kind="skip", reason="nothing new")
    go(play)
    (skipped,) = play.events("step.skipped")
    assert (skipped.data.reason, skipped.data.message) == ("asked", "nothing new")
    assert ends(play)["b"] == "succeeded"


def test_a_container_that_asks_to_be_run_again_is():
    """After a wait between the two it names; that spends a budget of its own."""
    play = played(step("a"))
    for number in range(3):
        said(play, kind="retry", wait_min=10.0, wait_max=20.0, max_retries=3)
        retrying = play.events("step.retrying")[number].data
        assert (retrying.budget, retrying.used) == ("asked", number + 1)
        assert 10.0 <= (retrying.due_at - play.now).total_seconds() <= 20.0
        play.until_due()
    said(play, kind="retry", wait_min=10.0, wait_max=20.0, max_retries=3)
    (failed,) = play.events("execution.failed")
    assert failed.data.error.name == "RetriableError"
    assert len(play.events("step.scheduled")) == 4


def test_a_container_may_ask_to_be_looked_at_later():
    """As often as it likes; what it wants to remember is given to the next run."""
    play = played(step("a"))
    for number in range(5):
        said(play, kind="check_later", wait_min=30.0, context={"seen": number})
        assert play.refs() == []
        play.later(29.0)
        assert play.refs() == []
        play.later(1.0)
        (ref,) = play.refs()
        assert play.orders[ref][1].context == {"seen": number}
    assert play.events("step.retrying") == []
    assert outcome(go(play)) == "succeeded"


def test_what_is_to_be_remembered_stays_where_nothing_new_is_said():
    """A later check without a context keeps the one before."""
    play = played(step("a"))
    said(play, kind="check_later", wait_min=1.0, context={"job": 1})
    play.later(1.0)
    said(play, kind="check_later", wait_min=1.0)
    play.later(1.0)
    (ref,) = play.refs()
    assert play.orders[ref][1].context == {"job": 1}


def test_a_cancel_ends_the_waiting_for_a_later_check():
    """Nothing is live then."""
    play = played(step("a"))
    said(play, kind="check_later", wait_min=30.0)
    play.cancel()
    assert outcome(play) == "cancelled"
