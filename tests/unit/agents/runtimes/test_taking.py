"""Files taken out of a folder that a function of the process runtime has."""

from __future__ import annotations

from pathlib import Path

from muster_agents.runtimes.taking import take


def test_a_folder_that_is_gone(tmp_path: Path):
    """It went with its process: nothing is there, and the agent's disk is not to blame."""
    assert take(tmp_path / "gone", "f", tmp_path / "target", 100, lambda: False) is None
