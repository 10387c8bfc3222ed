"""Erasing from the command line."""

from __future__ import annotations

import pytest

from tests.acceptance.cli import Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]


def test_clear_erases_a_finished_execution(muster: Muster):
    """Afterwards nothing of it is in the log but the mark, it is not listed, and a second clear is refused."""
    execution = muster.json("run", "hello.yaml", "-i", "name=you")["execution"]
    assert "is cleared" in muster("clear", execution).stdout
    assert [row["type"] for row in muster.json_lines("events", "--execution", execution)] == [
        "io.muster.execution.cleared.v2"
    ]
    assert "was cleared" in muster("show", execution, code=2).stderr
    assert execution not in {row["id"] for row in muster.json_lines("list")}
    assert "was cleared" in muster("clear", execution, code=2).stderr


def test_clear_of_an_unknown_execution_is_refused(muster: Muster):
    """An id that never was exits with 2 and says where ids come from."""
    assert "muster list" in muster("clear", "nobody", code=2).stderr


def test_a_limit_of_the_scheduler_that_is_not_there_is_refused(muster: Muster):
    """A misspelt limit names those that are there."""
    assert "placement_timeout_s" in muster("scheduler", "--set", "placement=5", code=2).stderr
