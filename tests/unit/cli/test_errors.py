"""Which errors of an execution are told, and how many of them."""

from __future__ import annotations

from muster.cli.errors import FURTHER_MAX, error_lines, further, further_lines
from muster.client.follower import ExecutionView
from muster.client.steps import StepView
from muster.model.errors import ErrorInfo, ExecutionError, InvalidArgumentError


def broken(step: str, message: str = "it exited with code 3") -> ErrorInfo:
    return ExecutionError(message).info(phase="run", step=step, attempt=1, machine="m1")


def view_of(errors: dict[str, ErrorInfo | None], own: ErrorInfo | None = None) -> ExecutionView:
    """An execution with these steps; those with an error failed."""
    view = ExecutionView("e1")
    view.error = own
    for path, error in errors.items():
        view.steps[path] = StepView(path=path, status="failed" if error else "succeeded", error=error)
    return view


def test_each_failed_step_is_told_with_its_remedy():
    """Beside the one whose error is the execution's, which is told by itself; what went well is none."""
    traced = InvalidArgumentError(
        "ValueError: no", remedy="See muster logs EXECUTION STEP.", traceback="Traceback"
    )
    errors = {"a": broken("a"), "b": None, "c": broken("c"), "d": traced.info(step="d")}
    lines = further_lines(view_of(errors, own=broken("a")))
    assert lines[0] == "ExecutionError (execution): phase run, step c, attempt 1, machine m1"
    assert lines[1] == "  it exited with code 3"
    assert "step a" not in "".join(lines)
    assert lines[-3:] == [
        "InvalidArgumentError (invalid_argument): step d",
        "  ValueError: no",
        "  What to do: See muster logs e1 d.",
    ]


def test_a_message_of_several_lines_stays_in_its_place():
    """Each of them is indented like the first."""
    lines = further_lines(view_of({"a": broken("a", "one\ntwo")}))
    assert lines[1:3] == ["  one", "  two"]


def test_an_error_that_travelled_up_is_told_once():
    """Of the step that has it, not of those around it, whether or not it is the execution's."""
    inner, other = broken("each/0/work"), broken("each/1/work", "it exited with code 4")
    errors = {"each": inner, "each/0/work": inner, "each/1/work": other, "last": None}
    assert [step.path for step in further(view_of(errors, own=inner))] == ["each/1/work"]
    assert [step.path for step in further(view_of(errors))] == ["each/0/work", "each/1/work"]


def test_the_same_error_of_two_steps_is_told_of_both():
    """Two child executions may fail in the same words: which steps ran them is said."""
    inner = broken("inner")
    lines = further_lines(view_of({"one": inner, "two": inner, "three": inner}, own=inner))
    assert [line.partition(": ")[0] for line in lines if not line.startswith(" ")] == ["two", "three"]


def test_of_many_the_first_are_told():
    """And how many there are beside."""
    errors: dict[str, ErrorInfo | None] = {
        f"s{number}": broken(f"s{number}") for number in range(FURTHER_MAX + 3)
    }
    lines = further_lines(view_of(errors, own=broken("s0")))
    assert sum("(execution)" in line for line in lines) == FURTHER_MAX
    assert lines[-1] == "… and 2 more steps that failed; --json shows all"
    assert further_lines(view_of({"s0": broken("s0")}, own=broken("s0"))) == []


def test_what_a_failure_gave_is_told():
    """As JSON, and not without end."""
    error = ExecutionError("no such user", value={"code": 4}).info()
    assert error_lines(error, "e1")[2] == 'It gave {"code":4}'
    long = ExecutionError("no such user", value="x" * 5000).info()
    assert len(error_lines(long, "e1")[2]) < 600
