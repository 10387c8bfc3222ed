"""Functions called by real processes: every outcome comes from what a function does, seen from the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli import PATIENCE_S, Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

LIFE = [
    *("attempt.accepted", "container.starting", "container.started", "function.loading", "function.loaded"),
    *("attempt.started", "attempt.finished"),
]
APP = Path(__file__).parent / "functions"


KINDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("outcomes:double", {"n": 4}, {"value": 8}),
    ("outcomes:wait_and_double", {"n": 4}, {"value": 8}),
    ("outcomes:count", {"n": 3}, {"value": [0, 1, 2]}),
    ("outcomes:Scale", {"n": 3}, {"value": 30}),
    ("outcomes:Scale.named", {"name": "x"}, {"value": "scale x"}),
    ("outcomes:nothing", {}, {"value": None}),
    ("outcomes:where", {}, {"step": "s6", "attempt": 1, "workflow": "kinds"}),
    ("outcomes:joined", {"0": "a", "1": "b"}, {"value": "a b"}),
    ("math:sqrt", {"0": 9}, {"value": 3.0}),
]
RAISES = [
    ("outcomes:refuses", "invalid_argument", "ValueError: the text is empty", "ValueError"),
    ("outcomes:adds", "invalid_type", "TypeError: ", "TypeError"),
    ("outcomes:asserts", "assertion_failed", "AssertionError: two is not one", "AssertionError"),
    ("outcomes:looks_up", "function_execution", "KeyError: 'nobody'", "KeyError"),
    ("outcomes:own", "function_execution", "Overloaded: come back", "outcomes.Overloaded"),
    ("outcomes:leaves", "function_execution", "SystemExit: 3", "SystemExit"),
]
UNLOADABLE = [
    ("nowhere.at_all:f", "function_not_found", "no module nowhere"),
    ("outcomes:shot", "function_not_found", "Did you mean shout?"),
    ("outcomes:LOUD", "function_not_found", "is a bool, nothing to call"),
    ("outcomes:Overloaded.Nothing", "function_not_found", "has no Nothing"),
    ("broken:f", "function_load", "RuntimeError: no weights here"),
    ("wants:f", "function_load", "ModuleNotFoundError: No module named 'a_library_that_nobody_has'"),
    ("outcomes:Heavy", "function_load", "MemoryError: 80 GB"),
]
ARGUMENTS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "invalid_argument", "the argument text is missing"),
    ({"text": "a", "time": 1}, "invalid_argument", "no argument time. Did you mean times?"),
    ({"text": 5}, "invalid_type", "the argument text must be str, not int: 5"),
    ({"text": "a", "times": "2"}, "invalid_type", "the argument times must be int, not str: '2'"),
]


@pytest.fixture(scope="module", autouse=True)
def app(muster: Muster) -> None:
    """The functions, in the folder of the command line."""
    for path in APP.glob("*.py"):
        muster.write(path.name, path.read_text(encoding="utf-8"))


def workflow(muster: Muster, function: str, inputs: dict[str, Any], **more: Any) -> str:
    """A file with one step that calls ``function``."""
    step = {"id": "it", "image": "none", "working_dir": str(muster.folder), "function": function}
    name = function.replace(":", "-").replace(".", "-").replace("_", "-").lower()
    text = json.dumps({"name": name, "steps": [step | {"inputs": inputs} | more]})
    return muster.write(f"{name}.json", text)


def many(muster: Muster, name: str, calls: Sequence[tuple[str, dict[str, Any]]], code: int) -> list[Any]:
    """The steps of one execution that makes all these calls; starting an execution each would take minutes."""
    if (muster, name) not in _RUN:
        one = {"image": "none", "working_dir": str(muster.folder)}
        steps = [
            {"id": f"s{at}", "function": call, "inputs": given} | one
            for at, (call, given) in enumerate(calls)
        ]
        file = muster.write(
            f"{name}.json", json.dumps({"name": name, "on_failure": "continue", "steps": steps})
        )
        muster("run", file, "--id", name, code=code)
        told: dict[str, list[str]] = {}
        for event in events(muster, name):
            told.setdefault(event.get("step", ""), []).append(kind_of(event))
        _RUN[muster, name] = [
            step | {"kinds": told[step["path"]]} for step in muster.json("show", name)["steps"]
        ]
    return _RUN[muster, name]


_RUN: dict[tuple[Muster, str], list[Any]] = {}


def called(muster: Muster, function: str, code: int = 0, **inputs: Any) -> dict[str, Any]:
    """The step, once the execution of a call has ended with this exit code."""
    return stepped(muster, workflow(muster, function, inputs), code)


def stepped(muster: Muster, file: str, code: int = 0) -> dict[str, Any]:
    """The only step of the workflow, with the id of its execution."""
    ran = muster.json_lines("run", file) if code == 0 else _failed(muster, file, code)
    execution = ran[-1]["execution"]
    [step] = muster.json("show", execution)["steps"]
    return dict(step) | {"execution": execution}


def _failed(muster: Muster, file: str, code: int) -> list[Any]:
    return [json.loads(line) for line in muster("run", file, "--json", code=code).stdout.splitlines()]


def error(muster: Muster, function: str, **inputs: Any) -> dict[str, Any]:
    """The error of a step whose function fails."""
    step = called(muster, function, code=1, **inputs)
    assert step["status"] == "failed", step
    found: dict[str, Any] = step["error"] | {"execution": step["execution"]}
    return found


def events(muster: Muster, execution: str) -> list[dict[str, Any]]:
    """What the log holds of it; what else a recording needs (machines, what is loaded on them) is left out."""
    return [event for event in muster.json_lines("events", execution) if event.get("execution") == execution]


def kinds(muster: Muster, execution: str) -> list[str]:
    """The kinds of its events."""
    return [kind_of(event) for event in events(muster, execution)]


def kind_of(event: dict[str, Any]) -> str:
    """The kind of an event."""
    return str(event["type"]).removeprefix("io.muster.").rpartition(".v")[0]


def test_a_function_gives_outputs(muster: Muster):
    """Inputs are its arguments, the mapping it returns is the outputs, its prints are logs, its lifecycle is told."""
    step = called(muster, "outcomes:shout", text="hello", times=2)
    assert step["outputs"] == {"loud": "HELLOHELLO", "length": 10}
    assert "shouting hello" in muster("logs", step["execution"], "it").stdout
    told = [kind for kind in kinds(muster, step["execution"]) if kind in LIFE]
    assert told == LIFE
    shown = muster("show", step["execution"]).stdout
    assert shown.index("Loading Function") < shown.index("Function Loaded") < shown.index("Execution Started")


@pytest.mark.parametrize("at", range(len(KINDS)))
def test_kinds_of_functions(muster: Muster, at: int):
    """Plain ones, coroutines, generators, classes that load, methods, ones written in C: each gives its value."""
    step = many(muster, "kinds", [(function, inputs) for function, inputs, _ in KINDS], code=0)[at]
    assert step["outputs"] == KINDS[at][2]


@pytest.mark.parametrize("at", range(len(RAISES)), ids=[row[3] for row in RAISES])
def test_what_a_function_raises(muster: Muster, at: int):
    """Each exception is an error of the taxonomy, with its own class, message and traceback, in the run phase."""
    _, code, message, exception = RAISES[at]
    found = many(muster, "raises", [(row[0], {}) for row in RAISES], code=1)[at]["error"]
    assert (found["code"], found["phase"]) == (code, "run")
    assert found["message"].startswith(message)
    assert found["details"]["exception"] == exception
    assert "outcomes.py" in found["details"]["traceback"]
    assert "muster_function" not in found["details"]["traceback"]


def test_show_has_the_traceback(muster: Muster):
    """What a function raised is shown with its traceback and where its logs are; the logs have it, too."""
    found = error(muster, "outcomes:refuses")
    shown = muster("show", found["execution"]).stdout
    assert "InvalidArgumentError (invalid_argument): phase run, step it" in shown
    assert "Traceback (most recent call last)" in shown
    assert f"muster logs {found['execution']} it" in shown
    assert "ValueError: the text is empty" in muster("logs", found["execution"], "it").stdout


@pytest.mark.parametrize("at", range(len(UNLOADABLE)), ids=[row[0] for row in UNLOADABLE])
def test_what_cannot_be_loaded(muster: Muster, at: int):
    """What is not there is told from what fails while it is loaded; both belong to the load phase."""
    _, code, words = UNLOADABLE[at]
    step = many(muster, "unloadable", [(row[0], {}) for row in UNLOADABLE], code=1)[at]
    assert (step["error"]["code"], step["error"]["phase"]) == (code, "load")
    assert words in step["error"]["message"]
    assert "function.loading" in step["kinds"]
    assert not {"function.loaded", "attempt.started"}.intersection(step["kinds"])


@pytest.mark.parametrize("at", range(len(ARGUMENTS)))
def test_arguments(muster: Muster, at: int):
    """Inputs that are not the arguments of the function are named, before it is called."""
    inputs, code, words = ARGUMENTS[at]
    found = many(muster, "arguments", [("outcomes:shout", row[0]) for row in ARGUMENTS], code=1)[at]["error"]
    assert found["code"] == code, inputs
    assert words in found["message"]


def test_a_type_error_gives_invalid_type(muster: Muster):
    """An argument of the wrong type is InvalidTypeError and not InvalidArgumentError: it says what was expected."""
    found = error(muster, "outcomes:total", numbers=[1, "two"])
    assert (found["name"], found["code"]) == ("InvalidTypeError", "invalid_type")
    assert "numbers[1] must be float, not str: 'two'" in found["message"]
    assert (found["details"]["expected"], found["details"]["found"]) == ("float", "str")


def test_a_result_that_is_no_json_fails_the_step(muster: Muster):
    """The execution ends with OutputError instead of hanging, and says what could not be written."""
    for function, words in (
        ("outcomes:a_set", "set is not JSON"),
        ("outcomes:not_a_number", "not JSON compliant"),
    ):
        found = error(muster, function)
        assert found["code"] == "output"
        assert words in found["message"]


def test_outputs_are_those_declared(muster: Muster):
    """One declared output takes the value itself; of several, what is missing or wrong is an error."""
    one = {"outputs": {"twice": {"type": "integer"}}}
    assert stepped(muster, workflow(muster, "outcomes:double", {"n": 2}, **one))["outputs"] == {"twice": 4}
    wrong = {"outputs": {"twice": {"type": "string"}}}
    failed = stepped(muster, workflow(muster, "outcomes:double", {"n": 2}, **wrong), code=1)
    assert failed["error"]["code"] == "invalid_type"
    two = {"outputs": {"loud": {"type": "string"}, "quiet": {"type": "string"}}}
    failed = stepped(muster, workflow(muster, "outcomes:double", {"n": 2}, **two), code=1)
    assert failed["error"]["code"] == "output"
    failed = stepped(muster, workflow(muster, "outcomes:loud", {"text": "a"}, **two), code=1)
    assert failed["error"]["code"] == "value_missing"


@pytest.mark.parametrize("how", ["returned", "raised", "plain"])
def test_retry(muster: Muster, how: str):
    """A function that asks for it is called again after the wait; max_retries=2 is three calls."""
    step = called(muster, "outcomes:busy", code=1, how=how)
    assert (step["error"]["code"], step["attempt"]) == ("retriable", 3)
    waits = [
        event["data"] for event in events(muster, step["execution"]) if ".step.retrying." in event["type"]
    ]
    assert [(wait["budget"], wait["used"]) for wait in waits] == [("asked", 1), ("asked", 2)]
    assert "busy" in step["error"]["message"]


def test_retry_with_no_arguments(muster: Muster):
    """It has defaults: called again within a second, at most three times."""
    step = called(muster, "outcomes:busy_by_default", code=1)
    assert (step["error"]["code"], step["attempt"]) == ("retriable", 4)


def test_retry_until_it_works(muster: Muster):
    """The call that succeeds gives the outputs."""
    step = called(muster, "outcomes:third_time", folder=str(muster.folder))
    assert (step["outputs"], step["attempt"]) == ({"value": "at last"}, 3)


def test_check_later(muster: Muster):
    """The wait is honoured, the context comes back, also where a call gives none, and no retry is spent."""
    began = time.monotonic()
    step = called(muster, "outcomes:polls")
    assert step["outputs"] == {"value": {"job": 17, "polls": 2}}
    assert time.monotonic() - began > 0.9
    told = events(muster, step["execution"])
    waits = [event["data"] for event in told if ".step.waiting." in event["type"]]
    assert [wait["reason"] for wait in waits] == ["check_later"] * 3
    assert waits[0]["context"] == {"job": 17, "polls": 0}
    assert not [event for event in told if ".step.retrying." in event["type"]]


@pytest.mark.parametrize("how", ["returned", "raised"])
def test_skip(muster: Muster, how: str):
    """The step is skipped with its reason, and the execution succeeds."""
    step = called(muster, "outcomes:idle", how=how)
    assert (step["status"], step["reason"], step["message"]) == ("skipped", "asked", "nothing new")


@pytest.mark.parametrize("how", ["returned", "raised"])
def test_failure_keeps_its_value(muster: Muster, how: str):
    """A failure that a function declares has its reason and its value in the error, and is not tried again."""
    file = workflow(muster, "outcomes:no_such_user", {"how": how}, retry={"max_attempts": 3})
    step = stepped(muster, file, code=1)
    assert step["attempt"] == 1
    assert step["error"]["message"] == "no such user"
    assert step["error"]["details"]["value"] == {"code": 4}


def test_a_retry_policy_holds_for_functions(muster: Muster):
    """What raises is tried again as often as the step says, and no oftener; what can never work is not."""
    policy = {"retry": {"max_attempts": 2, "backoff": {"initial": "10ms"}}}
    step = stepped(muster, workflow(muster, "outcomes:looks_up", {}, **policy), code=1)
    assert (step["attempt"], step["error"]["code"]) == (2, "retriable")
    assert step["error"]["cause"]["code"] == "function_execution"
    step = stepped(muster, workflow(muster, "outcomes:shot", {}, **policy), code=1)
    assert (step["attempt"], step["error"]["code"]) == (1, "function_not_found")


def test_a_crash_is_told_from_an_exception(muster: Muster):
    """A process that ends in mid-call has no traceback to show: its exit code and last lines are shown instead."""
    found = error(muster, "outcomes:crashes")
    assert found["code"] == "function_crashed"
    assert "ended with exit code 7 before it had answered" in found["message"]
    assert "about to crash" in found["details"]["tail"]


def test_a_load_has_its_own_timeout(muster: Muster):
    """A function that does not come to the end of its load fails with the limit of that phase."""
    step = stepped(muster, workflow(muster, "outcomes:Slow", {}, timeouts={"load": "1s"}), code=1)
    assert (step["error"]["code"], step["error"]["phase"]) == ("step_timeout", "load")


def test_a_cancelled_function_cleans_up(muster: Muster):
    """A cancel reaches the function as an exception that it may clean up on, and it ends in its grace time."""
    running = muster.begin(
        "run", workflow(muster, "outcomes:long", {"folder": str(muster.folder)}), "--id", "long-1"
    )
    running.until("Execution Started")
    deadline = time.monotonic() + PATIENCE_S
    while not (muster.folder / "long.began").exists():
        assert time.monotonic() < deadline, "it did not begin"
        time.sleep(0.02)
    muster("cancel", "long-1")
    running.end()
    assert (muster.folder / "long.cleaned").read_text() == "cleaned"


def test_progress_is_told(muster: Muster):
    """What a generator says of how far it is comes into the log."""
    step = called(muster, "outcomes:works", n=2)
    told = [
        event["data"] for event in events(muster, step["execution"]) if ".attempt.progress." in event["type"]
    ]
    assert told[0]["phase"] == "run"
    assert (told[0]["current"], told[0]["total"], told[0]["message"]) == (1, 2, "page 1")


def test_the_example(muster: Muster):
    """The workflow people copy runs as it stands, where its folder is named."""
    folder = Path(__file__).resolve().parents[2] / "examples" / "functions"
    result = muster.json("run", str(folder / "functions.yaml"), "--input", f"folder={folder}")
    assert result["outputs"] == {"counts": {"to": 2, "be": 2}, "loud": "TO BE OR NOT TO BE!"}


def test_files_go_in_and_come_out(muster: Muster):
    """A file among the inputs is a path, an output with a path is what the function wrote there."""
    step = {
        "id": "it",
        "image": "none",
        "working_dir": str(muster.folder),
        "function": "outcomes:copied",
        "inputs": {"given": "${{ inputs.text }}"},
        "outputs": {"name": {"type": "string"}, "copy": {"type": "file", "path": "copy.txt"}},
    }
    outputs = {"name": "${{ steps.it.outputs.name }}", "size": "${{ steps.it.outputs.copy.size }}"}
    workflow = {"name": "copies", "inputs": {"text": {"type": "file"}}, "steps": [step], "outputs": outputs}
    muster.write("text.txt", "some text")
    result = muster.json(
        "run", muster.write("copies.json", json.dumps(workflow)), "--input", "text=@text.txt"
    )
    assert result["outputs"] == {"name": "given.txt", "size": 9}
