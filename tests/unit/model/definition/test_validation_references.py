"""Workflows whose steps do not hang together, or whose expressions cannot work, and the sentences that say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.model.definition.validation import load, validate
from muster.model.errors import WorkflowInvalidError
from muster.model.limits import MEMBERS_MAX

STEP = "steps:\n  - id: x\n    image: b\n"

TWO = """\
name: w
steps:
  - {id: a, image: b, outputs: {count: {}, my-out: {}}}
  - id: my-step
    image: b
    """

LINKS = {
    "two steps of one id": (
        f"name: w\n{STEP}  - id: x\n    image: c\n",
        "w.yaml:5:5: two steps have the id x; the first is in line 3. Give each step an id of its own.",
    ),
    "an unknown need": (
        f"{TWO}needs: [aa]\n",
        "w.yaml:6:13: the step my-step needs the step aa, which does not exist. Did you mean a?",
    ),
    "a cycle of needs": (
        (
            "name: w\nsteps:\n  - {id: a, image: b, needs: [c]}\n  - {id: b, image: b, needs: [a]}\n"
            "  - {id: c, image: b, needs: [b]}\n"
        ),
        (
            "w.yaml:3:5: the steps a -> c -> b -> a need each other in a circle. "
            "Remove one of the needs or references."
        ),
    ),
    "a cycle of needs and references": (
        f"{TWO}command: echo ${{{{ steps.a.outputs.count }}}}\n  - {{id: c, image: b}}\n".replace(
            "id: a, image: b", "id: a, image: b, needs: [my-step]"
        ),
        (
            "w.yaml:3:5: the steps a -> my-step -> a need each other in a circle. "
            "Remove one of the needs or references."
        ),
    ),
    "a step that needs itself": (
        f"name: w\n{STEP}    needs: [x]\n",
        "w.yaml:3:5: the step x needs itself. Remove the need or the reference.",
    ),
    "a reference to an unknown step": (
        f"{TWO}command: echo ${{{{ steps.aa.outputs.count }}}}\n",
        (
            "w.yaml:6:5: the expression 'steps.aa.outputs.count' refers to the step aa, which does not exist. "
            "Did you mean a?"
        ),
    ),
    "a reference to an unknown output": (
        f"{TWO}command: [echo, '${{{{ steps.a.outputs.cout }}}}']\n",
        (
            "w.yaml:6:21: the expression 'steps.a.outputs.cout' asks for the output cout, "
            "which the step a does not declare. Did you mean count?"
        ),
    ),
    "a reference to a step that declares no outputs": (
        f"name: w\n{STEP}outputs: {{y: '${{{{ steps.x.outputs.y }}}}'}}\n",
        (
            "w.yaml:5:11: the expression 'steps.x.outputs.y' asks for the output y, "
            "which the step x does not declare. Declare it under outputs of x."
        ),
    ),
    "a reference past outputs": (
        f"{TWO}command: echo ${{{{ steps.a.count }}}}\n",
        (
            "w.yaml:6:5: the expression 'steps.a.count' asks for count of the step a; a step has outputs and a status. "
            "Write steps.a.outputs.NAME."
        ),
    ),
    "a reference to an unknown input": (
        f"{TWO}command: echo ${{{{ inputs.n }}}}\n",
        (
            "w.yaml:6:5: the expression 'inputs.n' refers to the input n, which is not declared. "
            "Declare it under inputs."
        ),
    ),
    "a reference to no step in particular": (
        f"{TWO}command: echo ${{{{ size(steps) }}}}\n",
        (
            "w.yaml:6:5: the expression 'size(steps)' does not say which step it means. "
            'Write steps.ID.outputs.NAME, or steps["ID"].outputs.NAME.'
        ),
    ),
    "an unknown fact of the execution": (
        f"{TWO}command: echo ${{{{ execution.name }}}}\n",
        (
            "w.yaml:6:5: the expression 'execution.name' asks for what is not known of an execution. "
            "Known are execution.id and execution.workflow."
        ),
    ),
    "an unknown fact of the machine": (
        f"{TWO}command: echo ${{{{ machine.nmae }}}}\n",
        (
            "w.yaml:6:5: the expression 'machine.nmae' asks for what is not known of a machine. "
            "Did you mean name?"
        ),
    ),
    "a part of what is text": (
        f"{TWO}command: echo ${{{{ machine.name.gpu }}}}\n",
        (
            "w.yaml:6:5: the expression 'machine.name.gpu' asks for a part of machine.name, which is text. "
            "Write machine.name."
        ),
    ),
    "an unknown fact of the error": (
        f"{TWO}command: echo\n    on_failure: [{{id: h, log: '${{{{ error.mesage }}}}'}}]\n",
        (
            "w.yaml:7:26: the expression 'error.mesage' asks for what is not known of an error. "
            "Did you mean message?"
        ),
    ),
}

THIRD = """\
name: w
inputs: {n: {}}
steps:
  - {id: my-step, image: b, outputs: {x: {}, my-out: {}}}
  - id: 7up
    image: b
    command: """

FORMULAS = {
    "a syntax error": (
        f"{THIRD}echo ${{{{ inputs.n + }}}}\n",
        (
            "w.yaml:7:5: the expression 'inputs.n +' is no CEL at character 11: it ends too early. "
            "Correct the expression; the language is CEL (https://cel.dev)."
        ),
    ),
    "no end": (
        f"{THIRD}echo ${{{{ inputs.n\n",
        (
            "w.yaml:7:5: the expression that begins with 'inputs.n' has no end. "
            "Close it with }} within 2048 characters, or write $${{ for a literal ${{."
        ),
    ),
    "nothing": (
        f"{THIRD}echo ${{{{ }}}}\n",
        "w.yaml:7:5: an expression is empty. Write one between ${{ and }}, or remove both.",
    ),
    "a step with a dash": (
        f"{THIRD}echo ${{{{ steps.my-step.outputs.x }}}}\n",
        (
            "w.yaml:7:5: the expression 'steps.my-step.outputs.x' is not understood, "
            'because CEL reads my-step as my minus step. Write steps["my-step"].'
        ),
    ),
    "a step that begins with a digit": (
        f"{THIRD}echo ${{{{ steps.7up.outputs.x }}}}\n",
        (
            "w.yaml:7:5: the expression 'steps.7up.outputs.x' is not understood, "
            'because CEL reads 7up as a number. Write steps["7up"].'
        ),
    ),
    "an output with a dash": (
        f"{THIRD}echo ${{{{ steps['my-step'].outputs.my-out }}}}\n",
        (
            "w.yaml:7:5: the expression \"steps['my-step'].outputs.my-out\" is not understood, "
            'because CEL reads my-out as my minus out. Write outputs["my-out"].'
        ),
    ),
    "a word without quotes": (
        f"{THIRD}echo ${{{{ inputs.n == en }}}}\n",
        (
            "w.yaml:7:5: the expression 'inputs.n == en' uses the name en, which does not exist. "
            'Names are inputs, steps, vars, execution, item, error, machine; write text as "en".'
        ),
    ),
    "an input without inputs": (
        f"{THIRD}echo ${{{{ n + 1 }}}}\n",
        "w.yaml:7:5: the expression 'n + 1' uses the name n, which does not exist. Write inputs.n.",
    ),
    "an unknown function": (
        f"{THIRD}echo ${{{{ inputs.n.startWith('a') }}}}\n",
        (
            "w.yaml:7:5: the expression \"inputs.n.startWith('a')\" calls startWith, which does not exist. "
            "Did you mean startsWith?"
        ),
    ),
    "a macro without its arguments": (
        f"{THIRD}echo ${{{{ inputs.n.map(x) }}}}\n",
        "w.yaml:7:5: the expression 'inputs.n.map(x)' gives map the wrong arguments. Write LIST.map(x, ...x...).",
    ),
    "a typed object": (
        f"{THIRD}'${{{{ Message{{a: 1}} }}}}'\n",
        "w.yaml:7:5: the expression 'Message{a: 1}' makes a typed object. Write {\"key\": value}.",
    ),
    "a variable that hides a root": (
        f"{THIRD}echo ${{{{ inputs.n.map(steps, steps.x) }}}}\n",
        (
            "w.yaml:7:5: the expression 'inputs.n.map(steps, steps.x)' names a variable steps, which hides the steps. "
            "Call it x."
        ),
    ),
    "a constant that always fails": (
        f"{THIRD}echo ${{{{ 1 + 1.5 }}}}\n",
        (
            "w.yaml:7:5: the expression '1 + 1.5' failed: "
            "the types do not go together (CEL never converts: use int(), double() or string()). "
            "Correct the expression; the language is CEL (https://cel.dev)."
        ),
    ),
    "macros in macros in macros": (
        f"{THIRD}echo ${{{{ inputs.n.map(a, a.map(b, b.map(c, c))) }}}}\n",
        (
            "w.yaml:7:5: the expression 'inputs.n.map(a, a.map(b, b.map(c, c)))' has "
            "more than one macro inside another. "
            "Shorten it, or do the work in a step."
        ),
    ),
}

REFUSED = LINKS | FORMULAS


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_reference_or_expression_is_refused_in_one_sentence(case: str):
    """The sentence says file, line, column, what is wrong and what to do; nothing else is found wrong."""
    text, sentence = REFUSED[case]
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text.encode(), name="w.yaml")
    assert str(caught.value) == sentence
    assert [str(problem) for problem in caught.value.problems] == [sentence]


AROUND = f"{'a' * 63}/{MEMBERS_MAX - 1}/{'b' * 63}/then/d/on_failure/"


@pytest.mark.parametrize("length", [200, 201])
def test_an_address_has_at_most_200_characters(length: int):
    """Ids, branches, handlers and the largest number of a member count."""
    told: dict[str, Any] = {"id": "c" * (length - len(AROUND)), "log": "x"}
    failing = {"id": "d", "error": "x", "on_failure": [told]}
    branch = {"id": "b" * 63, "if": "true", "then": [failing]}
    found = validate({"name": "w", "steps": [{"id": "a" * 63, "for_each": {"in": [1], "steps": [branch]}}]})
    long = f"the address of the step {told['id']} has up to 201 characters, more than 200."
    assert [(problem.error, problem.message) for problem in found] == [("NameInvalidError", long)] * (
        length - 200
    )


def test_of_one_text_everything_that_is_wrong_is_said():
    """Each thing that is asked for in vain, of each expression, once."""
    asked = "${{ inputs.x + inputs.y }} ${{ inputs.x }} ${{ inputs.n }} ${{ 1 + }}"
    with pytest.raises(WorkflowInvalidError) as caught:
        load(f"{THIRD}'{asked}'\n".encode(), name="w.yaml")
    said = [problem.message for problem in caught.value.problems]
    assert [text.rpartition("refers to ")[2] for text in said[:2]] == [
        "the input x, which is not declared.",
        "the input y, which is not declared.",
    ]
    assert "'inputs.x' refers to" in said[2]
    assert "'1 +' is no CEL" in said[3]
    assert len(said) == 4


VALID = [
    "echo ${{ inputs.n }} ${{ inputs['n'] }} $${{ inputs.zzz }}",
    "echo ${{ steps['my-step'].outputs['my-out'] }} ${{ steps['my-step'].outputs }}",
    "echo ${{ has(inputs.n) && type(inputs.n) == int ? inputs.n - 1 : int('7') }}",
    "echo ${{ inputs.n.filter(x, x.name.startsWith('a')).map(y, {'n': y, 'all': inputs.n.size()}) }}",
    "echo ${{ inputs.n.exists(e, e in ['steps.nowhere', 'x']) }} ${{ execution.id }}",
    "echo ${{ inputs[execution.workflow] }} ${{ timestamp('2026-11-21T10:00:00Z').getFullYear() }}",
    "echo ${{ inputs.n-1 }} ${{ -inputs.n }}",
]


@pytest.mark.parametrize("command", VALID)
def test_expressions_that_work_are_accepted(command: str):
    """Nothing that can be evaluated is refused."""
    assert load((THIRD + json.dumps(command)).encode(), name="w.yaml").steps[1].command == command
