"""The traps that the predecessors fell into, by their numbers: each is run here and comes out right.

What needs machines that die is in crash/test_traps.py, what needs images in docker/test_traps.py, what takes weeks in
tests/integration/test_traps.py.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta

import nats
import pytest

from muster.model.log.catalogue import StepWaiting
from tests.acceptance.cli import PATIENCE_S, Muster, muster
from tests.acceptance.seen import (
    PRINTS,
    SAYS,
    begun,
    call,
    happened,
    recorded,
    refused,
    run,
    shell,
    shown,
    workflow,
)

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(150)]

MODULE = """
def double(n: int): return 2 * n
def a_set(): return {1, 2}
def again(): import muster_function; return muster_function.Retry()
def third(folder):
    with open(folder + "/tries", "a") as file: file.write("x")
    if len(open(folder + "/tries").read()) < 2: raise RuntimeError("not yet")
    return {"n": 1}
"""


@pytest.mark.parametrize("said", ['{"$result": "retry"}', '{"$result": "retry", "max_retries": null}'])
def test_trap_01_retry_without_arguments_is_a_retry(muster: Muster, said: str):
    """A retry that names no bounds is run again soon, where hymir hung for ever."""
    script = f'test "$MUSTER_ATTEMPT" -gt 1 || {SAYS % said}'
    found = run(muster, shell("again", script, gives_result=True))
    assert (found["status"], found["steps"]["again"]["attempt"]) == ("succeeded", 2)


def test_trap_01_a_function_that_asks_for_a_retry_without_arguments_has_one(muster: Muster):
    """Retry() of a function is four calls at most, and then an error."""
    muster.write("module.py", MODULE)
    found = run(muster, call(muster, "it", "module:again"), code=1)
    assert (found["error"]["code"], found["steps"]["it"]["attempt"]) == ("retriable", 4)


@pytest.mark.parametrize("retries", [0, 2])
def test_trap_01_a_budget_of_n_retries_is_n_more_executions(muster: Muster, retries: int):
    """max_retries counts what comes after the first, and max_attempts all: exactly that many are run."""
    asks = json.dumps({"$result": "retry", "wait_max": "10ms", "max_retries": retries})
    found = run(muster, shell("asks", SAYS % asks, gives_result=True), code=1)
    assert (found["status"], found["error"]["code"]) == ("failed", "retriable")
    assert found["steps"]["asks"]["attempt"] == retries + 1
    retry = {"max_attempts": retries + 1, "backoff": {"initial": "10ms"}}
    found = run(muster, shell("breaks", "exit 1", retry=retry), code=1)
    kinds = [kind for kind, _ in happened(muster, found["execution"])]
    assert kinds.count("attempt.started") == retries + 1


@pytest.mark.parametrize("said", ["{1, 2}", '{"n": NaN}', '{"n": 1e999}', "\\377"])
def test_trap_02_an_output_that_is_no_json_fails_the_step(muster: Muster, said: str):
    """What cannot be written down is an error of the step, told in words; nothing hangs."""
    outputs = {"n": {"type": "any"}}
    script = f"""printf '%b' '{said}' > "$MUSTER_OUTPUT" """
    found = run(muster, shell("writes", script, outputs=outputs), code=1)
    assert (found["status"], found["error"]["code"]) == ("failed", "output")


def test_trap_02_a_result_of_a_function_that_is_no_json_fails_the_step(muster: Muster):
    """The error says what was returned."""
    muster.write("module.py", MODULE)
    error = run(muster, call(muster, "it", "module:a_set"), code=1)["error"]
    assert error["code"] == "output"
    assert "set" in error["message"]


def test_trap_03_a_finish_hook_that_fails_changes_no_outcome(muster: Muster):
    """What on_finish does is recorded, also its failure; the execution ends as it would have."""
    hook = [shell("tell", "exit 9")]
    found = run(muster, shell("good", "true"), on_finish=hook)
    assert found["status"] == "succeeded"
    assert found["steps"]["on_finish/tell"]["status"] == "failed"
    found = run(muster, shell("bad", "exit 3"), on_finish=hook, code=1)
    assert (found["status"], found["error"]["step"]) == ("failed", "bad")
    assert found["steps"]["on_finish/tell"]["error"]["details"]["exit_code"] == 9


def test_trap_05_check_later_waits_as_long_as_asked(muster: Muster):
    """The wait is honoured, the context carried though the next says none, and no retry is counted."""
    script = f"""
    case "$MUSTER_ATTEMPT" in
      1) {SAYS % '{"$result": "check_later", "wait_for": "1200ms", "context": {"job": 17}}'} ;;
      2) {SAYS % '{"$result": "check_later", "wait_for": 0}'} ;;
      *) printf '{{"seen": %s}}' "$(cat "$MUSTER_CONTEXT")" > "$MUSTER_OUTPUT" ;;
    esac"""
    found = run(muster, shell("later", script, outputs={"seen": {"type": "object"}}))
    assert found["steps"]["later"]["outputs"] == {"seen": {"job": 17}}
    log = [one.event for one in recorded(muster, found["execution"])]
    _, second, _ = [event.time for event in log if event.kind == "attempt.started"]
    ended, *_ = [event.time for event in log if event.kind == "attempt.finished"]
    (decided, due), *_ = [(one.time, one.data.due_at) for one in log if isinstance(one.data, StepWaiting)]
    assert due is not None
    assert due - decided <= timedelta(seconds=1.2) <= due - ended
    assert second >= due
    assert not [event for event in log if event.kind == "step.retrying"]


def test_trap_06_an_empty_group_keeps_the_order_around_it(muster: Muster):
    """What stands behind it starts when what stands before it has ended."""
    chain = [shell("before", "sleep 0.3"), {"group": []}, shell("after", "true")]
    log = happened(muster, run(muster, {"chain": chain})["execution"])
    order = [step for kind, step in log if kind in {"step.scheduled", "step.succeeded"}]
    assert order == ["before", "before", "after", "after"]


def test_trap_07_clear_leaves_nothing(muster: Muster):
    """Whoever looks with another client finds the one mark that it was erased, in no stream anything else."""
    execution = run(muster, shell("says", "echo a word", outputs={"word": {"type": "string", **PRINTS}}))[
        "execution"
    ]
    assert len(asyncio.run(_subjects(muster.url, execution))) > 3
    muster("clear", execution)
    deadline = time.monotonic() + PATIENCE_S
    mark = {f"muster.events.scheduler.{execution}.execution.cleared"}
    while (left := asyncio.run(_subjects(muster.url, execution))) != mark:
        assert time.monotonic() < deadline, left
    assert execution not in {row["id"] for row in muster.json_lines("list")}


async def _subjects(url: str, execution: str) -> set[str]:
    """Every subject of every stream in which the execution's id stands."""
    async with await nats.connect(url) as client:
        stream = client.jetstream()
        names = [found.config.name for found in await stream.streams_info()]
        kept = [await stream.stream_info(name or "", subjects_filter=">") for name in names]
    return {name for one in kept for name in (one.state.subjects or {}) if execution in name}


