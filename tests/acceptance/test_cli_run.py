"""Running workflows from the command line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time

import pytest

from tests.acceptance.cli import COMMAND, PATIENCE_S, Muster, muster
from tests.acceptance.seen import became

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]


def test_run_shows_each_step_and_ends_with_the_outputs(muster: Muster):
    """Without a terminal each thing that happens is a plain line, and the outputs come last."""
    said = muster("run", "hello.yaml", "--input", "name=you").stdout
    lines = said.splitlines()
    assert lines[0].startswith("execution ")
    assert any("greet" in line and "Execution Started" in line and "[m1]" in line for line in lines)
    assert lines[-2:] == ["  text: hello you", "  length: 9"]
    assert "\x1b" not in said


def test_run_in_json_prints_one_object(muster: Muster):
    """With --json stdout is one object with status and outputs, and nothing else."""
    result = muster.json("run", "hello.yaml", "-i", "name=you")
    assert result["status"] == "succeeded"
    assert result["outputs"] == {"text": "hello you", "length": 9}


def test_inputs_come_from_files(muster: Muster):
    """An input may be a file's content, and all inputs may come from a file."""
    muster.write("name.txt", "Ada")
    assert muster.json("run", "hello.yaml", "-i", "name=@name.txt")["outputs"]["text"] == "hello Ada"
    muster.write("inputs.json", json.dumps({"name": "Grace"}))
    assert muster.json("run", "hello.yaml", "--inputs", "inputs.json")["outputs"]["text"] == "hello Grace"


def test_a_failure_is_explained_and_exits_with_1(muster: Muster):
    """A failed run names the error, where it was, what to do, and the last lines of the step's log."""
    said = muster("run", "fails.yaml", code=1).stdout
    for part in (
        "ExecutionError (execution)",
        "phase run",
        "step breaks",
        "machine m1",
        "What to do: ",
        "muster logs",
    ):
        assert part in said
    assert "| about to break" in said


def test_bad_input_is_refused_with_2(muster: Muster):
    """A missing input, a wrong one and an invalid file are refused before anything is sent, with the remedy."""
    before = len(muster.json_lines("list"))
    assert "--input" in muster("run", "hello.yaml", code=2).stderr
    assert "nam" in muster("run", "hello.yaml", "-i", "nam=x", code=2).stderr
    assert "wrong.yaml:4" in muster("run", "wrong.yaml", code=2).stderr
    assert "nothing.yaml" in muster("run", "nothing.yaml", code=2).stderr
    assert len(muster.json_lines("list")) == before


def test_submit_then_watch(muster: Muster):
    """Submit prints the id alone, and watch follows it to its end."""
    execution = muster("submit", "hello.yaml", "-i", "name=you").stdout.strip()
    said = muster("watch", execution).stdout
    assert "  text: hello you" in said
    assert muster.json("watch", execution)["status"] == "succeeded"


def test_submitting_twice_with_an_id_is_safe(muster: Muster):
    """The same submit with the same id gives the same execution; other content under it is refused."""
    once = muster("run", "hello.yaml", "-i", "name=a", "--id", "twice", "--detach").stdout
    assert once == muster("submit", "hello.yaml", "-i", "name=a", "--id", "twice").stdout == "twice\n"
    assert "twice" in muster("submit", "hello.yaml", "-i", "name=b", "--id", "twice", code=2).stderr


def test_ctrl_c_without_a_terminal_leaves_it_running(muster: Muster):
    """Interrupted, run exits with 130, says how to watch and cancel, and the execution goes on; cancel ends it."""
    running = muster.begin("run", "sleeps.yaml")
    execution = running.until("execution ").split()[1]
    running.until("Execution Started")
    assert running.interrupt() == 130
    said = "\n".join(running.lines)
    assert f"muster watch {execution}" in said
    assert f"muster cancel {execution}" in said
    assert became(muster, execution, "running")["progress"] == {"finished": 0, "total": 1}
    outcome = muster.json("cancel", execution, "--reason", "enough", "--wait")
    assert outcome == {"execution": execution, "outcome": "cancelled", "status": "cancelled"}
    assert muster.json("cancel", execution)["outcome"] == "cancelled"
    assert muster("watch", execution, code=1).stdout.strip().endswith("enough")


def test_ctrl_c_on_a_terminal_asks(muster: Muster):
    """On a terminal Ctrl-C asks whether to cancel; yes cancels, and the run exits with 1."""
    said, code = on_a_terminal(
        muster, ["run", "sleeps.yaml"], [("Running", "\x03"), ("Cancel the execution?", "y\n")]
    )
    assert code == 1
    assert "cancelled" in said


def test_a_second_ctrl_c_on_a_terminal_leaves_it_running(muster: Muster):
    """A second Ctrl-C leaves the execution running and says how to go on."""
    steps = [("Running", "\x03"), ("Cancel the execution?", "\x03")]
    said, code = on_a_terminal(muster, ["run", "sleeps.yaml"], steps)
    assert code == 130
    execution = said.split("muster cancel ")[1].split()[0]
    muster("cancel", execution, "--wait")


def on_a_terminal(muster: Muster, arguments: list[str], dialogue: list[tuple[str, str]]) -> tuple[str, int]:
    """Run a command on a terminal of its own, answer what it shows, and return what it said and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=muster.environment | {"TERM": "xterm", "LINES": "40"},
        cwd=muster.folder,
        start_new_session=True,
        preexec_fn=_controlling,  # noqa: PLW1509 - the test process runs no other thread that matters here
    )
    os.close(theirs)
    said = b""
    deadline = time.monotonic() + PATIENCE_S
    try:
        for text, answer in dialogue:
            mark = len(said)
            while text.encode() not in said[mark:]:
                assert time.monotonic() < deadline, said.decode(errors="replace")
                said += os.read(ours, 65536)
            os.write(ours, answer.encode())
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            said += chunk
        return said.decode(errors="replace"), process.wait(PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


def _controlling() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
