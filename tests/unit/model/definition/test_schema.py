"""The JSON Schema that editors check workflow files with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from jsonschema.protocols import Validator

from muster.model.definition.document import parse
from muster.model.definition.printing import to_yaml
from muster.model.definition.schema import schema
from muster.model.definition.validation import from_object, load
from muster.model.definition.validation.kinds import ACTIONS
from muster.model.definition.workflow import Step
from muster.model.errors import WorkflowInvalidError
from tests.fixtures.constructs import workflows

ROOT = Path(__file__).resolve().parents[4]
BLOCKS = re.findall(
    r"```yaml\n(.*?)```", (ROOT / "docs" / "workflow.md").read_text(encoding="utf-8"), re.DOTALL
)
FILES = [*BLOCKS, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.yaml")))]


@pytest.fixture(scope="module")
def validator() -> Validator:
    """What an editor would check with."""
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_the_schema_knows_every_key():
    """Editors see all keys, refuse others, and are told what each part is for."""
    found = schema()
    step = found["$defs"]["Step"]
    assert set(step["properties"]) == set(Step.__struct_encode_fields__)
    assert [kind["title"] for kind in step["oneOf"]] == ["image", "if, then and else", *ACTIONS[1:]]
    assert found["$ref"] == "#/$defs/Workflow"
    for part in found["$defs"].values():
        assert part["additionalProperties"] is False
        assert part["description"].endswith(".")
        assert "``" not in part["description"]
        assert "  " not in part["description"]


@pytest.mark.parametrize("text", FILES, ids=range(len(FILES)))
def test_what_is_valid_fits_the_schema(text: str, validator: Validator):
    """Every example, and every block of the reference, as it is written."""
    validator.validate(parse(text.encode(), name="w.yaml").data)


RUN = {"id": "r", "image": "b"}
WRONG: dict[str, Any] = {
    "an unknown key": {**RUN, "comand": "x"},
    "no id": {"image": "b"},
    "nothing to do": {"id": "x"},
    "two things to do": {**RUN, "sleep": "5s"},
    "then without if": {"id": "x", "then": [RUN]},
    "a chain with a condition and no id": {"if": "true", "chain": [RUN]},
    "a container's key on another step": {"id": "x", "log": "hello", "command": "x"},
    "a loop without steps": {"id": "x", "for_each": {"in": [1], "steps": []}},
    "a loop over nothing named": {"id": "x", "for_each": {"steps": [RUN]}},
    "a nested unknown key": {"chain": [{"group": [{**RUN, "comand": "x"}]}]},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_has_the_wrong_shape_does_not(case: str, validator: Validator):
    """And Muster refuses it too."""
    whole: Any = {"name": "w", "steps": [WRONG[case]]}
    assert not validator.is_valid(whole)
    with pytest.raises(WorkflowInvalidError):
        load(str(whole).encode(), name="w.yaml")


RIGHT: dict[str, Any] = {
    "a chain without id": {"chain": [RUN, {"group": []}]},
    "a chain with a condition": {"id": "x", "if": ["true", True], "chain": [RUN]},
    "a branch": {"id": "x", "if": True, "then": [RUN], "else": []},
    "else alone": {"id": "x", "if": "1 < 2", "else": [RUN]},
    "null is a result": {"id": "x", "return": None},
    "inputs of a child": {"id": "x", "workflow": "inner", "inputs": {"a": 1}},
    "no wait": {"id": "x", "sleep": 0},
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_has_the_right_shape_does(case: str, validator: Validator):
    """Also what is rarely written."""
    inner: Any = {"name": "inner", "inputs": {"a": {}}, "steps": [RUN]}
    validator.validate({"name": "w", "steps": [RIGHT[case]], "workflows": {"inner": inner}})


@settings(deadline=None)
@given(workflows(8))
def test_any_valid_workflow_fits_the_schema(definition: dict[str, Any]):
    """As it is written, and as Muster writes it."""
    found = jsonschema.Draft202012Validator(schema())
    found.validate(definition)
    found.validate(parse(to_yaml(from_object(definition)).encode(), name="w.yaml").data)