def test_trap_08_the_value_of_a_failure_is_kept(muster: Muster):
    """What a step says of its failure stands in the error, in the log and in what a handler sees."""
    said = json.dumps({"$result": "failure", "reason": "no such user", "value": {"code": 4}})
    tells = {"id": "tell", "log": "${{ error.message }}"}
    found = run(muster, shell("fails", SAYS % said, gives_result=True, on_failure=[tells]), code=1)
    assert found["error"]["details"]["value"] == {"code": 4}
    assert "no such user" in found["error"]["message"]
    assert "no such user" in found["steps"]["fails/on_failure/tell"]["outputs"]["message"]
    assert "no such user" in muster("show", found["execution"]).stdout


@pytest.mark.parametrize("count", [0, 2])
def test_trap_09_a_limit_of_n_admits_exactly_n(muster: Muster, count: int):
    """Of steps and of functions n begin, also at once in a loop, and the next one fails; none has to be one more."""
    muster.write("module.py", MODULE)
    inputs = {"all": {"default": [1, 2, 3]}}
    cases = (
        ({"functions": {"module:*": count}}, "FunctionLimitError"),
        ({"steps": count + 1}, "StepLimitError"),
    )
    for limits, error in cases:
        steps = [call(muster, "a", "module:double", n=1)]
        each = {"in": "${{ inputs.all }}", "on_failure": "continue", "steps": steps}
        found = run(muster, {"id": "each", "for_each": each}, inputs=inputs, limits=limits, code=1)
        members = [step for path, step in found["steps"].items() if path.endswith("/a")]
        done = [step["status"] for step in members]
        assert (done.count("succeeded"), done.count("failed")) == (count, 3 - count)
        assert {step["error"]["name"] for step in members if step["error"]} == {error}
    enough = run(
        muster, shell("one", "true"), shell("two", "true"), limits={"steps": 2, "functions": {"none": 2}}
    )
    assert enough["status"] == "succeeded"


