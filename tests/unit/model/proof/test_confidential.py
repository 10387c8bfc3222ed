"""What in an event counts as a value, field by field, and what of it stays."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from muster.model.definition.validation import from_object, load
from muster.model.expressions.template import templates
from muster.model.log import catalogue as c
from muster.model.proof import confidential
from muster.model.proof.disguise import names
from muster.model.proof.pseudonyms import Pseudonyms

KEY = b"a key"


EXAMPLES = sorted((Path(__file__).resolve().parents[4] / "examples").rglob("*.yaml"))


def test_every_field_of_the_catalogue_is_decided_about():
    """Of each kind that ships it is said whether a field stays; a new field makes somebody think."""
    ours = {kind: body for kind, body in c.CATALOGUE.items() if not body.__module__.startswith("tests")}
    assert set(ours) == confidential.KINDS
    values = {"inputs", "outputs", "output", "metadata", "message", "place", "members", "context", "prompt"}
    for kind, body in ours.items():
        fields = set(body.__struct_fields__)
        structure = confidential.STRUCTURE.get(kind, frozenset())
        assert structure <= fields, kind
        assert fields - structure - set(confidential.TREATED) <= values, kind


@pytest.mark.parametrize(
    ("code", "message", "stays"),
    [
        ("execution", "The command ended with exit code 3.", True),
        ("execution", "The command ended with exit code 3. It said S3cret.", False),
        ("step_timeout", "The run phase took longer than its timeout of 1.5 s.", True),
        ("attempt_lost", "the agent on m1 did not take it up", True),
        (
            "retriable",
            "all 2 attempts failed in the run phase; the last one: The command ended with exit code 3.",
            True,
        ),
        ("function_execution", "boom", False),
        ("image_pull", "The image S3cret could not be pulled: no.", False),
    ],
)
def test_the_engines_own_sentences_stay(code: str, message: str, stays: bool):
    """What the engine says by itself, without a value in it, can still be read; all else is replaced."""
    made = confidential.Confidential(Pseudonyms(KEY)).error({"code": code, "message": message})
    assert (made["message"] == message) is stays
    assert made["code"] == code


def test_which_gpu_it_was_is_not_told():
    """Of a machine's GPUs it stays what kind they are, and not which one of that kind."""
    facts = {"cpus": 4.0, "gpus": [{"name": "Tesla T4", "memory": 15, "id": "GPU-5ad1"}]}
    made = confidential.Confidential(Pseudonyms(KEY)).facts(facts)
    [gpu] = made["gpus"]
    assert (gpu["name"], gpu["memory"]) == ("Tesla T4", 15)
    assert "5ad1" not in str(made)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_redacted_examples_are_valid(path: Path):
    """Each example's definition is valid after redaction too, with as many expressions in it."""
    before = msgspec.to_builtins(load(path.read_bytes(), name=path.name))
    confided_ = confidential.Confidential(Pseudonyms(KEY, names(before)))
    after = confided_.workflow(before)
    from_object(after)
    assert len([*templates(after)]) == len([*templates(before)])
    assert [step["id"] for step in after["steps"]] == [step["id"] for step in before["steps"]]
