"""A rebuild is killed, or interrupted, at any moment: the view is the old one or the new one, whole, and goes on."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
from contextlib import closing

import pytest

from muster.fault import POINTS
from muster.model.log.envelope import encode
from muster_projections import canonical
from muster_projections.query import View
from tests.acceptance.crash.plays import appended, reflected
from tests.fixtures.broker import Broker
from tests.fixtures.histories import history
from tests.fixtures.processes import PATIENCE_S, Installation, Program
from tests.fixtures.proxy import Proxy

LOG = history(31, executions=150)
HALF = sum(len(encode(recorded.event)) for recorded in LOG.events) // 2
"""Bytes: who has been given so many of the log stands in the middle of it."""
BEFORE = {"projections.exchange.before", "projections.rename.before"}

pytestmark = [pytest.mark.slow]


async def _append(site: Installation, start: int = 0, stop: int | None = None) -> int:
    last = await appended(site.broker, LOG.events[start:stop])
    await site.log.holds(lambda: site.log.last == last, "what was appended")
    return last


async def _kept(site: Installation) -> Program:
    """A projector that keeps the view, which has come to the log's end."""
    projector = site.muster("view", "projections", "run")
    await projector.launch().says("keep")
    await reflected(site.view, site.log, 60)
    return projector


async def _rows(site: Installation) -> list[str]:
    """The canonical form; and SQLite finds nothing wrong with the file."""

    def look() -> list[str]:
        with closing(sqlite3.connect(f"file:{site.view}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return list(canonical.dump(site.view))

    return await asyncio.to_thread(look)


def _mark(site: Installation) -> None:
    """Make the view different from what the log says, so that the old one can be told from the new one."""
    with closing(sqlite3.connect(site.view, timeout=10)) as connection:
        connection.execute("UPDATE machines SET software = 'the old view'")
        connection.commit()


def _marked(rows: list[str]) -> bool:
    return any("the old view" in row for row in rows)


def _read(site: Installation) -> int:
    with View.open(site.view) as reader:
        return len(reader.executions())


def _left(site: Installation) -> list[str]:
    return [path.name for path in site.view.parent.glob("view.db.rebuild*") if path.suffix != ".lock"]


@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith("projections.")])
async def test_a_rebuild_killed_at_the_exchange(site: Installation, point: str) -> None:
    """Halted there and killed: the old view before the rename, the new one after it; the projector misses nothing."""
    await _append(site, 0, -300)
    projector = await _kept(site)
    new = await _rows(site)
    await asyncio.to_thread(_mark, site)
    old = await _rows(site)
    assert old != new

    rebuild = site.muster("rebuild", "projections", "rebuild")
    await rebuild.launch(fault=point).halted()
    if "exchange" in point:  # readers are not held up by a rebuild that stands still here
        assert await asyncio.to_thread(_read, site)
    rebuild.kill()
    found = await _rows(site)
    assert found == (old if point in BEFORE else new)

    await _append(site, -300)
    await reflected(site.view, site.log, 60)
    assert _marked(await _rows(site)) is (point in BEFORE)
    await rebuild.launch().says("It is at sequence")
    assert await rebuild.exits() == 0
    assert not _left(site)
    assert not _marked(await _rows(site))
    proof = site.muster("verify", "projections", "verify").launch()
    assert await proof.exits() == 0, proof.log
    assert await projector.end() == 0


@pytest.mark.timeout(180)
async def test_a_rebuild_killed_at_any_moment(site: Installation) -> None:
    """Killed again and again beside a projector that follows: the view is whole each time, the next cleans up."""
    await _append(site, 0, 3000)
    projector = await _kept(site)
    chance, old, place = random.Random(8), 0, 3000
    for turn in range(12):
        await asyncio.to_thread(_mark, site)
        rebuild = site.muster(f"rebuild{turn}", "projections", "rebuild").launch()
        shadow = site.view.with_name("view.db.rebuild")
        while not shadow.exists() and rebuild.running:  # the start of Python is no moment of the rebuild's
            await asyncio.sleep(0.001)
        await asyncio.sleep(chance.uniform(0.0, 0.35))
        rebuild.kill()
        old += _marked(await _rows(site))
        place, start = min(place + 200, len(LOG.events)), place
        await _append(site, start, place)
        await reflected(site.view, site.log, 60)
    assert old >= 3, "hardly any was killed before its exchange"
    done = site.muster("rebuild", "projections", "rebuild").launch()
    assert await done.exits() == 0
    assert not _left(site)
    proof = site.muster("verify", "projections", "verify").launch()
    assert await proof.exits() == 0, proof.log
    assert await projector.end() == 0


@pytest.mark.parametrize("command", ["rebuild", "verify"])
async def test_ctrl_c_cleans_up(site: Installation, broker: Broker, command: str) -> None:
    """Interrupted in the middle: exit code 130, no file of the fold is left, the view is as it was."""
    await _append(site)
    projector = await _kept(site)
    await asyncio.to_thread(_mark, site)
    old = await _rows(site)
    async with Proxy(broker.port) as proxy:
        proxy.stall_behind(HALF)
        program = site.muster(command, "projections", command, "--url", proxy.url).launch()
        async with asyncio.timeout(PATIENCE_S):
            await proxy.stalled.wait()
            scratch = site.view.with_name(f"view.db.{command}")
            while not scratch.exists():
                await asyncio.sleep(0.001)
        program.send(signal.SIGINT)
        proxy.flow()
        assert await program.exits() == 130
    assert not list(site.view.parent.glob(f"view.db.{command}")), program.log
    assert await _rows(site) == old
    assert await projector.end() == 0
