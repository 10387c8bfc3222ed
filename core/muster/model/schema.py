"""The JSON Schema of workflow files, for editors that complete and check while people write."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from muster.model.workflow import Workflow

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
TITLE: Final = "A Muster workflow"


def schema() -> dict[str, Any]:
    """The schema. It knows keys and types; what only ``muster validate`` can see (references, cycles) it does not."""
    whole = msgspec.json.schema(Workflow)
    for part in whole["$defs"].values():
        # The types take unknown keys, so that an old release can read a new log; a file is checked more strictly.
        if part.get("type") == "object" and "properties" in part:
            part["additionalProperties"] = False
    return {"$schema": DIALECT, "title": TITLE} | whole
