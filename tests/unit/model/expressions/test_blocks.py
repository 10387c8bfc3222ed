"""What pyconduit had blocks for, by their names there, as expressions in a workflow that runs."""

from __future__ import annotations

from typing import Any

import pytest

from muster.model.definition.validation import validate
from tests.fixtures.play import Play

LOGIC: dict[str, tuple[str, Any]] = {
    "BOOL": ("int('5') != 0", True),
    "IF =": ("inputs.n == 3", True),
    "IF !=": ("inputs.n != 3", False),
    "IF >": ("inputs.n > 2", True),
    "IF >=": ("inputs.n >= 4", False),
    "IF <": ("inputs.n < 4", True),
    "IF <=": ("inputs.n <= 2", False),
    "IF is": ("inputs.none == null", True),
    "IF is not": ("inputs.none != null", False),
    "IS_TRUTH": ("inputs.yes == true", True),
    "IS_NONE": ("inputs.none == null", True),
    "TRUE": ("true", True),
    "FALSE": ("false", False),
    "NONE": ("null", None),
    "IF_THEN_ELSE": ("inputs.n > 2 ? 'many' : 'few'", "many"),
    "LOGICAL_NOT": ("!inputs.yes", False),
    "LOGICAL_OR": ("!inputs.yes || inputs.n == 3", True),
    "LOGICAL_AND": ("inputs.yes && inputs.n == 4", False),
    "BITWISE_AND": ("math.bitAnd(inputs.n, 6)", 2),
    "BITWISE_OR": ("math.bitOr(inputs.n, 4)", 7),
    "BITWISE_NOT": ("math.bitNot(inputs.n)", -4),
    "XOR": ("inputs.yes != (inputs.n == 3)", False),
    "NAND": ("!(inputs.yes && inputs.n == 3)", False),
    "NOR": ("!(inputs.yes || inputs.n == 3)", False),
    "XNOR": ("inputs.yes == (inputs.n == 3)", True),
}
VARIABLE: dict[str, tuple[str, Any]] = {
    "GET": ("vars.count", 1),
    "IS_EXISTS": ("'count' in vars", True),
    "COUNT": ("size(vars)", 2),
    "LIST_NAMES": ("vars.map(name, name).sort()", ["count", "word"]),
    "LIST_VALUES": ("vars.map(name, string(vars[name])).sort()", ["1", "a"]),
    "CREATE": ("vars.word", "a"),
}
PATHS: dict[str, tuple[str, Any]] = {
    "key": ("inputs.map.a.b", 7),
    "index": ("inputs.list[1]", 2),
    "slice of a list": ("inputs.list.slice(1, 3)", [2, 3]),
    "slice of a text": ("'abcde'.substring(1, 3)", "bc"),
    "a tag in a tag": ("inputs.map[inputs.key].b", 7),
}
INPUTS = {"n": 3, "yes": True, "none": None, "list": [1, 2, 3], "map": {"a": {"b": 7}}, "key": "a"}
STEPS = [{"id": "begin", "set": {"count": 1, "word": "a"}}]


def given(expression: str) -> Any:
    """What a step of a workflow gives, of which this is the value."""
    steps = [*STEPS, {"id": "it", "needs": ["begin"], "set": {"result": f"${{{{ {expression} }}}}"}}]
    definition = {
        "name": "w",
        "inputs": {name: {"default": at} for name, at in INPUTS.items()},
        "steps": steps,
    }
    assert validate(definition) == []
    play = Play()
    play.submit(definition)
    [ended] = [event.data for event in play.events("step.succeeded") if event.step == "it"]
    return ended.outputs["result"]


@pytest.mark.parametrize("block", LOGIC)
def test_logic(block: str):
    """Comparisons, truth and bits give what these blocks gave."""
    expression, value = LOGIC[block]
    assert given(expression) == value


@pytest.mark.parametrize("block", VARIABLE)
def test_variable(block: str):
    """Variables are read, counted, listed and asked for."""
    expression, value = VARIABLE[block]
    assert given(expression) == value


@pytest.mark.parametrize("path", PATHS)
def test_path(path: str):
    """What paths in tags could reach, expressions reach."""
    expression, value = PATHS[path]
    assert given(expression) == value
