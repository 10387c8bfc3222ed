"""Archiving, looking over the border, verifying and clearing, as a user does it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sqlite3
import time
from pathlib import Path

import nats
import nats.js.errors
import pytest

from tests.acceptance.cli import PATIENCE_S, Muster, muster
from tests.acceptance.seen import reflected

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]


def ran(muster: Muster, name: str = "you") -> str:
    """A finished execution."""
    execution = muster.json("run", "hello.yaml", "-i", f"name={name}")["execution"]
    assert isinstance(execution, str)
    return execution


def doctors_word(muster: Muster) -> dict[str, str]:
    """What the doctor says of the archive."""
    said = [json.loads(line) for line in muster("doctor", "--json", code=None).stdout.splitlines()]
    [found] = [each for each in said if each["name"] == "archive"]
    return found


def moved(muster: Muster) -> None:
    """Return when the stream has let go what was archived."""
    deadline = time.monotonic() + PATIENCE_S
    while asyncio.run(held(muster)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def held(muster: Muster) -> list[str]:
    """The executions of which the stream still holds the beginning."""
    async with await nats.connect(muster.url) as client:
        info = await client.jetstream().stream_info(
            "MUSTER_EVENTS", subjects_filter="muster.events.*.*.execution.queued"
        )
        return list(info.state.subjects or {})


def test_everything_works_the_same_over_the_border(muster: Muster):
    """What was archived is shown, listed, printed, recorded and replayed as before; the log is whole."""
    execution = ran(muster)
    before = muster.json_lines("events", execution)
    shown = muster.json("show", execution)
    muster("log", "archive")
    assert "Nothing to archive" in muster("log", "archive").stdout
    said = muster("log", "archive", "--older-than", "0s").stdout
    assert "moved to nats:muster_archive" in said
    moved(muster)
    assert muster.json_lines("events", execution) == before
    assert muster.json("show", execution) == shown
    assert execution in {row["id"] for row in muster.json_lines("list")}
    assert "Nothing is missing" in muster("log", "verify").stdout
    report = muster.json("log", "verify")
    assert report["ok"]
    assert report["objects"] >= 1
    assert report["findings"] == []
    assert doctors_word(muster)["level"] == "OK"
    assert "nats:muster_archive" in doctors_word(muster)["message"]
    again = ran(muster, "me")
    assert muster.json("show", again)["status"] == "succeeded"


def test_a_view_is_rebuilt_over_the_border(muster: Muster):
    """A rebuild from log and archive gives the view that was folded as it happened."""
    ran(muster)
    muster("log", "archive", "--older-than", "0s")
    moved(muster)
    assert muster("projections", "verify").returncode == 0


def test_a_duration_that_is_none(muster: Muster):
    """A duration that is none is refused before anything is sent."""
    assert "no duration" in muster("log", "archive", "--older-than", "soon", code=2).stderr
    assert "30d" in muster("log", "archive", "--help").stdout


async def everything_stored(url: str) -> dict[str, list[bytes]]:
    """Every message of every stream, subject and headers and all."""
    async with await nats.connect(url) as client:
        js = client.jetstream()
        found: dict[str, list[bytes]] = {}
        for info in await js.streams_info():
            name, state = info.config.name or "", info.state
            for sequence in range(max(1, state.first_seq), state.last_seq + 1):  # an empty one begins at 0
                try:
                    message = await js.get_msg(name, sequence)
                except nats.js.errors.NotFoundError:
                    continue
                text = f"{message.subject} {message.headers} ".encode() + (message.data or b"")
                if message.data and message.data[:2] == b"\x1f\x8b":
                    text += gzip.decompress(message.data)
                found.setdefault(name, []).append(text)
        return found


def names(text: bytes, execution: str) -> bool:
    """Whether an id stands in it, plain or as object stores write names."""
    return execution.encode() in text or base64.urlsafe_b64encode(execution.encode()) in text


@pytest.mark.parametrize("archived", [False, True])
def test_nothing_is_left_of_a_cleared_execution(muster: Muster, archived: bool):
    """Not a message in any stream, an object, a log line, nor a row of the view names it, but the one marker."""
    execution, other = ran(muster), ran(muster, "other")
    muster("logs", execution)
    if archived:
        muster("log", "archive", "--older-than", "0s")
        moved(muster)
    before = asyncio.run(everything_stored(muster.url))
    assert sum(names(each, execution) for messages in before.values() for each in messages) > 2
    muster("clear", execution)
    deadline = time.monotonic() + PATIENCE_S
    while True:  # the log goes first, and nothing tells when the rest is gone
        after = asyncio.run(everything_stored(muster.url))
        left = [
            (name, each) for name, messages in after.items() for each in messages if names(each, execution)
        ]
        if [(name, b"execution.cleared" in each) for name, each in left] == [("MUSTER_EVENTS", True)]:
            break
        assert time.monotonic() < deadline, left
    kept = [each for messages in after.values() for each in messages if names(each, other)]
    assert len(kept) > 2
    marker = json.loads(left[0][1][left[0][1].index(b'{"spec') :])
    assert marker["data"]["events"] > 5
    assert bool(marker["data"].get("archived")) == archived
    ran(muster, "later")  # the view keeps the id of the last event it has folded, which was the marker's
    reflected(muster)
    assert rows_naming(muster.data_dir / "view.db", execution) == {"cleared"}
    assert "Nothing is missing" in muster("log", "verify").stdout
    assert muster.json("show", other)["status"] == "succeeded"


def rows_naming(view: Path, execution: str) -> set[str]:
    """The tables of the view with a row that names the execution."""
    with sqlite3.connect(f"file:{view}?mode=ro", uri=True) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table
            for table in tables
            for row in db.execute(f'SELECT * FROM "{table}"')
            if any(execution in str(value) for value in row)
        }


def test_a_lost_object_is_named(muster: Muster):
    """The last test here: verify exits with 1 and says which events are gone, and so does what needs them."""
    ran(muster)
    muster("log", "archive", "--older-than", "0s")
    moved(muster)
    asyncio.run(delete_bucket(muster))
    report = muster.json("log", "verify", code=1)
    assert not report["ok"]
    assert any("archived to nats:muster_archive" in each["message"] for each in report["findings"])
    assert "WRONG" in muster("log", "verify", code=1).stdout
    assert doctors_word(muster)["level"] == "FAIL"
    failed = muster("events", code=3).stderr
    assert "muster_archive" in failed


async def delete_bucket(muster: Muster) -> None:
    async with await nats.connect(muster.url) as client:
        await client.jetstream().delete_stream("OBJ_muster_archive")
