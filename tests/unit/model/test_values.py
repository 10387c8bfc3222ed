"""What can travel as JSON."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.definition.validation import validate
from muster.model.values import defect


@pytest.mark.parametrize("key", [0, 1, None, False, 0.0, (), b""])
def test_a_key_that_is_no_string_is_named(key: Any):
    """Also one that Python takes for false: JSON has no such keys."""
    assert defect([{"a": {key: "x"}}]) == f"the key {key!r} of an object is not a string"


def test_a_workflow_with_such_a_key_is_refused():
    """It comes from Python only, and is a problem like any other."""
    (problem,) = validate({"name": "w", "steps": [{"id": "a", "set": {"x": {None: 1}}}]})
    assert "the key None of an object is not a string" in problem.message
