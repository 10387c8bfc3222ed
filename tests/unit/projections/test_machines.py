"""Machines: facts of the agent, verdicts of the scheduler, and what follows from both."""

import json

import pytest

from muster.model.log import catalogue as c
from tests.fixtures.histories import START, History
from tests.fixtures.views import row


def _evidence(session: int) -> c.Evidence:
    return c.Evidence(
        session=session, last_beat=4, last_beat_at=START, interval_s=3.0, missed=3, watched_s=60.0
    )


@pytest.fixture
def log() -> History:
    made = History()
    made.connect("gpu-1", cpus=8.0, labels={"gpu": "true"})
    return made


def test_a_connected_machine(tmp_path, log):
    """machine.connected tells what the machine has; its sequence is the session."""
    found = row(tmp_path, log, "machines")
    assert (found["name"], found["status"], found["session"], found["instance"]) == (
        "gpu-1",
        "connected",
        1,
        "i1",
    )
    assert json.loads(found["facts"])["labels"] == {"gpu": "true"}
    assert found["connected_at"] == found["changed_at"] == "2026-03-01T12:00:00.000000Z"


def test_offline_and_online_carry_their_evidence(tmp_path, log):
    """A verdict about the present connection changes the status and keeps what it rests on."""
    log.decide(c.MachineOffline(evidence=_evidence(1)), machine="gpu-1")
    offline = row(tmp_path, log, "machines")
    assert (offline["status"], json.loads(offline["evidence"])["missed"]) == ("offline", 3)
    log.decide(c.MachineOnline(evidence=_evidence(1)), machine="gpu-1")
    assert row(tmp_path, log, "machines")["status"] == "connected"


def test_a_verdict_about_an_old_connection_changes_nothing(tmp_path, log):
    """A machine that connected anew is not offline because its former connection was found to be."""
    log.connect("gpu-1", "i2")
    log.decide(c.MachineOffline(evidence=_evidence(1)), machine="gpu-1")
    assert row(tmp_path, log, "machines")["status"] == "connected"


def test_a_new_connection_ends_offline(tmp_path, log):
    """Whoever connects again is there."""
    log.decide(c.MachineOffline(evidence=_evidence(1)), machine="gpu-1")
    log.connect("gpu-1", "i2")
    found = row(tmp_path, log, "machines")
    assert (found["status"], found["session"], found["instance"]) == ("connected", 3, "i2")


def test_goodbye(tmp_path, log):
    """machine.disconnected wins over a verdict that comes later, and ends with the next connection."""
    log.report("gpu-1", c.MachineDisconnected(reason="shutdown"))
    log.decide(c.MachineOffline(evidence=_evidence(1)), machine="gpu-1")
    found = row(tmp_path, log, "machines")
    assert (found["status"], found["reason"]) == ("disconnected", "shutdown")
    log.connect("gpu-1", "i2")
    assert row(tmp_path, log, "machines")["status"] == "connected"


def test_draining_outlasts_a_connection(tmp_path, log):
    """A draining machine drains on after it has connected again; drained is shown in the column drain."""
    log.decide(c.MachineDraining(reason="upgrade"), machine="gpu-1")
    assert row(tmp_path, log, "machines")["status"] == "draining"
    log.connect("gpu-1", "i2")
    assert row(tmp_path, log, "machines")["status"] == "draining"
    log.decide(c.MachineDrained(), machine="gpu-1")
    found = row(tmp_path, log, "machines")
    assert (found["status"], found["drain"]) == ("draining", "drained")


def test_a_removed_machine_comes_back_by_connecting(tmp_path, log):
    """Removal is forgotten with the next connection, and so is the draining before it."""
    log.decide(c.MachineDraining(), machine="gpu-1")
    log.decide(c.MachineRemoved(reason="sold"), machine="gpu-1")
    found = row(tmp_path, log, "machines")
    assert (found["status"], found["reason"]) == ("removed", "sold")
    log.connect("gpu-1", "i2")
    assert row(tmp_path, log, "machines")["status"] == "connected"
