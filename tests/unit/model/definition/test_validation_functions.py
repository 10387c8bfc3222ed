"""What is wrong with a step that calls a function is said before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.definition.validation import load, validate
from muster.model.errors import WorkflowInvalidError


def problems(**step: Any) -> list[str]:
    """Path, message and remedy of all that is wrong with the step."""
    whole = {"name": "w", "steps": [{"id": "s", "image": "python:3"} | step]}
    return [f"{problem.path}: {problem.message} {problem.remedy}" for problem in validate(whole)]


FORMS = (
    "Write module:callable, such as app.text:shout, or the plain name of what the image itself answers for."
)


@pytest.mark.parametrize("function", ["app:f", "app.text:Loud.shout", "_a.b_2:c", "größe:maß"])
def test_module_and_callable(function: str):
    """Names of Python on both sides of one colon."""
    assert not problems(function=function)


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        ("app.text.shout", "Did you mean app.text:shout?"),
        ("app/text.py:shout", "Did you mean app.text:shout?"),
        ("./text.py::shout", "Did you mean text:shout?"),
        ("app/text:shout", "Did you mean app.text:shout?"),
        ("app:shout()", "Did you mean app:shout?"),
        ("app: shout", "Did you mean app:shout?"),
        ("app.text:shout.", FORMS),
        ("", FORMS),
        ("app:a:b", FORMS),
        ("1app:f", FORMS),
        ("-shout", FORMS),
    ],
)
def test_another_form_is_refused_with_what_was_meant(function: str, remedy: str):
    """The way people write it elsewhere is recognised."""
    [problem] = problems(function=function)
    assert problem.startswith("steps[0].function: ")
    assert problem.endswith(f"is not module:callable. {remedy}")


def test_what_does_not_go_with_a_function():
    """A command, an entrypoint, an output from stdout, an expression, no image."""
    [problem] = problems(function="app:f", command="echo")
    assert problem.startswith("steps[0].command: the step s has a function and command")
    [problem] = problems(function="app:f", entrypoint=["x"])
    assert problem.startswith("steps[0].entrypoint: ")
    [problem] = problems(function="app:f", outputs={"o": {"source": "stdout"}})
    assert problem.startswith("steps[0].outputs.o.source: ")
    [problem] = problems(function="app:${{ inputs.f }}")
    assert "cannot be an expression" in problem
    assert any("has no image" in problem for problem in problems(function="app:f", image=None))
    [problem] = problems(image=None, sleep="1s", function="app:f")
    assert "function belongs to a container" in problem
    [problem] = problems(function="a:" + 200 * "b")
    assert "longer than 200" in problem


def test_outputs_of_a_function_that_declares_none():
    """What it will return nobody knows, so any may be asked for; where some are declared it is one of them."""
    open_ = {"id": "f", "image": "i", "function": "app:f"}
    asks = {"name": "w", "steps": [open_], "outputs": {"x": "${{ steps.f.outputs.value }}"}}
    assert not validate(asks)
    [problem] = validate(asks | {"steps": [open_ | {"outputs": {"n": {}}}]})
    assert "which the step f does not declare" in problem.message


@pytest.mark.parametrize("function", ["translate", "to-text", "f_2", "2d", "größe"])
def test_a_plain_name_is_the_images_own(function: str):
    """The image speaks the protocol itself, so a command may say how it is started."""
    assert not problems(function=function)
    assert not problems(function=function, command=["serve"], entrypoint="node")


def test_what_a_function_is_loaded_with():
    """Params are named as inputs are, and their expressions are checked as everywhere."""
    assert not problems(
        function="app:f", params={"model": "small", "size": [1, {"a": None}]}, isolation="call"
    )
    [problem] = problems(function="app:f", params={"model": "${{ inputs.model }}"})
    assert problem.startswith(
        "steps[0].params.model: the expression 'inputs.model' refers to the input model"
    )
    [problem] = problems(function="app:f", params={"": 1})
    assert problem.startswith("steps[0].params")
    [problem] = problems(function="app:f", params=["small"])
    assert problem == "steps[0].params: params must be a mapping, not a list. Write it as KEY: VALUE."


def test_what_belongs_to_a_function():
    """Params and isolation without one are refused, where they stand, with what to do instead."""
    [problem] = problems(params={"model": "small"})
    assert problem == (
        "steps[0].params: params are what a function is loaded with, and the step s has no function. "
        "Add function: module:callable, or write them under inputs."
    )
    [problem] = problems(isolation="execution")
    assert problem.startswith("steps[0].isolation: isolation says who shares the container of a function")
    [problem] = problems(image=None, sleep="1s", params={"a": 1})
    assert "params belongs to a container" in problem


@pytest.mark.parametrize(
    ("step", "remedy"),
    [
        ({"isolation": "exec"}, "Did you mean execution?"),
        ({"isolation": "none"}, "Write one of call, execution, shared."),
        ({"param": {}}, "Did you mean params?"),
        ({"parameters": {}}, "Did you mean params?"),
        ({"config": {}}, "Did you mean params?"),
        ({"isolated": True}, "Did you mean isolation?"),
    ],
)
def test_other_words_are_recognised(step: dict[str, Any], remedy: str):
    """What is written nearly right is named, and so is what others call it."""
    [problem] = problems(function="app:f", **step)
    assert problem.endswith(remedy)


def test_the_place_in_a_file():
    """Line and column of the key."""
    text = b"name: w\nsteps:\n  - id: s\n    image: i\n    isolation: call\n"
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text, name="w.yaml")
    assert "w.yaml:5:5" in str(caught.value.data["problems"][0])
