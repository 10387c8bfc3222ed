"""Which step of the definition runs under a path."""

from __future__ import annotations

import pytest

from muster.model.definition.validation import from_object
from muster.model.plan.lowering import lower
from muster.model.plan.outline import find, member

LOG = {"id": "a", "log": "x"}
WORKFLOW = {
    "name": "w",
    "steps": [
        {"id": "each", "for_each": {"in": [1], "steps": [{"id": "17", "if": "true", "then": [LOG]}]}},
        {"id": "choice", "switch": [{"then": [LOG]}], "on_failure": [{"id": "tell", "log": "y"}]},
        {"chain": [{"id": "first", "log": "z"}]},
    ],
    "on_finish": [{"id": "tidy", "log": "t"}],
}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("each/3/17/then/a", "x"),
        ("choice/default/a", "x"),
        ("choice/on_failure/tell", "y"),
        ("first", "z"),
        ("on_finish/tidy", "t"),
    ],
)
def test_a_path_leads_to_its_step(path: str, said: str):
    """Through members of loops, branches, handlers and what is run at the end."""
    found = find(lower(from_object(WORKFLOW)), path)
    assert found is not None
    assert found.step.log == said


@pytest.mark.parametrize(
    "path", ["", "nobody", "each/x/17", "each/3/nobody", "choice/else/a", "on_finish/a", "first/a"]
)
def test_what_is_not_there_is_not_found(path: str):
    """Also where the beginning of the path is right."""
    assert find(lower(from_object(WORKFLOW)), path) is None


def test_a_step_knows_its_loop():
    """Only what a loop runs directly belongs to one of its items; a step may be called by a number."""
    assert member("each/17/convert") == ("each", 17)
    assert member("a/0/b/3/c") == ("a/0/b", 3)
    assert [member(path) for path in ("a", "x/then/a", "17", "each/17/x/then/a", "each/17")] == [None] * 5
