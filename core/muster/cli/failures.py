"""How a command ends when something is wrong: one sentence, what to do, and an exit code that means something."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from muster.model.errors import MusterError

OK: Final = 0
EXECUTION_FAILED: Final = 1
INVALID: Final = 2
UNREACHABLE: Final = 3
DEFECT: Final = 70
INTERRUPTED: Final = 130

EXIT_CODES: Final = {
    OK: "it went well",
    EXECUTION_FAILED: "an execution or function failed or was cancelled; doctor, replay, verify, check found something",
    INVALID: "the input is not valid, or what was asked was refused",
    UNREACHABLE: "the broker does not answer, or nobody takes up what is asked of it",
    DEFECT: "a defect of Muster; MUSTER_DEBUG=1 shows where",
    INTERRUPTED: "interrupted",
}


def report(error: BaseException, *, json: bool) -> int:
    """Say on stderr what is wrong and what to do about it; the exit code for it."""
    if os.environ.get("MUSTER_DEBUG"):
        traceback.print_exception(error)
    code, exit_code, message, remedy, more = _describe(error)
    if exit_code == INTERRUPTED and not message:
        return exit_code
    if json:
        from msgspec.json import encode

        found = {"code": code, "message": message, "remedy": remedy} | more
        print(encode(found, enc_hook=str).decode(), file=sys.stderr)
        return exit_code
    name = (
        f" [{more['cause']['name']}]" if "cause" in more else ""
    )  # behind: the place comes first, for editors
    print(f"muster: {message}{name}", file=sys.stderr)
    problems = more.get("problems", ())
    if len(problems) > 1:  # each says what to do about it
        for problem in problems:
            print(f"  {problem}", file=sys.stderr)
    elif remedy:
        print(f"  {remedy}", file=sys.stderr)
    return exit_code


def named(problem: Any) -> str:
    """A problem of a workflow as a line, with the name of the error it would be at run time."""
    name = getattr(problem, "error", "WorkflowInvalidError")
    if name == "WorkflowInvalidError":
        return str(problem)
    place = problem.place
    return f"{place}{': ' if place else ''}[{name}] {str(problem).removeprefix(place).removeprefix(': ')}"


def cause_of(error: MusterError) -> dict[str, Any]:
    """``{"cause": {"code", "name"}}`` of an error that has another inside."""
    cause = error.cause
    return {} if cause is None else {"cause": {"code": cause.code, "name": cause.name}}


def _describe(error: BaseException) -> tuple[str, int, str, str, dict[str, Any]]:
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return "interrupted", INTERRUPTED, "", "", {}
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "muster"
        return "usage", INVALID, error.format_message(), f"See {path} --help.", {}
    if isinstance(error, click.ClickException):
        return "usage", INVALID, error.format_message(), "", {}
    if isinstance(error, BaseExceptionGroup):
        return _describe(error.exceptions[0])
    from muster.model.errors import BrokerError, ExecutionTimeoutError, MusterError

    if isinstance(error, MusterError):
        away = isinstance(error, BrokerError | ExecutionTimeoutError)
        problems = [named(problem) for problem in error.data.get("problems", ())]
        more: dict[str, Any] = {"problems": problems} if problems else {}
        more |= cause_of(error)
        if (given := error.data.get("value")) is not None:  # of a failure
            more["value"] = given
        message = error.message.splitlines()[0] if problems else error.message
        return error.code, UNREACHABLE if away else INVALID, message, error.advice, more
    if isinstance(error, OSError) and error.filename is not None:
        sentence = f"{error.filename}: {(error.strerror or str(error)).lower()}."
        return "file", INVALID, sentence, "Check the path and who may read and write it.", {}
    return (
        "defect",
        DEFECT,
        f"Something unexpected went wrong: {type(error).__name__}: {error}",
        "This is a defect of Muster: please report it with what MUSTER_DEBUG=1 shows.",
        {},
    )
