"""What `muster function run` says of a function that failed."""

from __future__ import annotations

import pytest

from muster.cli.terminal import Terminal
from muster.model.errors import ExecutionError, FunctionCrashedError, InvalidArgumentError
from muster_agents.conformance.showing import Shown, unsaid

STACK = 'Traceback (most recent call last):\n  File "app.py", line 1, in f\n    raise it\n'
LOGS = "See muster logs EXECUTION STEP."


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("ValueError: no", "ValueError: no"),
        ("app.OwnError: no", "OwnError: no"),
        ("KeyError", "KeyError"),
        ("RuntimeError: no\nand no", "RuntimeError: no\nand no"),
        ("SyntaxError: invalid syntax", "SyntaxError: invalid syntax (app.py, line 1)"),
    ],
)
def test_what_the_message_says_is_left_out_of_the_traceback(end: str, message: str):
    """The end of a traceback is the message: the stack above it stays."""
    assert unsaid(f"{STACK}{end}\n", message) == STACK


@pytest.mark.parametrize("message", ["ValueError: yes", "ValueError: no\nand more", ""])
def test_a_traceback_that_ends_otherwise_is_whole(message: str):
    """With a note behind it, for example: nothing of it is lost."""
    whole = f"{STACK}ValueError: no\nit happened at noon\n"
    assert unsaid(whole, message) == whole


def test_nothing_is_said_to_stand_above_where_nothing_does(capsys: pytest.CaptureFixture[str]):
    """A crash without a word says so; with words they are pointed at."""
    shown = Shown(Terminal())
    crashed = FunctionCrashedError("f: its process ended.", remedy=LOGS)
    assert shown.failed(crashed).advice == "It printed nothing."
    shown.printed(b"about to\n")
    assert shown.failed(crashed).advice == "What it printed stands above."
    assert capsys.readouterr().err == "about to\n"


@pytest.mark.parametrize(
    ("value", "remedy"),
    [({"code": 4}, 'It gave {"code": 4}.'), (0, "It gave 0."), (None, "It gave no value.")],
)
def test_a_failure_says_what_it_gave(value: object, remedy: str):
    """Also where that is nothing."""
    error = Shown(Terminal()).failed(ExecutionError("no such user", value=value, remedy=LOGS))
    assert error.advice == remedy
    assert error.data["value"] == value


def test_the_traceback_is_shown_once(capsys: pytest.CaptureFixture[str]):
    """On stderr, and the error points at it."""
    error = InvalidArgumentError("ValueError: no", remedy=LOGS, traceback=f"{STACK}ValueError: no\n")
    assert Shown(Terminal()).failed(error).advice == "Its traceback stands above."
    assert capsys.readouterr().err == STACK
