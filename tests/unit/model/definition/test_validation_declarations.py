# ruff: noqa: E501 - a sentence is compared as a whole
"""Inputs and outputs that are declared wrongly: types, parts and defaults."""

from __future__ import annotations

import pytest

from muster.model.definition.validation import load
from muster.model.errors import WorkflowInvalidError

DECLARED: dict[str, tuple[str, str]] = {
    "an unknown type": ("{type: imag}", "w.yaml:2:14: type cannot be 'imag'. Did you mean image?"),
    "an unknown type of members": (
        "{type: array, items: strnig}",
        "w.yaml:2:27: items cannot be 'strnig'. Did you mean string?",
    ),
    "items that are no type": (
        "{type: array, items: 5}",
        "w.yaml:2:27: items must be a word or mapping, not the integer 5. Write a word or mapping.",
    ),
    "items of no array": (
        "{type: string, items: string}",
        "w.yaml:2:28: the input x has items, and its type is string. Write type: array, or remove items.",
    ),
    "properties without a type": (
        "{properties: {a: {}}}",
        "w.yaml:2:14: the input x has properties, and its type is any. Write type: object, or remove properties.",
    ),
    "a key of a nested port": (
        "{type: object, properties: {a: {typ: string}}}",
        "w.yaml:2:45: the property a has no key typ. Did you mean type?",
    ),
    "another word for a key": (
        "{type: array, of: string}",
        "w.yaml:2:27: the input x has no key of. Did you mean items?",
    ),
    "a nested default": (
        "{type: object, properties: {a: {type: array, items: {type: integer, default: x}}}}",
        "w.yaml:2:81: the default of each member of x.a must be an integer, not a string: 'x'. Correct the default or the type.",
    ),
    "a default with a wrong part": (
        "{type: array, items: {type: object, properties: {a: {type: integer}}}, default: [{a: 1}, {a: x}]}",
        "w.yaml:2:84: the default of the input x[1].a must be an integer, not a string: 'x'. Correct the default or the type.",
    ),
    "a default with an unknown part": (
        "{type: object, properties: {size: {type: integer, default: 1}}, default: {sice: 1}}",
        "w.yaml:2:77: the default of the input x has the property sice, which is not declared. Did you mean size?",
    ),
    "an expression in a default": (
        "{type: array, items: string, default: ['${{ inputs.y }}']}",
        "w.yaml:2:42: the default of the input x cannot be an expression. Write the value itself: expressions belong in image, command, entrypoint, environment, working_dir, user, params and inputs of a step, and in outputs of the workflow.",
    ),
}


@pytest.mark.parametrize("case", DECLARED)
def test_a_wrong_declaration_is_refused_in_one_sentence(case: str):
    """However deep it is nested."""
    declared, sentence = DECLARED[case]
    text = f"name: w\ninputs: {{x: {declared}, y: {{}}}}\nsteps: [{{id: a, image: b}}]\n"
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text.encode(), name="w.yaml")
    assert [str(problem) for problem in caught.value.problems] == [sentence]
