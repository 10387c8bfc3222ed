"""What is said on stderr when a command fails."""

from __future__ import annotations

import pytest

from muster.cli import failures
from muster.client import workflow_of
from muster.model.errors import WorkflowInvalidError


def _said(text: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(WorkflowInvalidError) as caught:
        workflow_of(text)
    assert failures.report(caught.value, json=False) == failures.INVALID
    return capsys.readouterr().err.splitlines()


def test_one_problem_is_said_once(capsys: pytest.CaptureFixture[str]):
    """The place and the sentence stand in one line, the remedy in the next, and nothing is said again."""
    said = _said("{name: a, steps: [{id: a.b, image: x}]}", capsys)
    assert len(said) == 2
    assert said[0] == "muster: workflow:1:20: the step id 'a.b' is not a legal name. [NameInvalidError]"
    assert said[1].startswith("  Use 1 to 63 of a-z")


def test_each_of_several_problems_has_its_own_remedy(capsys: pytest.CaptureFixture[str]):
    """The first is counted with the others, all are listed, and no remedy stands apart from its problem."""
    said = _said("{name: a.b, steps: [{id: a, image: x, timeouts: {run: soon}}]}", capsys)
    assert "(and 1 more)" in said[0]
    assert [line.count("workflow:1:") for line in said] == [1, 1, 1]
    assert "Use 1 to 63" in said[1]
    assert "Write it like 500ms" in said[2]
