"""The demo: what a visitor runs first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cli import FAILS, SLEEPS, Muster, Running

pytestmark = [pytest.mark.broker, pytest.mark.slow]

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"
WORDCOUNT = DEMO.parent / "wordcount.yaml"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Muster]:
    """A folder and a data directory of its own, and no engine."""
    made = Muster(tmp_path)
    made.environment["DOCKER_HOST"] = "tcp://127.0.0.1:1"
    yield made
    made.close()


def demo(alone: Muster, *arguments: str) -> Running:
    environment = {key: value for key, value in alone.environment.items() if key != "MUSTER_URL"}
    return Running(arguments, environment, alone.folder, command=[sys.executable, str(DEMO)])


def test_the_demo_counts_words_without_an_engine(alone: Muster):
    """Without an engine it says so in one line, runs, and shows outputs, timeline and where the view is."""
    alone.write("book.txt", "to be or not to be")
    running = demo(alone, "book.txt")
    assert running.end() == 0, "\n".join(running.lines)
    said = running.lines
    assert sum("No Docker engine answers" in line for line in said) == 1
    assert "  words: 6" in said
    assert any("words" in line and "Execution Finished" in line and "demo" in line for line in said)
    assert said[-1].endswith("view.db")
    assert Path(said[-1].rpartition(": ")[2]).exists()


def test_the_demo_refuses_text_that_is_not_utf_8(alone: Muster):
    """A text in another encoding is one sentence with file and byte, and exit code 2."""
    (alone.folder / "latin.txt").write_bytes(b"caf\xe9")
    running = demo(alone, "latin.txt")
    assert running.end() == 2
    assert running.lines[0] == "muster: latin.txt is not UTF-8: its byte 4 is 0xe9."


@pytest.mark.timeout(120)
def test_the_demo_runs_containers_where_an_engine_has_the_image(tmp_path: Path, busybox_image: str):
    """With an engine that has the image the steps run in containers, with the lifecycle lines that apply."""
    made = Muster(tmp_path)
    text = WORDCOUNT.read_text(encoding="utf-8").replace("busybox:1", busybox_image)
    running = demo(made, made.write("wordcount.yaml", text))
    code = running.end()
    made.close()
    assert code == 0, "\n".join(running.lines)
    assert any("The steps run in containers" in line for line in running.lines)
    for label in ("Pulling Image", "Image Pulled (cached)", "Starting Container", "Execution Finished"):
        assert any(label in line for line in running.lines), label


def test_the_demo_exits_with_1_if_the_run_fails(alone: Muster):
    """A workflow of one's own may be given, and a failed run is a failed demo."""
    running = demo(alone, alone.write("fails.yaml", FAILS))
    assert running.end() == 1
    assert any("ExecutionError" in line for line in running.lines)


def test_ctrl_c_in_the_demo_leaves_nothing_behind(alone: Muster):
    """Ctrl-C ends the run and everything it started, and the next demo can use the same store."""
    running = demo(alone, alone.write("sleeps.yaml", SLEEPS))
    running.until("Execution Started")
    assert running.interrupt() == 130
    assert not any("Traceback" in line for line in running.lines)
    again = demo(alone, alone.write("book.txt", "a b"))
    assert again.end() == 0, "\n".join(again.lines)
