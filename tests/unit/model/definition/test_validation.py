"""Wrong workflows, and the sentences that say so."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.definition.validation import from_object, load, validate
from muster.model.definition.workflow import Step, Workflow
from muster.model.errors import WorkflowInvalidError, by_code

STEP = "steps:\n  - id: x\n    image: b\n"

SHAPE = {
    "not a mapping": (
        "- name: w\n",
        "w.yaml:1:1: the workflow must be a mapping, not a list. Write it as KEY: VALUE.",
    ),
    "a missing key": (
        "name: w\nsteps:\n  - id: x\n",
        "w.yaml:3:5: the step x has no image. Add image: busybox:1.",
    ),
    "a missing id": (
        "name: w\nsteps:\n  - image: b\n",
        "w.yaml:3:5: step 1 has no id. Add id: a-name.",
    ),
    "an unknown key": (
        f"name: w\n{STEP}    comand: echo\n",
        "w.yaml:5:5: the step x has no key comand. Did you mean command?",
    ),
    "another engine's word": (
        f"name: w\n{STEP}    depends_on: [y]\n",
        "w.yaml:5:5: the step x has no key depends_on. Did you mean needs?",
    ),
    "a key that is like none": (
        f"name: w\n{STEP}    timeouts: {{zzz: 5s}}\n",
        "w.yaml:5:16: timeouts has no key zzz. It can have pull, start, load, run.",
    ),
    "a number for a string": (
        "name: w\nsteps:\n  - id: x\n    image: 5\n",
        "w.yaml:4:5: image must be a string, not the integer 5. Put it in quotes.",
    ),
    "a boolean for a string": (
        f"name: w\n{STEP}    machine: {{labels: {{gpu: true}}}}\n",
        "w.yaml:5:24: gpu must be a string, not the boolean true. Put it in quotes.",
    ),
    "yes for true": (
        f"name: w\n{STEP}    read_only: yes\n",
        "w.yaml:5:5: read_only must be a boolean, not the string 'yes'. Write true or false.",
    ),
    "a word that is none of those": (
        f"name: w\n{STEP}    network_mode: brigde\n",
        "w.yaml:5:5: network_mode cannot be 'brigde'. Did you mean bridge?",
    ),
    "a phase that is none": (
        f"name: w\n{STEP}    retry: {{phases: {{strat: 2}}}}\n",
        "w.yaml:5:22: phases has no key strat. Did you mean start?",
    ),
    "a string for a list": (
        f"name: w\n{STEP}    needs: y\n",
        "w.yaml:5:5: needs must be a list, not the string 'y'. Write it as a list: [a, b].",
    ),
    "nothing for a list": (
        "name: w\nsteps:\n",
        "w.yaml:2:1: steps must be a list, not null. Write a list, or remove the line.",
    ),
    "no steps": (
        "name: w\nsteps: []\n",
        "w.yaml:2:1: the workflow has no steps. Add at least one step with an id and an image.",
    ),
    "a step that is a word": (
        "name: w\nsteps: [x]\n",
        "w.yaml:2:9: item 1 of steps must be a mapping, not the string 'x'. Write it as KEY: VALUE.",
    ),
    "an unknown type": (
        f"name: w\ninputs: {{n: {{type: int}}}}\n{STEP}",
        "w.yaml:2:14: type cannot be 'int'. Did you mean integer?",
    ),
}

RANGES = {
    "a name with a dot": (
        f"name: my.flow\n{STEP}",
        (
            "w.yaml:1:1: the workflow 'my.flow' is not a legal name. "
            "Use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit."
        ),
    ),
    "an id with a space": (
        "name: w\nsteps:\n  - {id: my step, image: b}\n",
        (
            "w.yaml:3:6: the step id 'my step' is not a legal name. "
            "Use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit."
        ),
    ),
    "an input with a dot": (
        f"name: w\ninputs:\n  a.b: {{}}\n{STEP}",
        (
            "w.yaml:3:3: the input 'a.b' is not a legal name. "
            "Use 1 to 63 of a-z, A-Z, 0-9, _ and -, beginning with a letter or _."
        ),
    ),
    "the scheduler as a machine": (
        f"name: w\n{STEP}    machine: scheduler\n",
        (
            "w.yaml:5:5: the machine name 'scheduler' is reserved for the scheduler. "
            "Use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit."
        ),
    ),
    "an expression as a machine": (
        f"name: w\ninputs: {{m: {{}}}}\n{STEP}    machine: ${{{{ inputs.m }}}}\n",
        (
            "w.yaml:6:5: a machine's name cannot be an expression. "
            "Write the value itself: expressions belong in image, command, entrypoint, environment, "
            "working_dir, user, params and inputs of a step, and in outputs of the workflow."
        ),
    ),
    "a bad duration": (
        f"name: w\n{STEP}    timeouts: {{run: 5 minutes}}\n",
        "w.yaml:5:16: run: '5 minutes' is not a duration. Write it like 500ms, 10s, 5m or 1h.",
    ),
    "no time at all": (
        f"name: w\n{STEP}    timeouts: {{run: 0s}}\n",
        "w.yaml:5:16: run is 0, and nothing is done in no time. Write a time such as 30s.",
    ),
    "milliseconds written as seconds": (
        f"name: w\n{STEP}    timeouts: {{run: 86400000}}\n",
        "w.yaml:5:16: run is longer than a year. Write a shorter time, with its unit.",
    ),
    "a bad size": (
        f"name: w\n{STEP}    resources: {{memory: 4 GB}}\n",
        "w.yaml:5:17: memory: '4 GB' is not a size. Write it like 64Mi, 512M or 1Gi.",
    ),
    "megabytes written as bytes": (
        f"name: w\n{STEP}    resources: {{memory: 512}}\n",
        (
            "w.yaml:5:17: memory is 512 bytes, and no container starts with less than 6Mi. "
            "Write the unit: 512Mi, 4Gi."
        ),
    ),
    "less than no processor": (
        f"name: w\n{STEP}    resources: {{cpus: -1}}\n",
        "w.yaml:5:17: cpus is -1.0, less than 0. Write 0 or more.",
    ),
    "no attempt": (
        f"name: w\n{STEP}    retry: {{max_attempts: 0}}\n",
        "w.yaml:5:13: max_attempts is 0, less than 1. Write 1 or more.",
    ),
    "attempts for ever": (
        f"name: w\n{STEP}    retry: {{phases: {{pull: 5000}}}}\n",
        "w.yaml:5:22: pull is 5000, more than 1000. Use fewer attempts and a longer backoff.",
    ),
    "a backoff that shrinks": (
        f"name: w\n{STEP}    retry: {{backoff: {{factor: 0.5}}}}\n",
        "w.yaml:5:23: factor is 0.5, less than 1. Write 1 or more.",
    ),
    "a backoff beyond its limit": (
        f"name: w\n{STEP}    retry: {{backoff: {{initial: 1m, max: 10s}}}}\n",
        "w.yaml:5:13: the first backoff (1m) is longer than the longest (10s). Raise max, or lower initial.",
    ),
    "a default of the wrong type": (
        f"name: w\ninputs:\n  n: {{type: integer, default: x}}\n{STEP}",
        (
            "w.yaml:3:22: the default of the input n must be an integer, not a string: 'x'. "
            "Correct the default or the type."
        ),
    ),
    "an empty command": (
        f"name: w\n{STEP}    command: ''\n",
        "w.yaml:5:5: command is empty. Write a command, or remove the line.",
    ),
    "a space in the image": (
        "name: w\nsteps:\n  - {id: x, image: busybox 1}\n",
        "w.yaml:3:13: the image 'busybox 1' contains a space. Remove it.",
    ),
    "an open quotation in the entrypoint": (
        f'name: w\n{STEP}    entrypoint: "sh -c \'x"\n',
        "w.yaml:5:5: a quotation mark of entrypoint is never closed. Close it.",
    ),
    "a relative folder": (
        f"name: w\n{STEP}    working_dir: src\n",
        "w.yaml:5:5: working_dir 'src' is not absolute. Begin it with /.",
    ),
    "a variable that cannot be": (
        f"name: w\n{STEP}    environment: {{A=B: c}}\n",
        "w.yaml:5:19: 'A=B' cannot name an environment variable. Use letters, digits and _.",
    ),
    "a text longer than Linux takes": (
        f"name: w\n{STEP}    environment: {{A: {'x' * 131072}}}\n",
        (
            "w.yaml:5:19: A is longer than the 131072 bytes Linux takes. "
            "Pass it under inputs instead: the container reads them from the file $MUSTER_INPUT."
        ),
    ),
}

REFUSED = SHAPE | RANGES


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_workflow_is_refused_in_one_sentence(case: str):
    """The sentence says file, line, column, what is wrong and what to do; nothing else is found wrong."""
    text, sentence = REFUSED[case]
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text.encode(), name="w.yaml")
    assert str(caught.value) == sentence
    assert [str(problem) for problem in caught.value.problems] == [sentence]


MANY = """\
name: my.flow
steps:
  - id: a
    comand: echo
  - id: a
    image: b
    timeouts: {run: soon}
    command: echo ${{ steps.z.outputs.x }} ${{ inputs.n }}
    needs: [b]
