"""What a function answered becomes outputs, a result, or an error of the taxonomy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.model.definition.workflow import Output
from muster.model.errors import (
    AssertionFailedError,
    FunctionCrashedError,
    FunctionExecutionError,
    FunctionLoadError,
    FunctionNotFoundError,
    InvalidArgumentError,
    InvalidTypeError,
    MusterError,
    OutputError,
    ValueMissingError,
)
from muster.model.plan import calls
from muster.model.plan.results import Result

F = "app:f"
ONE = {"n": Output(type="integer")}
TWO = {"n": Output(type="integer"), "text": Output(type="string")}


def answer(document: Any, declared: dict[str, Output] | None = None) -> Result | dict[str, Any]:
    """What a document means."""
    return calls.answer(json.dumps(document).encode(), F, declared or {})


@pytest.mark.parametrize(
    ("value", "declared", "outputs"),
    [
        (5, {}, {"value": 5}),
        (None, {}, {"value": None}),
        ({"a": 1}, {}, {"a": 1}),
        ({}, {}, {}),
        (5, ONE, {"n": 5}),
        ({"n": 5}, ONE, {"n": 5}),
        ({"a": 5}, {"n": Output(type="object")}, {"n": {"a": 5}}),
        ({"n": 5, "text": "x"}, TWO, {"n": 5, "text": "x"}),
        ({"text": "x"}, {"n": Output(default=7), "text": Output()}, {"n": 7, "text": "x"}),
        ({"$result": 1}, {}, {"$result": 1}),
    ],
)
def test_a_value_becomes_outputs(value: Any, declared: dict[str, Output], outputs: dict[str, Any]):
    """A mapping by name; a value as the one output that is declared, or as value where none is."""
    assert answer({"$returned": value}, declared) == outputs


@pytest.mark.parametrize(
    ("value", "declared", "error", "words"),
    [
        ("5", ONE, InvalidTypeError, "must be an integer"),
        (5, TWO, OutputError, "it gave an integer, and the step declares 2 outputs"),
        ({"n": 5}, TWO, ValueMissingError, "text"),
        ({"n": 5, "text": "x", "txt": 1}, TWO, OutputError, "does not declare"),
    ],
)
def test_a_value_that_is_not_what_was_declared(
    value: Any, declared: dict[str, Output], error: type, words: str
):
    """It is refused as the outputs of a container are."""
    with pytest.raises(error, match=words):
        answer({"$returned": value}, declared)


def test_it_may_ask_for_something_else():
    """By $result, as any container may."""
    assert answer({"$result": "skip", "reason": "nothing"}, ONE) == Result(kind="skip", reason="nothing")


@pytest.mark.parametrize(
    ("where", "bases", "error"),
    [
        ("find", [], FunctionNotFoundError),
        ("load", ["ImportError", "Exception"], FunctionLoadError),
        ("load", ["ValueError", "Exception"], FunctionLoadError),
        ("bind", [], InvalidArgumentError),
        ("call", ["ValueError", "Exception"], InvalidArgumentError),
        ("call", ["UnicodeDecodeError", "UnicodeError", "ValueError", "Exception"], InvalidArgumentError),
        ("call", ["TypeError", "Exception"], InvalidTypeError),
        ("call", ["AssertionError", "Exception"], AssertionFailedError),
        ("call", ["ZeroDivisionError", "ArithmeticError", "Exception"], FunctionExecutionError),
        ("result", [], OutputError),
    ],
)
def test_what_was_raised_has_its_error(where: str, bases: list[str], error: type[MusterError]):
    """By how far it came, and in the call by the kind of exception, also of one derived from it."""
    data = {"where": where, "bases": bases, "class": "X", "traceback": "Trace\n"}
    found = calls.refused(calls.RAISED, "X: broken", data, F, loaded=where not in ("find", "load"))
    assert type(found) is error
    assert "broken" in found.message
    if where in ("load", "call"):
        assert found.data["traceback"] == "Trace\n"
        assert found.data["exception"] == "X"


@pytest.mark.parametrize(
    ("code", "loaded", "error", "retriable"),
    [
        (calls.NOT_FOUND, False, FunctionNotFoundError, False),
        (calls.LOAD_RAISED, False, FunctionLoadError, True),
        (calls.OTHER_PROTOCOL, False, FunctionLoadError, False),
        (calls.UNKNOWN_METHOD, False, FunctionLoadError, True),
        (calls.CANNOT_TRAVEL, False, FunctionLoadError, True),
        (7, False, FunctionLoadError, True),
        ("seven", False, FunctionLoadError, True),
        ([1], False, FunctionLoadError, True),
        (calls.NOT_ITS_ARGUMENTS, True, InvalidArgumentError, False),
        (calls.RAISED, True, FunctionExecutionError, True),
        (calls.CANNOT_TRAVEL, True, OutputError, True),
        (calls.TOO_LARGE, True, OutputError, True),
        (calls.UNKNOWN_METHOD, True, FunctionExecutionError, True),
        (calls.CANCELLED, True, FunctionCrashedError, True),
        (7, True, FunctionExecutionError, True),
        ("seven", True, FunctionExecutionError, True),
        ([1], True, FunctionExecutionError, True),
        (None, True, FunctionExecutionError, True),
    ],
)
@pytest.mark.parametrize(
    "data", [None, {"supported": [2]}, {"where": "nowhere"}, {"bases": 3}, [1], {"traceback": None}]
)
def test_an_error_answered_by_code_alone(
    code: Any, loaded: bool, error: type[MusterError], retriable: bool, data: Any
):
    """The code says how far it came, whatever the data are: a function in another language has none of ours."""
    found = calls.refused(code, "broken", data, F, loaded=loaded)
    assert type(found) is error
    assert "broken" in found.message
    assert found.data.get("retriable", True) is retriable


def test_data_of_an_error_say_more_than_its_code():
    """Class and traceback are kept, and its kind decides what a call that raised came to."""
    data = {"class": "E", "bases": ["E", "ValueError"], "traceback": "Trace\n", "message": "not this one"}
    found = calls.refused(calls.RAISED, "E: broken", data, F, loaded=True)
    assert type(found) is InvalidArgumentError
    assert (found.message, found.data["exception"], found.data["traceback"]) == ("E: broken", "E", "Trace\n")


@pytest.mark.parametrize(("message", "words"), [(None, "no message"), ("", "no message"), ([1], "[1]")])
def test_an_error_answered_without_words(message: Any, words: str):
    """It is said that there are none; what is no text is shown."""
    assert words in calls.refused(calls.RAISED, message, None, F, loaded=True).message


def test_what_is_too_large_is_to_be_a_file():
    """Another shape of the value would not help; what cannot be JSON is told apart."""
    large, odd = (
        calls.refused(code, "no", None, F, loaded=True) for code in (calls.TOO_LARGE, calls.CANNOT_TRAVEL)
    )
    assert large.advice == calls.AS_FILE
    assert "Return text" in odd.advice


def test_params_are_not_called_inputs():
    """Whoever wrote a param that load does not take is sent to the params of the step, and not to its inputs."""
    data = {"argument": "sz", "takes": ["size"]}
    params, inputs = (
        calls.refused(calls.NOT_ITS_ARGUMENTS, "no", data, F, loaded=one).advice for one in (False, True)
    )
    assert params == "The params of the step are what its load is given, by name. It takes size."
    assert inputs == "The inputs of the step are its arguments, by name. It takes size."


def test_an_argument_of_the_wrong_type():
    """It names the argument, what was expected and what was found."""
    data = {"argument": "n", "expected": "int", "found": "str"}
    found = calls.refused(calls.NOT_ITS_ARGUMENTS, "no", data, F, loaded=True)
    assert type(found) is InvalidTypeError
    assert {
        "argument": "n",
        "expected": "int",
        "found": "str",
        "retriable": False,
    }.items() <= found.data.items()


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"{}", b'{"value": 1}', b'{"$returned": "\\ud800"}'])
def test_what_cannot_be_read(document: bytes):
    """It is an OutputError whatever stands there."""
    with pytest.raises(OutputError):
        calls.answer(document, F, {})


def test_a_process_that_ended_without_an_answer():
    """What it had come to decides whether loading failed, or it crashed in the middle of a call."""
    assert type(calls.unanswered(F, 1, [], loaded=False)) is FunctionLoadError
    crashed = calls.unanswered(F, 1, ["last words"], loaded=True)
    assert type(crashed) is FunctionCrashedError
    assert isinstance(crashed, FunctionExecutionError)
    assert (crashed.data["exit_code"], crashed.data["tail"]) == (1, ["last words"])


def test_what_an_image_lacks_follows_from_how_its_function_is_named():
    """With a colon it is a Python for the harness; without one nobody is sent to look for a Python."""
    ours, its_own = (calls.unanswered(name, 1, [], loaded=False).advice for name in ("app:f", "count"))
    assert "python3" in ours
    assert "python3" not in its_own
    assert "muster function check" in its_own