def test_trap_10_a_type_error_is_an_invalid_type(muster: Muster):
    """An argument of the wrong type is InvalidTypeError, which names it, and not InvalidArgumentError."""
    muster.write("module.py", MODULE)
    error = run(muster, call(muster, "it", "module:double", n="5"), code=1)["error"]
    assert (error["name"], error["code"]) == ("InvalidTypeError", "invalid_type")
    assert "n must be int, not str" in error["message"]


def test_trap_11_an_unknown_function_is_not_found(muster: Muster):
    """It is FunctionNotFoundError, for the callable and for the module, with a suggestion; nothing crashes."""
    muster.write("module.py", MODULE)
    error = run(muster, call(muster, "it", "module:doubel", n=5), code=1)["error"]
    assert (error["name"], error["code"]) == ("FunctionNotFoundError", "function_not_found")
    assert "double" in error["message"] + error["remedy"]
    error = run(muster, call(muster, "it", "modul:double", n=5), code=1)["error"]
    assert error["code"] == "function_not_found"


def test_trap_12_duplicate_ids_are_refused_before_the_first_step(muster: Muster):
    """Nothing of the workflow is run, and the line of the second one is named."""
    assert refused(muster, shell("one", "touch ran"), shell("one", "touch ran")) == ["DuplicateStepError"]
    assert not (muster.folder / "ran").exists()


def test_trap_13_a_failed_run_can_be_run_again(muster: Muster):
    """As a new execution, whole or only what failed; what had succeeded is not run again then."""
    muster.write("module.py", MODULE)
    first = shell("first", f"echo x >> {muster.folder}/firsts")
    second = call(muster, "second", "module:third", folder=str(muster.folder)) | {"needs": ["first"]}
    failed = run(muster, first, second, code=1)
    assert failed["steps"]["second"]["status"] == "failed"
    again = shown(muster, muster.json("rerun", failed["execution"], "--failed")["execution"])
    assert (again["status"], again["rerun_of"]) == ("succeeded", failed["execution"])
    assert again["steps"]["second"]["outputs"] == {"n": 1}
    assert (muster.folder / "firsts").read_text() == "x\n"
    whole = shown(muster, muster.json("rerun", failed["execution"])["execution"])
    assert whole["status"] == "succeeded"
    assert (muster.folder / "firsts").read_text() == "x\nx\n"
    assert shown(muster, failed["execution"])["status"] == "failed"


def test_trap_14_a_reference_to_nothing_is_an_error(muster: Muster):
    """Before it runs where that can be known, else when it is evaluated; never null in silence."""
    refused = (
        ("${{ steps.nobody.outputs.x }}", "nobody"),
        ("${{ inputs.nam }}", "nam"),
        ("${{ vars.never }}", "never"),
    )
    for text, name in refused:
        said = muster("run", workflow(muster, shell("one", "true", inputs={"x": text})), code=2).stderr
        assert name in said
    one = shell("one", SAYS % '{"x": {"a": 1}}', outputs={"x": {"type": "object"}})
    two = shell("two", "true", inputs={"y": "${{ steps.one.outputs.x.b }}"})
    found = run(muster, one, two, code=1)
    assert (found["error"]["code"], found["error"]["step"]) == ("value_missing", "two")
    skipped = shell("one", "true", outputs={"x": {"type": "string", **PRINTS}}, **{"if": "1 > 2"})
    found = run(muster, skipped, shell("two", "true", inputs={"y": "${{ steps.one.outputs.x }}"}), code=1)
    assert found["error"]["step"] == "two"


