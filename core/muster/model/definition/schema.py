"""The JSON Schema of workflow files, for editors that complete and check while people write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from muster.model.definition.validation.kinds import ACTIONS, CALL, CONTAINER
from muster.model.definition.workflow import Workflow
from muster.model.plan.lowering import STRUCTURAL

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
TITLE: Final = "A Muster workflow"


def schema() -> dict[str, Any]:
    """The schema. It knows keys, types, and what goes with what in a step; what only ``muster validate`` can see
    (references, circles, expressions) it does not.
    """
    whole = msgspec.json.schema(Workflow)
    parts = whole["$defs"]
    for part in parts.values():
        part["description"] = " ".join(part["description"].replace("``", "`").split())
        # The types take unknown keys, so that an old release can read a new log; a file is checked more strictly.
        if part.get("type") == "object" and "properties" in part:
            part["additionalProperties"] = False
    for name in ("Workflow", "ForEach", "Map"):
        parts[name]["properties"]["steps"]["minItems"] = 1
    parts["Step"].pop("required", None)
    parts["Step"]["oneOf"] = [*_kinds()]
    return {"$schema": DIALECT, "title": TITLE} | whole


def _kinds() -> Iterator[dict[str, Any]]:
    """What a step can do, each with the keys that go with it: an editor offers those, and marks the others."""
    yield {"title": "image", "required": ["id", "image"]}
    branches: dict[str, Any] = {"title": "if, then and else", "required": ["id", "if"]}
    branches["properties"] = _none("then", "else")
    yield branches | {"anyOf": [{"required": ["then"]}, {"required": ["else"]}]}
    for action in ACTIONS[1:]:
        kind: dict[str, Any] = {"title": action, "required": ["id", action], "properties": _none(action)}
        if action in STRUCTURAL:
            kind |= {"required": [action], "dependentRequired": {"if": ["id"]}}
        yield kind


def _none(*actions: str) -> dict[str, bool]:
    """What belongs to a container, and is refused of a step that does something else."""
    kept = CALL if "workflow" in actions else frozenset[str]()
    return dict.fromkeys(sorted({*CONTAINER, "inputs"} - kept), False)
