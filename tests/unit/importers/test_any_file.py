"""Files of any shape are carried over or refused, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.importers import SYSTEMS, imported
from muster.model.definition.printing import to_yaml
from muster.model.definition.validation import load, validate
from muster.model.errors import WorkflowInvalidError

TEXTS = st.text("ab_.${}: <>#%'[]()+/", max_size=12) | st.sampled_from(
    [
        "$ _",
        "$ _.a / 2",
        "{: a :}",
        "{% job.name %}",
        "_",
        "$ [x for x in _]",
        "{_.a}",
        "VARIABLE.SET",
        "a.b",
        "1",
    ]
)
KEYS = st.sampled_from(
    [
        *(
            "steps",
            "action",
            "parameters",
            "id",
            "if",
            "forced",
            "name",
            "value",
            "variables",
            "local_values",
        ),
        *(
            "nodes",
            "links",
            "job",
            "n",
            "i",
            "a",
            "k",
            ">",
            "<",
            "m",
            "source",
            "target",
            "callbacks",
            "on_finished",
        ),
        *(
            "main",
            "other",
            "evaluate",
            "then",
            "else",
            "over",
            "map",
            "reduce",
            "foreach",
            "in",
            "do",
            "switch",
        ),
        *(
            "case",
            "parallel",
            "workflow",
            "arguments",
            "return",
            "set",
            "get",
            "log",
            "error",
            "sleep",
            "prompt",
        ),
        *("tool", "label", "wait_for_input", "info", "input_schema", "properties", "type"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
NODE = st.fixed_dictionaries(
    {"id": TEXTS, "job": st.fixed_dictionaries({"n": TEXTS}, optional={"<": VALUES, "k": VALUES})}
)
FILES = {
    "pyconduit": st.lists(
        st.fixed_dictionaries({"action": TEXTS}, optional={"parameters": VALUES, "if": TEXTS, "id": TEXTS})
    ),
    "hymir": st.fixed_dictionaries(
        {"nodes": st.lists(NODE, max_size=3)}, optional={"links": VALUES, "callbacks": VALUES}
    ),
    "julep": st.fixed_dictionaries(
        {"main": st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), max_size=4)},
        optional={"other": VALUES, "input_schema": VALUES},
    ),
}


@pytest.mark.parametrize("system", SYSTEMS)
@settings(deadline=None)
@given(data=st.data())
def test_any_file_is_carried_over_or_refused(system: str, data: st.DataObject):
    """What comes out is valid, or says that it is not; as a file it reads the same."""
    written: Any = data.draw(VALUES | FILES[system])
    with suppress(WorkflowInvalidError):
        found = imported(system, written, name="w", image="b")
        problems = validate(found.workflow)
        assert not problems or found.lost
        if not problems:
            assert load(to_yaml(found.workflow).encode(), name="w.yaml") == found.workflow