def test_trap_15_a_wait_may_end_in_a_failure(muster: Muster):
    """Waiting too long fails the step and so the execution: from awaiting_input to failed, which Julep forbade."""
    asks = {"id": "ask", "wait_for_input": {"prompt": "Well?", "timeout": "500ms"}}
    found = run(muster, asks, code=1)
    assert (found["status"], found["error"]["code"]) == ("failed", "step_timeout")
    assert [(row["type"], row["after"]) for row in found["transitions"]][-2:] == [
        ("wait", "awaiting_input"),
        ("error", "failed"),
    ]


def test_trap_16_an_error_step_may_be_the_last_one(muster: Muster):
    """One error ends the execution; nothing is said to be finished before."""
    found = run(muster, {"chain": [shell("one", "true"), {"id": "last", "error": "it was too much"}]}, code=1)
    assert found["error"]["code"] == "raised"
    types = [row["type"] for row in found["transitions"]]
    assert types.count("error") == 1
    assert "finish" not in types


def test_trap_17_what_comes_after_the_end_changes_nothing(muster: Muster):
    """A cancel of what has ended, a second cancel and an answer that comes too late are taken and do nothing."""
    done = run(muster, shell("one", "true"))["execution"]
    before = recorded(muster, done)
    assert muster.json("cancel", done)["status"] == "succeeded"
    assert recorded(muster, done) == before

    ask = {"id": "ask", "wait_for_input": {"prompt": "Well?"}}
    asked = begun(muster, ask, status="awaiting_input")["execution"]
    assert muster.json("cancel", asked, "--wait")["status"] == "cancelled"
    before = recorded(muster, asked)
    assert muster.json("cancel", asked)["status"] == "cancelled"
    assert muster.json("resume", asked, "--input", "1")["changed"] is False
    assert recorded(muster, asked) == before
    assert before[-1].event.kind == "execution.cancelled"


def test_trap_18_a_stream_brings_the_end_and_can_be_resumed(muster: Muster):
    """Who follows sees the last event; who was cut off goes on at a sequence and has the same, once each."""
    execution = muster("submit", workflow(muster, shell("slow", "sleep 0.5"))).stdout.strip()
    following = muster.begin("events", "--execution", execution, "--follow", "--json")
    following.until("execution.succeeded")
    following.interrupt()
    whole = [json.loads(line)["sequence"] for line in following.lines if line.startswith("{")]
    assert whole == [one.sequence for one in recorded(muster, execution)]
    for cut in (whole[0], whole[-2], whole[-1]):
        rest = muster.json_lines("events", "--execution", execution, "--from", str(cut + 1))
        assert [event["sequence"] for event in rest] == [each for each in whole if each > cut]


def test_trap_20_the_text_of_the_error_is_in_the_execution(muster: Muster):
    """Whoever asks for the execution is told what went wrong, where, and what to do, in JSON and in words."""
    found = run(muster, shell("breaks", "echo no more room >&2; exit 4"), code=1)
    error = found["error"]
    assert (error["name"], error["step"], error["attempt"]) == ("ExecutionError", "breaks", 1)
    assert error["details"]["exit_code"] == 4
    assert "no more room" in json.dumps(error["details"]["tail"])
    assert error["message"]
    assert error["remedy"]
    assert error["message"] in muster("show", found["execution"]).stdout
    [row] = [row for row in muster.json_lines("list") if row["id"] == found["execution"]]
    assert row["status"] == "failed"


def test_trap_21_parallel_branches_run_at_the_same_time(muster: Muster):
    """Each branch waits for the other to have begun, which no sequence could ever pass."""
    meet = 'touch "{0}/{1}"; while ! test -e "{0}/{2}"; do sleep 0.02; done; echo {1}'
    output = {"who": {"type": "string", **PRINTS}}
    branches = [
        shell(one, meet.format(muster.folder, one, other), outputs=output)
        for one, other in (("left", "right"), ("right", "left"))
    ]
    file = workflow(
        muster,
        {"id": "both", "parallel": branches},
        outputs={"who": "${{ steps.both.outputs.branches.map(one, one.who) }}"},
    )
    assert muster.json("run", file)["outputs"] == {"who": ["left", "right"]}
