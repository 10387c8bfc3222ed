"""What is kept as it is written, and takes no expression."""

from __future__ import annotations

import pytest

from muster.model.definition.validation import load
from muster.model.errors import WorkflowInvalidError
from muster.model.limits import PROBLEMS_MAX

PLACES = {
    "labels": ("labels: {team: '${{ inputs.a }}'}", "w.yaml:3:10: a label cannot be an expression."),
    "metadata": (
        "metadata: {for: [{team: 'of ${{ inputs.a }}'}]}",
        "w.yaml:3:19: metadata cannot be an expression.",
    ),
    "the path of an output": (
        "steps: [{id: s, image: b, outputs: {f: {type: file, path: '${{ inputs.a }}.txt'}}}]",
        "w.yaml:3:53: the path of the output f cannot be an expression.",
    ),
    "the schema of an answer": (
        "steps: [{id: s, wait_for_input: {prompt: x, schema: {const: '${{ inputs.a }}'}}}]",
        "w.yaml:3:54: a schema cannot be an expression.",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_expression_that_nothing_would_evaluate_is_refused(place: str):
    """It would be taken for the text that it is, without a word."""
    line, says = PLACES[place]
    rest = "" if line.startswith("steps") else "steps: [{id: s, log: x}]\n"
    with pytest.raises(WorkflowInvalidError) as caught:
        load(f"name: w\ninputs: {{a: {{type: string}}}}\n{line}\n{rest}".encode(), name="w.yaml")
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{says} Write the value itself")


@pytest.mark.parametrize("wrong", [PROBLEMS_MAX, PROBLEMS_MAX + 1, 2 * PROBLEMS_MAX])
def test_more_problems_than_are_shown_are_told_of(wrong: int):
    """Who mends all that is shown knows whether that was all."""
    steps = "".join(f"  - {{id: s{at}, image: b, needs: [none]}}\n" for at in range(wrong))
    with pytest.raises(WorkflowInvalidError) as caught:
        load(f"name: w\nsteps:\n{steps}".encode(), name="w.yaml")
    told = [str(problem) for problem in caught.value.problems]
    more = ["w.yaml: these are 200 problems of more, and no others are shown. Mend them and check again."]
    assert told[PROBLEMS_MAX:] == (more if wrong > PROBLEMS_MAX else [])
    assert told[PROBLEMS_MAX - 1].startswith(f"w.yaml:{PROBLEMS_MAX + 2}:")
