# ruff: noqa: E501 - a sentence is compared as a whole
"""Wrong control steps, and the sentences that say so, with the place however deep it is nested."""

from __future__ import annotations

import time

import pytest

from muster.model.definition.validation import load, validate
from muster.model.errors import WorkflowInvalidError

STEPS = "name: w\nsteps:\n"

REFUSED = {
    "two things at once": (
        STEPS + "  - {id: x, image: b, sleep: 5s}\n",
        "w.yaml:3:23: the step x has image and sleep, and a step does one thing. Make two steps of it.",
    ),
    "then without if": (
        STEPS + "  - id: x\n    then: [{id: a, image: b}]\n",
        "w.yaml:4:5: the step x has then and no if. Add the condition: if: ...",
    ),
    "a key of containers on a control step": (
        STEPS + "  - id: x\n    sleep: 5s\n    command: echo\n",
        "w.yaml:5:5: command belongs to a container, and this step has sleep. Remove it, or give it to a step with an image.",
    ),
    "inputs of a step that takes none": (
        STEPS + "  - {id: x, log: hello, inputs: {a: 1}}\n",
        "w.yaml:3:25: inputs belongs to a container, and this step has log. Remove it, or give it to a step with an image.",
    ),
    "a loop without steps": (
        STEPS + "  - id: x\n    for_each: {in: [1], steps: []}\n",
        "w.yaml:4:25: for_each has no steps. Add at least one.",
    ),
    "a loop over nothing named": (
        STEPS + "  - id: x\n    for_each: {steps: [{id: r, image: b}]}\n",
        "w.yaml:4:5: for_each has no in. Add in: a value.",
    ),
    "over in for_each": (
        STEPS + "  - id: x\n    for_each: {over: [1], in: [1], steps: [{id: r, image: b}]}\n",
        "w.yaml:4:16: for_each has no key over. Did you mean in?",
    ),
    "loop over text": (
        STEPS + "  - id: x\n    for_each: {in: abc, steps: [{id: r, image: b}]}\n",
        "w.yaml:4:16: in must be an array or an object, and 'abc' is a string. Give a list, or a mapping; write ${{ }} around an expression.",
    ),
    "loop over a number input": (
        "name: w\ninputs: {n: {type: integer}}\nsteps:\n  - id: x\n    for_each:\n      in: ${{ inputs.n }}\n      steps: [{id: r, image: b}]\n",
        "w.yaml:6:7: in must be an array or an object, and 'inputs.n' is an integer. Give a list, or a mapping; write ${{ }} around an expression.",
    ),
    "max_parallel 0": (
        STEPS + "  - id: x\n    for_each: {in: [1], steps: [{id: r, image: b}], max_parallel: 0}\n",
        "w.yaml:4:53: max_parallel is 0, less than 1. Write 1 or more.",
    ),
    "nested unknown key": (
        STEPS
        + "  - id: x\n    for_each:\n      in: [1]\n      steps:\n        - id: a\n          image: b\n          comand: echo\n",
        "w.yaml:9:11: the step a has no key comand. Did you mean command?",
    ),
    "nested step without id": (
        STEPS + "  - id: x\n    for_each:\n      in: [1]\n      steps:\n        - image: b\n",
        "w.yaml:7:11: step 1 has no id. Add id: a-name.",
    ),
    "nested step without an action": (
        STEPS + "  - id: x\n    if: 'true'\n    then:\n      - id: a\n",
        "w.yaml:6:9: the step a has no image. Add image: busybox:1.",
    ),
    "one step where a list belongs": (
        STEPS + "  - id: x\n    if: 'true'\n    then: {id: a, image: b}\n",
        "w.yaml:5:5: then must be a list, not a mapping. Write it as a list: [a, b].",
    ),
    "a case behind the default": (
        STEPS
        + "  - id: x\n    switch:\n      - then: [{id: r, image: b}]\n      - case: 1 > 2\n        then: [{id: r, image: b}]\n",
        "w.yaml:5:9: a branch without case is always taken, and others stand behind it. Put it last.",
    ),
    "a case without then": (
        STEPS + "  - id: x\n    switch:\n      - case: 1 > 2\n",
        "w.yaml:5:9: case 1 has no then. Add then: a value.",
    ),
    "two branches of a switch with one name": (
        STEPS
        + "  - id: x\n    switch:\n      - {case: 1 > 2, name: a, then: [{id: r, image: b}]}\n      - {case: 2 > 2, name: a, then: [{id: r, image: b}]}\n",
        "w.yaml:6:23: two branches of the switch have the name a. Give each a name of its own.",
    ),
    "an empty switch": (
        STEPS + "  - id: x\n    switch: []\n",
        "w.yaml:4:5: the switch has no cases. Add at least one: - {case: ..., then: [...]}.",
    ),
    "item outside a loop": (
        STEPS + "  - id: x\n    log: ${{ item }}\n",
        "w.yaml:4:5: the expression 'item' speaks of item, and there is none here. There is an item in the steps of for_each and map.",
    ),
    "error outside a handler": (
        STEPS + "  - id: x\n    log: ${{ error.message }}\n",
        "w.yaml:4:5: the expression 'error.message' speaks of error, and there is none here. There is an error in the steps of on_failure and on_finish.",
    ),
    "machine in a condition": (
        STEPS + "  - id: x\n    image: b\n    if: machine.name == 'a'\n",
        "w.yaml:5:5: the expression \"machine.name == 'a'\" speaks of machine, and there is none here. There is a machine in what a container runs: its command, environment and inputs.",
    ),
    "a step of another branch": (
        STEPS
        + "  - id: x\n    if: 'true'\n    then: [{id: a, log: hi}]\n    else: [{id: c, log: '${{ steps.a.outputs.message }}'}]\n",
        "w.yaml:6:20: the expression 'steps.a.outputs.message' refers to the step a, which stands in a block of x. From here only the outputs of x itself are seen.",
    ),
    "a need out of a block": (
        STEPS
        + "  - {id: r, image: b}\n  - id: x\n    if: 'true'\n    then: [{id: a, log: hi, needs: [r]}]\n",
        "w.yaml:6:37: the step a needs the step r, which stands outside of its block. Let the step x need it, whose block this is.",
    ),
    "an output a loop does not have": (
        STEPS
        + "  - id: x\n    for_each: {in: [1], steps: [{id: r, image: b}]}\n  - id: y\n    log: ${{ steps.x.outputs.item }}\n",
        "w.yaml:6:5: the expression 'steps.x.outputs.item' asks for the output item, which the step x does not declare. Did you mean items?",
    ),
    "a variable nobody sets": (
        STEPS + "  - id: x\n    set: {count: 1}\n  - id: y\n    log: ${{ vars.cuont }}\n",
        "w.yaml:6:5: the expression 'vars.cuont' asks for the variable cuont, which no step sets. Did you mean count?",
    ),
    "get of a variable nobody sets": (
        STEPS + "  - id: x\n    set: {count: 1}\n  - {id: y, get: cuont}\n",
        "w.yaml:5:13: the step y gets the variable cuont, which no step sets. Did you mean count?",
    ),
    "a condition that is a number": (
        STEPS + "  - id: x\n    image: b\n    if: 5\n",
        "w.yaml:5:5: if must be a string or boolean or list, not the integer 5. Put it in quotes.",
    ),
    "a condition of type integer": (
        "name: w\ninputs: {n: {type: integer}}\nsteps:\n  - id: x\n    image: b\n    if: inputs.n\n",
        "w.yaml:6:5: the condition must be true or false, and 'inputs.n' is an integer. Compare it: value != null, size(text) > 0, count > 0.",
    ),
    "a condition that is mixed text": (
        "name: w\ninputs: {n: {type: boolean}}\nsteps:\n  - id: x\n    image: b\n    if: not ${{ inputs.n }}\n",
        "w.yaml:6:5: the condition must be true or false, and 'not ${{ inputs.n }}' is a string. Compare it: value != null, size(text) > 0, count > 0.",
    ),
    "a condition of python": (
        "name: w\ninputs: {n: {type: boolean}}\nsteps:\n  - id: x\n    image: b\n    if: not inputs.n\n",
        "w.yaml:6:5: the expression 'not inputs.n' has the word not, which CEL does not know. Write !.",
    ),
    "a condition that adds": (
        "name: w\ninputs: {n: {type: integer}}\nsteps:\n  - id: x\n    image: b\n    if: inputs.n + 1\n",
        "w.yaml:6:5: the condition must be true or false, and 'inputs.n + 1' is an integer. Compare it: value != null, size(text) > 0, count > 0.",
    ),
    "types that never go together": (
        "name: w\ninputs: {n: {type: integer}, s: {type: string}}\nsteps:\n  - id: x\n    image: b\n    command: ['${{ inputs.n + inputs.s }}']\n",
        "w.yaml:6:15: the types in the expression 'inputs.n + inputs.s' do not go together: inputs.n is an integer and inputs.s is a string. CEL never converts: use int(), double() or string().",
    ),
    "a member of text": (
        "name: w\ninputs: {s: {type: string}}\nsteps:\n  - id: x\n    image: b\n    command: ['${{ inputs.s.name }}']\n",
        "w.yaml:6:15: the expression 'inputs.s.name' asks for 'name' of a string. inputs.s is a string: use it as a whole.",
    ),
    "a method of another type": (
        STEPS
        + "  - {id: x, image: b, outputs: {n: {type: integer}}}\noutputs:\n  y: ${{ steps.x.outputs.n.startsWith('a') }}\n",
        "w.yaml:5:3: the types in the expression \"steps.x.outputs.n.startsWith('a')\" do not go together: steps.x.outputs.n is an integer. CEL never converts: use int(), double() or string().",
    ),
    "the second of two conditions": (
        "name: w\ninputs: {n: {type: integer}}\nsteps:\n  - id: x\n    image: b\n    if:\n      - inputs.n > 1\n      - inputs.m > 1\n",
        "w.yaml:8:9: the expression 'inputs.m > 1' refers to the input m, which is not declared. Declare it under inputs.",
    ),
    "a bad sleep": (
        STEPS + "  - {id: x, sleep: soon}\n",
        "w.yaml:3:13: sleep: 'soon' is not a duration. Write it like 500ms, 10s, 5m or 1h.",
    ),
    "a bad sleep_until": (
        STEPS + "  - {id: x, sleep_until: tomorrow}\n",
        "w.yaml:3:13: sleep_until: 'tomorrow' is no time with its zone. Write it like 2026-11-21T18:00:00Z.",
    ),
    "a time without zone": (
        STEPS + "  - {id: x, sleep_until: '2026-11-21T10:00:00'}\n",
        "w.yaml:3:13: sleep_until: '2026-11-21T10:00:00' is no time with its zone. Write it like 2026-11-21T18:00:00Z.",
    ),
    "an unknown workflow": (
        STEPS
        + "  - {id: x, workflow: iner}\nworkflows:\n  inner:\n    name: inner\n    steps: [{id: a, image: b}]\n",
        "w.yaml:3:13: the step x runs the workflow iner, which is not under workflows. Did you mean inner?",
    ),
    "a child's unknown input": (
        STEPS
        + "  - {id: x, workflow: inner, inputs: {contu: 1}}\nworkflows:\n  inner:\n    name: inner\n    inputs: {count: {default: 1}}\n    steps: [{id: a, image: b}]\n",
        "w.yaml:3:39: the workflow inner has no input contu. Did you mean count?",
    ),
    "a child's missing input": (
        STEPS
        + "  - {id: x, workflow: inner}\nworkflows:\n  inner:\n    name: inner\n    inputs: {count: {}}\n    steps: [{id: a, image: b}]\n",
        "w.yaml:3:13: the workflow inner is not given its input count. Add inputs: {count: ...}.",
    ),
    "a child's input of another type": (
        STEPS
        + "  - {id: x, workflow: inner, inputs: {count: many}}\nworkflows:\n  inner:\n    name: inner\n    inputs: {count: {type: integer}}\n    steps: [{id: a, image: b}]\n",
        "w.yaml:3:39: the input count must be an integer, and 'many' is a string. Give it an integer, or change inputs of the workflow inner.",
    ),
    "a child's input of another known type": (
        "name: w\ninputs: {s: {type: string}}\nsteps:\n  - {id: x, workflow: inner, inputs: {count: '${{ inputs.s }}'}}\nworkflows:\n  inner:\n    name: inner\n    inputs: {count: {type: integer}}\n    steps: [{id: a, image: b}]\n",
        "w.yaml:4:39: the input count must be an integer, and 'inputs.s' is a string. Write ${{ int(inputs.s) }}, or change inputs of the workflow inner.",
    ),
    "wrong inside a workflow of the workflow": (
        STEPS
        + "  - {id: x, workflow: inner}\nworkflows:\n  inner:\n    name: inner\n    steps: [{id: a, image: b, comand: x}]\n",
        "w.yaml:7:31: the step a has no key comand. Did you mean command?",
    ),
    "an output a child does not have": (
        STEPS
        + "  - {id: x, workflow: inner}\n  - {id: y, log: '${{ steps.x.outputs.z }}'}\n"
        + "workflows:\n  inner:\n    name: inner\n    steps: [{id: a, image: b}]\n",
        "w.yaml:4:13: the expression 'steps.x.outputs.z' asks for the output z, which the step x does not declare. Declare it under outputs of the workflow inner.",
    ),
    "an output of a sleep": (
        STEPS + "  - {id: x, sleep: 1s}\n  - {id: y, log: '${{ steps.x.outputs.z }}'}\n",
        "w.yaml:4:13: the expression 'steps.x.outputs.z' asks for the output z, which the step x does not declare. It gives no outputs.",
    ),
    "an output of a log": (
        STEPS + "  - {id: x, log: hi}\n  - {id: y, log: '${{ steps.x.outputs.z }}'}\n",
        "w.yaml:4:13: the expression 'steps.x.outputs.z' asks for the output z, which the step x does not declare. It gives message.",
    ),
    "a schema that is none": (
        STEPS + "  - id: x\n    wait_for_input: {schema: {type: objekt}}\n",
        "w.yaml:4:22: the schema cannot be used: 'objekt' is not valid under any of the given schemas. Write a JSON Schema of draft 2020-12.",
    ),
    "a prompt under another name": (
        STEPS + "  - id: x\n    wait_for_input: {question: Really?}\n",
        "w.yaml:4:22: wait_for_input has no key question. Did you mean prompt?",
    ),
    "a wait that is a text": (
        STEPS + "  - id: x\n    wait_for_input: Publish?\n",
        "w.yaml:4:5: wait_for_input must be a mapping, not the string 'Publish?'. Write it as KEY: VALUE.",
    ),
    "an unknown policy": (
        STEPS + "  - {id: r, image: b}\non_failure: stop\n",
        "w.yaml:4:1: on_failure cannot be 'stop'. Write one of cancel, continue, drain.",
    ),
    "a policy on a step": (
        STEPS + "  - id: x\n    image: b\n    on_failure: continue\n",
        "w.yaml:5:5: on_failure must be a list, not the string 'continue'. Write it as a list: [a, b].",
    ),
    "when": (
        STEPS + "  - id: x\n    image: b\n    when: 'true'\n",
        "w.yaml:5:5: the step x has no key when. Did you mean if?",
    ),
    "finally": (
        STEPS + "  - {id: r, image: b}\nfinally: []\n",
        "w.yaml:4:1: the workflow has no key finally. Did you mean on_finish?",
    ),
    "a chain with a condition and no id": (
        STEPS + "  - if: 'true'\n    chain: [{id: r, image: b}]\n",
        "w.yaml:3:5: step 1 has no id. Add id: a-name.",
    ),
    "two steps of one id in a chain": (
        STEPS + "  - {id: r, image: b}\n  - chain: [{id: r, image: b}]\n",
        "w.yaml:4:14: two steps have the id r; the first is in line 3. Give each step an id of its own.",
    ),
    "a circle through a block": (
        STEPS
        + "  - {id: a, log: '${{ steps.b.outputs.message }}'}\n  - {id: c, log: x}\n  - id: b\n    if: 'true'\n    then: [{id: d, log: '${{ steps.a.outputs.message }}'}]\n",
        "w.yaml:3:5: the steps a -> b -> a need each other in a circle. Remove one of the needs or references.",
    ),
    "against the order of a chain": (
        STEPS + "  - chain:\n      - {id: a, image: b, needs: [c]}\n      - {id: c, image: b}\n",
        "w.yaml:4:9: the steps a -> c -> a need each other in a circle. Remove one of the needs or references.",
    ),
    "set nothing": (
        STEPS + "  - {id: x, set: {}}\n",
        "w.yaml:3:13: set sets nothing. Write NAME: VALUE under it.",
    ),
    "set illegal name": (
        STEPS + "  - {id: x, set: {'a b': 1}}\n",
        "w.yaml:3:19: the variable 'a b' is not a legal name. Use 1 to 63 of a-z, A-Z, 0-9, _ and -, beginning with a letter or _.",
    ),
    "reduce without expression": (
        STEPS
        + "  - id: x\n    map: {over: [1], steps: [{id: r, image: b}], reduce: item.result + item.value}\n",
        "w.yaml:4:50: reduce is plain text, and gives the same for every result. Write ${{ item.result + item.value }}.",
    ),
    "always text": (
        STEPS + "  - {id: x, image: b, always: 'yes'}\n",
        "w.yaml:3:23: always must be a boolean, not the string 'yes'. Write true or false.",
    ),
    "error in on_finish ok and nested item": (
        STEPS + "  - {id: r, image: b}\non_finish:\n  - {id: t, log: '${{ item }}'}\n",
        "w.yaml:5:13: the expression 'item' speaks of item, and there is none here. There is an item in the steps of for_each and map.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_control_step_is_refused_in_one_sentence(case: str):
    """The sentence says file, line, column, what is wrong and what to do; nothing else is found wrong."""
    text, sentence = REFUSED[case]
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text.encode(), name="w.yaml")
    assert str(caught.value) == sentence
    assert [str(problem) for problem in caught.value.problems] == [sentence]


MANY = """\
name: w
inputs: {count: {type: integer}}
steps:
  - id: each
    for_each:
      in: ${{ inputs.count }}
      steps:
        - id: pick
          if: item
          then:
            - id: a
              image: b
              command: ${{ steps.z.outputs.x }}
          else:
            - id: nap
              sleep: soon
              needs: [each]
  - id: call
    workflow: inner
on_finish:
  - {id: tell, log: "${{ eror.message }}"}
workflows:
  inner:
    name: inner
    steps:
      - parallel:
          - {id: x, image: b, retries: 3}
"""


def test_all_problems_of_nested_steps_are_found_at_once():
    """Each at its own line and column, in the order of the file."""
    with pytest.raises(WorkflowInvalidError) as caught:
        load(MANY.encode(), name="w.yaml")
    found = [(p.line, p.column, p.path, p.error) for p in caught.value.problems]
    assert found == [
        (6, 7, "steps[0].for_each.in", "InvalidTypeError"),
        (13, 15, "steps[0].for_each.steps[0].then[0].command", "SourceNodeMissingError"),
        (16, 15, "steps[0].for_each.steps[0].else[0].sleep", "WorkflowInvalidError"),
        (17, 23, "steps[0].for_each.steps[0].else[0].needs[0]", "SourceNodeMissingError"),
        (21, 16, "on_finish[0].log", "ExpressionError"),
        (27, 31, "workflows.inner.steps[0].parallel[0].retries", "WorkflowInvalidError"),
    ]


VALID = {
    "what may be null is compared first": "inputs.maybe == null ? 0 : inputs.maybe + 1",
    "a number may be whole or not": "inputs.share * 2.0 < 1.0 || inputs.share > 1",
    "an index may be outside": "inputs.list[3] + 1",
    "a key may be missing": "inputs.object.a.b + 1",
    "what may be anything": "inputs.any.name + inputs.any",
    "a text may be a number": "int(inputs.text) + 1",
    "another type may be compared": "inputs.text == 1",
}


@pytest.mark.parametrize("case", VALID)
def test_what_depends_on_values_is_not_refused(case: str):
    """Only what fails whatever the values are is an error before they are known."""
    inputs = (
        "{maybe: {type: integer, required: false}, share: {type: number}, list: {type: array}, object: {type: object}, "
        "any: {}, text: {type: string}}"
    )
    text = f"name: w\ninputs: {inputs}\nsteps:\n  - {{id: x, log: '${{{{ {VALID[case]} }}}}'}}\n"
    assert load(text.encode(), name="w.yaml").steps


def test_a_child_that_returns_may_give_anything():
    """What a return step gives is known when it runs."""
    text = (
        f"{STEPS}  - {{id: x, workflow: inner}}\n  - {{id: y, log: '${{{{ steps.x.outputs.z }}}}'}}\n"
        "workflows:\n  inner:\n    name: inner\n    steps: [{id: a, return: {z: 1}}]\n"
    )
    assert load(text.encode(), name="w.yaml").steps


@pytest.mark.slow
def test_thousands_of_blocks_are_checked_in_seconds():
    """The check is linear in the number of blocks, also where steps look out of them."""
    steps = [
        {
            "id": f"s{at}",
            "if": "inputs.n > 1",
            "then": [{"id": "a", "image": "b", "command": ["${{ inputs.n + 1 }}", "${{ steps.s0.status }}"]}],
        }
        for at in range(1, 4_000)
    ]
    whole = [{"id": "s0", "image": "b"}, *steps]
    start = time.process_time()
    assert validate({"name": "w", "inputs": {"n": {"type": "integer"}}, "steps": whole}) == []
    assert time.process_time() - start < 15
