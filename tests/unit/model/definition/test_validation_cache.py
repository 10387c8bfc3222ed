# ruff: noqa: E501 - a sentence is compared as a whole
"""What cannot be cached, and the sentences that say so."""

from __future__ import annotations

import pytest

from muster.model.definition.validation import load
from muster.model.errors import WorkflowInvalidError

STEPS = "name: w\nsteps:\n"

REFUSED = {
    "a control step": (
        "{id: x, log: hello, cache: {max_age: 1h}}",
        "25: cache belongs to a container, and this step has log. Remove it, or give it to a step with an image.",
    ),
    "for no time": (
        "{id: x, image: b, cache: {max_age: 0}}",
        "31: max_age is 0, and nothing is done in no time. Write a time such as 30s.",
    ),
    "what is not the same everywhere": (
        "{id: x, image: b, environment: {A: '${{ machine.name }}'}, cache: {}}",
        "64: the step speaks of the machine it runs on, which is not known when the cache is looked into. Say what makes a result the same: cache: {key: ...}.",
    ),
    "a key of a machine": (
        "{id: x, image: b, cache: {key: '${{ machine.name }}'}}",
        "31: the expression 'machine.name' speaks of machine, and there is none here. There is a machine in what a container runs: its command, environment and inputs.",
    ),
    "a key of a step that is not there": (
        "{id: x, image: b, cache: {key: ['${{ steps.y.outputs.n }}']}}",
        "37: the expression 'steps.y.outputs.n' refers to the step y, which does not exist. Correct the step id in the reference, or add the step.",
    ),
    "age for max_age": (
        "{id: x, image: b, cache: {age: 1h}}",
        "31: cache has no key age. Did you mean max_age?",
    ),
    "a scope that is none": (
        "{id: x, image: b, cache: {scope: worldwide}}",
        "31: scope cannot be 'worldwide'. Write one of global, step.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_cached_is_refused_in_one_sentence(case: str):
    """With the place and what to do."""
    step, said = REFUSED[case]
    with pytest.raises(WorkflowInvalidError) as refused:
        load(f"{STEPS}  - {step}\n".encode(), name="w.yaml")
    assert str(refused.value) == f"w.yaml:3:{said}"


def test_a_step_that_speaks_of_its_machine_is_cached_with_a_key():
    """Then it is said what makes its results the same."""
    step = "{id: x, image: b, environment: {A: '${{ machine.name }}'}, cache: {key: same}}"
    assert load(f"{STEPS}  - {step}\n".encode(), name="w.yaml").steps[0].cache is not None
