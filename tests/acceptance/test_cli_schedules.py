"""Schedules as a user has them: added from a file, listed, paused, triggered and removed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.cli import PATIENCE_S, Muster, muster

TICK = """\
name: tick
inputs: {word: {type: string}}
steps:
  - id: say
    image: busybox:1
    environment: {WORD: "${{ inputs.word }}"}
    command: echo $WORD
    outputs: {said: {type: string, source: stdout}}
outputs: {said: "${{ steps.say.outputs.said }}"}
schedule: {every: 1s, inputs: {word: tick}}
"""
SLOW = """\
name: slow
steps: [{id: nap, image: "busybox:1", command: exec sleep 600, stop_grace_period: 1s}]
schedule: {every: 1s}
"""

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(240)]  # some twenty processes a test


def until(look: Callable[[], Any]) -> Any:
    """What is found once there is anything; a process of its own cannot be awaited."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come")


def listed(muster: Muster, name: str) -> dict[str, Any]:
    """What the list says of one schedule."""
    return next(each for each in muster.json_lines("schedules") if each["name"] == name)


def events(muster: Muster, kind: str) -> list[dict[str, Any]]:
    """The data of the events of this kind."""
    return [each["data"] for each in muster.json_lines("events", "--kind", kind)]


def test_a_schedule_from_beginning_to_end(muster: Muster) -> None:
    """Added it runs each second, paused it does not, resumed it goes on, removed it is gone; a run says whose it is."""
    muster.write("tick.yaml", TICK)
    said = muster("schedules", "add", "tick.yaml", "--input", "word=tock", "--label", "team=a").stdout
    assert said.startswith("tick is run every 1s; next ")
    until(lambda: listed(muster, "tick")["last_outcome"] == "succeeded")
    assert muster("schedules").stdout.splitlines()[1].startswith("tick")

    assert muster("schedules", "pause", "tick", "--reason", "lunch").stdout == "tick is paused\n"
    assert "nothing changed" in muster("schedules", "pause", "tick").stdout
    assert "paused lunch" in muster("schedules", "show", "tick").stdout
    fired = len(events(muster, "schedule.fired"))
    time.sleep(2.5)  # beyond the time that it would be due again
    assert len(events(muster, "schedule.fired")) == fired

    execution = muster("schedules", "trigger", "tick").stdout.strip()
    muster("watch", execution)
    shown = muster.json("show", execution)
    assert (shown["schedule"]["name"], shown["outputs"], shown["labels"]) == (
        "tick",
        {"said": "tock"},
        {"team": "a"},
    )
    assert "run of the schedule tick, triggered" in muster("show", execution).stdout

    assert muster("schedules", "resume", "tick").stdout == "tick is run again\n"
    until(lambda: len(events(muster, "schedule.fired")) > fired)
    newest = events(muster, "schedule.fired")[-1]["execution"]
    assert newest.startswith("tick-2")
    assert "run of the schedule tick, due" in muster("show", newest).stdout

    assert muster.json("schedules", "remove", "tick") == {"name": "tick", "removed": True}
    assert [each["name"] for each in muster.json_lines("schedules")] == []
    ids = [each["execution"] for each in events(muster, "schedule.fired")]
    assert len(ids) == len(set(ids))


def test_one_at_a_time(muster: Muster) -> None:
    """Due while the last one goes on it is skipped, which the log says; triggering it is refused with what to do."""
    muster.write("slow.yaml", SLOW)
    muster("schedules", "add", "slow.yaml")
    until(lambda: events(muster, "schedule.skipped"))
    (first, *_) = [each for each in muster.json_lines("list") if each["workflow"] == "slow"]
    refused = muster("schedules", "trigger", "slow", code=None)
    assert refused.returncode != 0
    assert "does not overlap" in refused.stderr
    assert "muster cancel" in refused.stderr
    assert "overlap" in muster("schedules", "show", "slow").stdout
    muster("schedules", "remove", "slow")
    muster("cancel", first["id"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "nobody"), "There is no schedule nobody."),
        (("pause", "nobody"), "There is no schedule nobody."),
        (("resume", "nobody"), "There is no schedule nobody."),
        (("remove", "nobody"), "There is no schedule nobody."),
        (("trigger", "nobody"), "There is no schedule nobody."),
        (("add", "hello.yaml", "--input", "name=you"), "does not say when it is to be run"),
        (("add", "hello.yaml", "--every", "1h"), "The input name is required"),
        (("add", "hello.yaml", "--every", "soon", "--input", "name=a"), "is not a duration"),
        (("add", "hello.yaml", "--cron", "0 6 * *", "--input", "name=a"), "wrong number of fields"),
        (("add", "hello.yaml", "--cron", "0 6 * * *", "--timezone", "Berlin"), "did you mean Europe/Berlin?"),
        (("add", "hello.yaml", "--every", "1h", "--name", "No Name", "--input", "name=a"), "No Name"),
    ],
)
def test_what_is_wrong_is_said(muster: Muster, arguments: tuple[str, ...], says: str) -> None:
    """Each mistake ends in one sentence that names it, and nothing is sent."""
    done = muster("schedules", *arguments, code=None)
    assert done.returncode not in {0, 1}
    assert says in done.stderr


def test_when_it_is_due_is_shown(muster: Muster) -> None:
    """A file's schedule in words, and the next five times of one that was added."""
    muster.write("daily.yaml", TICK.replace("every: 1s", 'cron: "30 6 * * MON-FRI", timezone: Europe/Berlin'))
    assert "at 06:30 on Monday through Friday, Europe/Berlin" in muster("explain", "daily.yaml").stdout
    muster("validate", "daily.yaml")
    added = muster.json("schedules", "add", "daily.yaml", "--name", "mornings")
    shown = muster.json("schedules", "show", "mornings")
    assert shown["times"][0] == added["next_at"]
    assert len(set(shown["times"])) == 5
    assert all(json.dumps(moment)[12:18] in {"04:30:", "05:30:"} for moment in shown["times"])
    muster("schedules", "remove", "mornings")
