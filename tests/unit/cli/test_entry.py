from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENTRY = [sys.executable, "-m", "muster.cli.entry"]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("core", "agents", "projections"))
}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], []])
def test_a_reader_that_goes_away_is_no_failure(arguments: list[str]):
    """Where nobody reads the pipe any more the command ends with 0 and without a word."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*ENTRY, *arguments],
        stdout=write,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=ENVIRONMENT,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("module", ["muster.cli.main", "muster.cli.run"])
def test_ctrl_c_while_the_command_line_is_loaded_ends_with_130(module: str):
    """An interrupt in the middle of an import ends with 130 and prints no traceback."""
    assert ends_when(f"""
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
""") == (130, b"")


@pytest.mark.parametrize("where", ["atexit.register(hit)", "threading._register_atexit(hit)"])
def test_ctrl_c_as_the_command_finishes_ends_with_130(where: str):
    """An interrupt while Python ends is answered with 130 too, and never by being killed."""
    assert ends_when(f"""
def hit():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)

import muster.cli.entry as entry
run = entry._run
def later():
    code = run()
    {where}
    return code
entry._run = later
""") == (130, b"")


def ends_when(prelude: str) -> tuple[int, bytes]:
    """The exit code of `muster --help` after these lines, and what it complains of."""
    code = (
        "import atexit, os, signal, sys, threading, time\nimport concurrent.futures.thread\n"
        f"{prelude}\nfrom muster.cli.entry import main\n"
        "sys.argv = ['muster', 'run', '--help']\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=ENVIRONMENT, check=False)
    return done.returncode, done.stderr.strip()  # click ends the line of the terminal's ^C
