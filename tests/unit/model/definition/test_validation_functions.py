"""What is wrong with a step that calls a function is said before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.definition.validation import validate


def problems(**step: Any) -> list[str]:
    """Path, message and remedy of all that is wrong with the step."""
    whole = {"name": "w", "steps": [{"id": "s", "image": "python:3"} | step]}
    return [f"{problem.path}: {problem.message} {problem.remedy}" for problem in validate(whole)]


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
        ("shout", "Write module:callable, such as app.text:shout."),
        ("", "Write module:callable, such as app.text:shout."),
        ("app:a:b", "Write module:callable, such as app.text:shout."),
        ("1app:f", "Write module:callable, such as app.text:shout."),
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
