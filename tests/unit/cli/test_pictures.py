"""What is shown of an execution: the board, the lines, the details."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from muster.cli import words
from muster.cli.board import picture, shown
from muster.cli.errors import error_lines
from muster.cli.events import line
from muster.cli.following import Lines
from muster.cli.list import Listing
from muster.cli.show import as_object, moment_lines, timeline_lines
from muster.cli.terminal import Terminal
from muster.client.follower import ExecutionView
from muster.client.steps import Progress, StepView
from muster.client.timeline import Moment, moment
from muster.model.errors import ExecutionError, RetriableError
from muster.model.log import catalogue
from muster.model.log.envelope import Recorded
from tests.unit.client.story import T0, Story, recorded


def drawn(view: ExecutionView, height: int = 40) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(picture(view, height))
    return out.getvalue()


def view_at(events: int) -> ExecutionView:
    view = ExecutionView("e1")
    view.apply_all(recorded(Story().whole()[:events]))
    return view


def test_the_board_shows_each_step_with_its_phase_and_machine():
    """Each step has a line with what it does now and where."""
    text = drawn(view_at(5))
    assert "hello" in text
    assert "0/2 steps" in text
    assert "Pulling Image" in text
    assert "m1" in text


def test_the_board_draws_a_bar_for_a_pull():
    """A phase that knows how far it is has a bar and the amounts."""
    view = view_at(5)
    progress = catalogue.AttemptProgress(phase="pull", current=5e6, total=2e7, unit="bytes")
    story = Story()
    story.outbox = 90
    view.apply(Recorded(50, story.reports(progress, "greet")))
    text = drawn(view)
    assert "━" in text
    assert "5.0 MB of 20.0 MB" in text


def test_the_board_fits_the_screen():
    """Of a thousand steps those that move are shown, in the order of the definition."""
    steps = [StepView(path=f"s{number}") for number in range(1000)]
    steps[777] = StepView(path="s777", status="running")
    chosen = list(shown(steps, 5))
    assert len(chosen) == 5
    assert chosen[-1].path == "s777"


def test_lines_say_what_happened(capsys: pytest.CaptureFixture[str]):
    """Without a terminal each thing that happened is one plain line."""
    view = ExecutionView("e1")
    lines = Lines(Terminal())
    for entry in recorded(Story().whole()):
        lines.update(entry, view.apply(entry))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "execution e1"
    assert said[1].split() == ["+0.200s", "greet", "Scheduled", "[m1]"]
    assert any("Image Pulled (cached)" in text and "[m1]" in text for text in said)
    assert sum("succeeded" in text for text in said) == 2
    assert all("\x1b" not in text for text in said)


def test_the_timeline_has_names_machines_and_offsets():
    """The timeline tells each moment by its name with where and when."""
    lines = timeline_lines(view_at(99))
    assert "+0.400s" in lines[0]
    assert "Pulling Image" in lines[0]
    assert all("m1" in text for text in lines)


def test_the_end_of_an_attempt_says_what_took_how_long():
    """Each phase has its seconds, also where one of them failed; one that only ran has no more to say."""

    def told(**more: object) -> list[str]:
        made = Moment(time=T0, label="Execution Failed", kind="attempt.failed", step="s", **more)  # type: ignore[arg-type]
        return moment_lines([made], T0)

    [line] = told(seconds=1.5, phases={"pull": 0.002, "start": 0.25, "load": 1.5})
    assert line.endswith("in 1.5s  pull 0.002s, start 0.250s, load 1.5s")
    [line] = told(seconds=0.004, phases={"run": 0.004})
    assert line.endswith("in 0.004s")
    failed = catalogue.AttemptFailed(error=ExecutionError().info(), phase="load", seconds={"load": 2.0})
    made = moment(Story().reports(failed, "greet"))
    assert made is not None
    assert (made.seconds, made.phases) == (2.0, {"load": 2.0})


def test_the_last_lines_go_with_the_error():
    """What a command or a container printed last is shown where it ended, unless it was shown already."""
    error = ExecutionError(exit_code=3, tail=["about to break", "broken"]).info(step="greet")
    shown = ["The last lines it printed:", "  about to break", "  broken"]
    assert error_lines(error, "e1", tail=True)[-3:] == shown
    around = error_lines(RetriableError(cause=error).info(), "e1", tail=True)
    assert around[-3:] == [f"  {line}" for line in shown]
    assert shown[0] not in error_lines(error, "e1")


def test_an_execution_as_json_has_everything():
    """The object of `show --json` holds status, inputs, outputs, transitions, steps and timeline, defaults included."""
    found = as_object(view_at(99))
    assert found["status"] == "succeeded"
    assert found["progress"] == {"finished": 2, "total": 2}
    assert found["outputs"] == {"text": "hi"}
    assert [row.number for row in found["transitions"]] == [1, 2, 3, 4, 5]
    assert [step.status for step in found["steps"]] == ["succeeded"] * 2


def test_an_error_is_told_with_place_remedy_and_cause():
    """An error says its name, code, phase, step, attempt, machine, what to do, and what caused it."""
    cause = ExecutionError("it exited with code 3").info(phase="run")
    error = RetriableError("3 attempts failed", cause=cause).info(
        step="greet", attempt=3, machine="m1", phase="run"
    )
    lines = error_lines(error, "e1")
    assert lines[0] == "RetriableError (retriable): phase run, step greet, attempt 3, machine m1"
    assert "3 attempts failed" in lines
    assert any(text.startswith("What to do: ") for text in lines)
    assert any("Caused by ExecutionError" in text for text in lines)
    remedy = error_lines(ExecutionError().info(step="greet"), "e1")[-1]
    assert "muster logs e1 greet" in remedy


def test_an_event_is_told_in_one_line():
    """The line of an event says sequence, writer, kind, execution, step, attempt and what people call it."""
    entry = recorded(Story().whole())[5]
    text = line(entry)
    for part in ("     6", "m1", "image.pulled", "e1", "greet#1", "Image Pulled (cached)", "busybox:1"):
        assert part in text


def test_the_list_is_folded_from_the_log():
    """Without a view the list is what transitions and outcomes say, each counted once; what was cleared is gone."""
    listing = Listing()
    told = [*Story("e1").whole(), Story("e2").queued(), Story("e3").queued()]
    listing.apply_all(recorded([*told, *Story("e1").whole()[-3:]]))
    listing.apply_all(recorded([Story("e3").decides(catalogue.ExecutionCleared())], 90))
    rows = listing.rows
    assert {row.id: row.status for row in rows.values()} == {"e1": "succeeded", "e2": "queued"}
    assert rows["e1"].ended_at is not None
    assert (rows["e1"].steps_ended, rows["e1"].steps) == (2, 2)
    assert (rows["e2"].steps_ended, rows["e2"].steps) == (0, 2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012s"), (4.25, "4.2s"), (65, "1m 05s"), (7260, "2h 01m"), (-1, "0.000s")],
)
def test_durations_are_short(seconds: float, text: str):
    """A duration is shown with the precision it deserves."""
    assert words.duration(seconds) == text


def test_amounts_are_readable():
    """Bytes have units, other amounts theirs, and a message wins."""
    assert words.amount(Progress("pull", 1500, 3e9, "bytes")) == "1.5 kB of 3.0 GB"
    assert words.amount(Progress("run", 3, 10, "files")) == "3 of 10 files"
    assert words.amount(Progress("run", 3, None, "files")) == "3 files"
    assert words.amount(Progress("run", 3, 10, "files", "half way")) == "half way"


def test_waiting_says_for_how_long():
    """A step that waits for another try says how long it still waits."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    step = StepView(path="s", status="waiting", reason="backoff", due_at=now + timedelta(seconds=3))
    assert words.doing(step, now) == "waiting: backoff, 3.0s left"
