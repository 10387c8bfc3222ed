"""``muster run`` on a terminal asks what steps wait for."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.cli import COMMAND, PATIENCE_S, Muster, muster
from tests.acceptance.test_cli_constructs import ASKS

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]


def _take_terminal() -> None:
    """Ctrl-C goes to the session whose terminal it is: the first that opens it."""
    os.close(os.open(os.ttyname(0), os.O_RDWR))


class Screen:
    """A command on a terminal of its own."""

    def __init__(self, muster: Muster, *arguments: str) -> None:
        self._keys, there = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=there,
            stdout=there,
            stderr=there,
            env=muster.environment | {"TERM": "xterm"},
            cwd=muster.folder,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - it is one call, in a process that has no threads yet
        )
        os.close(there)

    def type(self, text: str) -> None:
        """As a person would."""
        os.write(self._keys, text.encode())

    def until(self, text: str) -> None:
        """Read on until this has been said."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not come; it said:\n{self.seen}"
            if select.select([self._keys], [], [], left)[0]:
                try:
                    self.seen += os.read(self._keys, 4096).decode(errors="replace")
                except OSError:  # it has ended, and so has its terminal
                    raise AssertionError(f"{text!r} did not come; it said:\n{self.seen}") from None

    def forget_to(self, text: str) -> None:
        """What was said up to there has been seen."""
        self.seen = self.seen.partition(text)[2]

    def close(self) -> None:
        """Whatever happened, it is gone."""
        self.process.kill()
        self.process.wait()
        os.close(self._keys)


@pytest.fixture
def screen(muster: Muster) -> Iterator[Screen]:
    """``muster run`` of a workflow that asks."""
    made = Screen(muster, "run", muster.write("asks.yaml", ASKS))
    yield made
    made.close()


def test_it_is_asked_and_goes_on(screen: Screen) -> None:
    """Each part of the answer is asked for; then the execution goes on, and ends well."""
    screen.until("approve asks: Publish it?")
    screen.until("ok (y or n): ")
    screen.type("perhaps\n")
    screen.until("note (string, may be left out): ")
    screen.type("\n")
    screen.until("That is not what it asks for: ok")
    screen.forget_to("That is not what it asks for: ok")
    screen.until("ok (y or n): ")
    screen.type("y\n")
    screen.until("note (string, may be left out): ")
    screen.type("well done\n")
    screen.until("succeeded")
    screen.until("note: well done")
    assert screen.process.wait(PATIENCE_S) == 0


def test_ctrl_c_leaves_it_waiting(muster: Muster, screen: Screen) -> None:
    """The step waits on and how to answer it is said; it is answered from elsewhere, and the run ends well."""
    screen.until("ok (y or n): ")
    screen.type("\x03")
    screen.until("It waits on; answer it: muster resume")
    screen.until(" --input ok=")
    execution = screen.seen.rpartition("muster resume ")[2].split()[0]
    assert muster.json("show", execution)["status"] == "awaiting_input"
    muster("resume", execution, "--input", '{"ok": false, "note": ""}')
    screen.until("succeeded")
    assert screen.process.wait(PATIENCE_S) == 0
