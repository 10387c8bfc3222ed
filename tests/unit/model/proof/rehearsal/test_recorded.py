"""What real schedulers and agents recorded comes out again when nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.fixtures import load
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.rehearse import rehearse

HISTORIES = sorted((Path(__file__).resolve().parents[4] / "golden" / "histories").glob("*.jsonl"))
HELD_UP = {"broker-restarted": 2.0, "two-end-at-once": 0.5}
"""Seconds for which the scheduler could not read what had come."""


def test_there_are_histories() -> None:
    """The recorded histories are found where they are kept."""
    assert len(HISTORIES) >= 25


@pytest.mark.parametrize("path", HISTORIES, ids=[path.stem for path in HISTORIES])
def test_a_recorded_history_comes_out_again(path: Path) -> None:
    """Outcomes, attempts, machines and errors are those of the record, and the times within milliseconds."""
    found = rehearse(load(path), Changes(), name=path.name)
    assert {
        execution.id: execution.deviations for execution in found.executions if execution.deviations
    } == {}
    assert found.drift_s < HELD_UP.get(path.stem, 0.05)