"""


def test_all_problems_are_found_at_once_in_the_order_of_the_file():
    """Each has its place, its remedy and the error class it would be at run time; the message counts the rest."""
    with pytest.raises(WorkflowInvalidError) as caught:
        load(MANY.encode(), name="w.yaml")
    assert caught.value.message == "w.yaml:1:1: the workflow 'my.flow' is not a legal name. (and 7 more)"
    found = [(p.line, p.column, p.path, p.error) for p in caught.value.problems]
    assert found == [
        (1, 1, "name", "NameInvalidError"),
        (3, 5, "steps[0].image", "WorkflowInvalidError"),
        (4, 5, "steps[0].comand", "WorkflowInvalidError"),
        (5, 5, "steps[1].id", "DuplicateStepError"),
        (7, 16, "steps[1].timeouts.run", "WorkflowInvalidError"),
        (8, 5, "steps[1].command", "SourceNodeMissingError"),
        (8, 5, "steps[1].command", "InputMissingError"),
        (9, 13, "steps[1].needs[0]", "SourceNodeMissingError"),
    ]
    kinds = {kind.__name__ for kind in by_code().values()}
    assert all(p.remedy and p.file == "w.yaml" and p.error in kinds for p in caught.value.problems)
    assert msgspec.json.encode(caught.value.info())


def test_objects_are_checked_as_files_are():
    """Where there is no file, the path says the place; a valid object and its workflow are both accepted."""
    data = {"name": "w", "steps": [{"id": "x", "image": 5}]}
    assert [str(problem) for problem in validate(data)] == [
        "steps[0].image: image must be a string, not the integer 5. Put it in quotes."
    ]
    with pytest.raises(WorkflowInvalidError, match=r"^steps\[0\].image: image must be"):
        from_object(data)
    data["steps"] = [{"id": "x", "image": "b"}]
    workflow = from_object(data)
    assert validate(workflow) == []
    assert from_object(workflow) == workflow == load(msgspec.json.encode(data), name="w.json")


@pytest.mark.parametrize(
    "data",
    [
        {"name": "w", "steps": [{"id": "x", "image": "b"}], "outputs": {"a": float("nan")}},
        {"name": "w", "steps": [{"id": "x", "image": "b", "inputs": {"a": {1, 2}}}]},
        {"name": "w", "steps": [{"id": "x", "image": "b"}], "description": "x" * 5_000_000},
        {"name": "w", "steps": [{"id": "x", "image": "b"}], "outputs": {"a": [0] * 300_000}},
    ],
)
def test_what_the_log_cannot_hold_is_refused(data: dict[str, Any]):
    """An object that is no JSON, or too large for one event, is one problem."""
    (problem,) = validate(data)
    assert "cannot be stored" in problem.message


def test_problems_are_bounded():
    """A file that is wrong everywhere is refused soon, with as many problems as anybody reads."""
    steps = [
        {"id": f"s{at}", "image": "b", "needs": [f"t{at}"], "command": "${{ steps.u.outputs.x }}", "zzz": 1}
        for at in range(5_000)
    ]
    start = time.process_time()
    *shown, more = validate({"name": "w", "steps": steps})
    assert len(shown) == 200
    assert "no others are shown" in more.message
    assert time.process_time() - start < 10


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_thousand_steps_are_checked_in_seconds():
    """The check is linear in the size of the workflow: one that is not takes many minutes."""
    steps: list[dict[str, Any]] = [{"id": "s0", "image": "b", "outputs": {"n": {"type": "integer"}}}]
    for at in range(1, 10_000):
        command = f"${{{{ steps.s{at - 1}.outputs.n + {at} }}}}"
        steps.append(
            {"id": f"s{at}", "image": "b", "command": command, "outputs": {"n": {"type": "integer"}}}
        )
    start = time.process_time()
    assert validate({"name": "w", "steps": steps}) == []
    steps[0]["needs"] = ["s9999"]
    (problem,) = validate({"name": "w", "steps": steps})
    assert "(9992 more) -> s0 need each other in a circle" in problem.message
    assert time.process_time() - start < 100


FIELDS = sorted(Workflow.__struct_encode_fields__)
STEP_FIELDS = sorted(Step.__struct_encode_fields__)
TEXTS = st.text("ab-.${} inputssteps", max_size=20) | st.just("${{ steps.a }}")
KEYS = st.sampled_from([*STEP_FIELDS, "a", "type"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
STEPS = st.lists(st.dictionaries(st.sampled_from(STEP_FIELDS), VALUES) | VALUES, max_size=3)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES), STEPS | VALUES)
def test_any_object_is_a_workflow_or_problems(data: dict[str, Any], steps: Any):
    """Checking never raises, and what it finds nothing wrong with is a workflow."""
    whole = data | {"steps": steps}
    problems = validate(whole)
    assert all(problem.message.endswith(".") and "\n" not in problem.message for problem in problems)
    if not problems:
        assert from_object(whole).steps
