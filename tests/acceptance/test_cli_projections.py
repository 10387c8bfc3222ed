"""The view proves itself, is rebuilt beside those who use it, and takes up projections of somebody's own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from muster_projections.query import View
from muster_projections.rows import Execution
from muster_projections.status import status
from tests.acceptance.cli import HELLO, Muster
from tests.acceptance.seen import reflected
from tests.fixtures.plugged import install, install_example

pytestmark = [pytest.mark.slow]


@pytest.fixture
def muster(tmp_path: Path) -> Iterator[Muster]:
    """The command line, and a Muster of its own behind it that has run one workflow."""
    made = Muster(tmp_path)
    made.write("hello.yaml", HELLO)
    try:
        yield made
    finally:
        made.close()


def _run(muster: Muster, name: str) -> None:
    muster("run", "hello.yaml", "--input", f"name={name}")
    reflected(muster)


def _sql(muster: Muster, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(muster.data_dir / "view.db")) as connection:
        found = connection.execute(sql).fetchall()
        connection.commit()
        return found


def _executions(muster: Muster) -> list[Execution]:
    with View.open(muster.data_dir / "view.db") as view:
        return view.executions()


def _version(muster: Muster) -> str:
    return status(muster.data_dir / "view.db").projections["durations"]


def test_a_view_is_proved_and_rebuilt_while_everything_runs(muster: Muster) -> None:
    """Verify agrees, rebuild compares and exchanges, the projections go on; what was tampered with is named."""
    muster.up()
    _run(muster, "one")
    assert "both have the digest" in muster("projections", "verify").stdout
    before = muster.json("projections", "verify")
    assert before["equal"] is True
    assert before["live"] == before["rebuilt"]
    early = muster.json("projections", "verify", "--at", "3")
    assert (early["sequence"], early["events"], early["live"], early["equal"]) == (3, 3, None, None)
    assert "not at 3" in muster("projections", "verify", "--at", "3").stdout

    assert "it equals the old view" in muster("projections", "rebuild").stdout
    done = muster.json("projections", "rebuild")
    assert done["compared"]["equal"] is True
    _run(muster, "two")
    assert len(_executions(muster)) == 2
    assert muster.json("projections", "verify")["equal"] is True
    status = muster.json("projections", "status")
    assert (status["poison"], status["unknown"]) == (0, 0)
    assert set(status["projections"]) >= {"executions", "steps", "attempts"}
    assert "No event was passed over" in muster("projections", "status").stdout

    _sql(muster, "UPDATE steps SET machine = 'mars' WHERE step = 'greet'")
    said = muster("projections", "verify", code=1).stdout
    assert "is NOT what the log says" in said
    assert "machine of steps (execution = " in said
    assert "'mars' in the live view and 'm1' in the rebuilt one" in said
    found = muster.json("projections", "verify", code=1)["difference"]
    assert (found["table"], found["column"], found["live"], found["rebuilt"]) == (
        "steps",
        "machine",
        "mars",
        "m1",
    )
    assert "the old view was different, and the new one was taken" in muster("projections", "rebuild").stdout
    assert muster.json("projections", "verify")["equal"] is True


def test_one_s_own_projection_is_found_folded_and_followed(muster: Muster) -> None:
    """Installed, it is in the view after the next start, and so is its next version; broken, it stops no reader."""
    site = muster.folder / "site"
    _run_once(muster)
    install_example(site)
    muster.environment["PYTHONPATH"] += os.pathsep + str(site)

    up = muster.up()
    assert any("the projections rebuild" in line for line in up.lines)
    assert len(_sql(muster, "SELECT seconds FROM durations WHERE seconds >= 0")) == 2
    _run(muster, "two")
    assert len(_sql(muster, "SELECT seconds FROM durations WHERE seconds >= 0")) == 4
    assert muster.json("projections", "verify")["equal"] is True
    assert muster.json("projections", "rebuild")["compared"]["equal"] is True
    assert "### `durations`" in muster("projections", "schema").stdout
    assert _version(muster) == "1"
    assert up.interrupt() == 0

    module = site / "durations.py"
    module.write_text(
        module.read_text().replace("version = 1", "version = 2").replace("86400, 3", "86400000, 3")
    )
    up = muster.up()
    assert any("the projections rebuild" in line for line in up.lines)
    assert _version(muster) == "2"
    assert len(_sql(muster, "SELECT seconds FROM durations WHERE seconds >= 0")) == 4
    assert up.interrupt() == 0

    install(
        site,
        {"durations.py": "import nothing_at_all"},
        {"durations": "durations:Durations"},
        "muster-durations",
    )
    assert [each.status for each in _executions(muster)] == ["succeeded", "succeeded"]
    assert muster.json("projections", "status")["projections"]["durations"] == "2"
    trouble = muster("projections", "schema", code=2)
    assert (
        "The projection of the entry point durations = durations:Durations of muster-durations 1.0"
        in trouble.stderr
    )
    assert "uninstall muster-durations" in trouble.stderr


def _run_once(muster: Muster) -> None:
    up = muster.up()
    _run(muster, "one")
    assert up.interrupt() == 0


def test_an_event_that_one_projection_cannot_fold_is_shown(muster: Muster) -> None:
    """The others go on; status and verify name the event, the projection and the error."""
    site = muster.folder / "site"
    install_example(site)
    module = site / "durations.py"
    module.write_text(module.read_text().replace("moment(event.time)})", "moment(event.data.gone)})"))
    muster.environment["PYTHONPATH"] += os.pathsep + str(site)
    muster.up()
    _run(muster, "one")
    assert [each.status for each in _executions(muster)] == ["succeeded"]
    status = muster.json("projections", "status")
    assert status["poison"] == 2
    assert {each["projection"] for each in status["poisoned"]} == {"durations"}
    for command in ("status", "verify"):
        said = muster("projections", command).stdout
        assert "2 events could not be folded and were passed over" in said
        assert f"{status['poisoned'][0]['sequence']} step.succeeded by durations: AttributeError" in said
