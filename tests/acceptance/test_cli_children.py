"""Executions that run others, as the command line tells of them, against a real Muster in processes."""

from __future__ import annotations

import pytest

from tests.acceptance.cli import Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

DEEP = """\
name: deep
on_failure: continue
steps:
  - {id: outer, workflow: middle}
  - {id: other, workflow: inner, needs: [outer], always: true}
workflows:
  inner:
    name: inner
    steps: [{id: breaks, image: none, command: "exit 4"}]
  middle:
    name: middle
    steps: [{id: each, for_each: {in: [1], steps: [{id: run, workflow: inner}]}}]
    workflows:
      inner:
        name: inner
        steps:
          - {id: breaks, image: none, command: "echo about to break; exit 3"}
"""


def test_an_error_of_a_child_is_told_with_the_execution_it_happened_in(muster: Muster):
    """Whoever reads it is sent to the logs of the child's child, where they are, not to a step that is not there."""
    muster.write("deep.yaml", DEEP)
    said = muster("run", "deep.yaml", "--id", "top", code=1).stdout
    children = {child["step"]: child["execution"] for child in muster.json("show", "top")["children"]}
    [inner] = muster.json("show", children["outer"])["children"]
    assert "  The last lines of breaks:\n    | about to break" in said
    for told in (said, muster("show", "top").stdout, muster("diff", "top", "--at", "1").stdout):
        assert f"step breaks of {inner['execution']}, attempt 1" in told
        assert f"muster logs {inner['execution']} breaks" in told
    assert f"muster logs {children['other']} breaks" in muster("show", "top").stdout
    assert "about to break" in muster("logs", inner["execution"], "breaks").stdout
