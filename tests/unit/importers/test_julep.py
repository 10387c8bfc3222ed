# ruff: noqa: E501 - an expression is compared as a whole
"""Julep's tasks, carried over: the sixteen kinds of steps, and what becomes of their expressions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from muster.importers import Imported, imported
from muster.importers.julep.python import UntranslatableError, condition, template, translated
from muster.model.definition.document import parse
from muster.model.definition.printing import to_yaml
from muster.model.definition.validation import load, validate
from muster.model.definition.workflow import Port, Step, Workflow
from muster.model.errors import WorkflowInvalidError
from muster.model.expressions.template import render
from muster.model.log.commands import Resume
from tests.fixtures.play import Play

TASK = """
name: Research Task
description: Research a topic.
input_schema:
  type: object
  properties:
    topic: {type: string, description: What about}
    depth: {type: integer, default: 3}
    urls: {type: array, items: {type: string}}
  required: [topic]
tools:
  - {name: web_search, type: integration, integration: {provider: brave}}
main:
  - evaluate:
      queries: "$ [f'{_.topic} {u}' for u in _.urls if u != '']"
      deep: $ inputs.depth > 2
  - label: search
    over: $ _.queries
    map:
      tool: web_search
      arguments: {query: $ _}
    reduce: $ results + [_]
    parallelism: 5
  - if: $ len(_) > 3
    then:
      prompt: [{role: user, content: "Summarize {steps['search'].output} for {{inputs.topic}}"}]
      unwrap: true
    else:
      evaluate: {text: nothing}
  - log: got {_}
  - set: {summary: $ _}
  - get: summary
  - wait_for_input: {info: {message: "Publish {state.summary}?"}}
  - switch:
      - {case: $ _.ok, then: {workflow: publish, arguments: {text: $ state.summary}}}
      - {case: _, then: {evaluate: {no: true}}}
  - sleep: {hours: 1, minutes: 30}
  - foreach:
      in: $ steps[0].output.queries
      do: {evaluate: {q: $ _}}
  - parallel:
      - {prompt: a, unwrap: true}
      - {tool: b, arguments: _}
  - return: {summary: $ state.summary, all: $ _}
publish:
  - tool: post
    arguments: {text: $ _.text}
  - if: $ not _
    then: {error: could not publish}
"""


def carried(text: str, **fields: Any) -> Imported:
    """The task in a YAML text."""
    return imported("julep", parse(text.encode(), name="t").data, name="t", **({"image": None} | fields))


def steps_of(workflow: Workflow) -> dict[str, Step]:
    """The steps in the chain, by id."""
    (chain,) = workflow.steps
    assert chain.chain is not None
    return {step.id: step for step in chain.chain}


def test_a_task_with_every_kind_of_step_is_valid():
    """It can be written to a file and read again; only the tool's definition is lost."""
    found = carried(TASK)
    assert [note.place for note in found.lost] == ["tool web_search"]
    assert load(to_yaml(found.workflow).encode(), name="w.yaml") == found.workflow


def test_the_schema_of_the_input_becomes_inputs():
    """With what prompts and tools are answered by, which nobody can guess."""
    inputs = carried(TASK).workflow.inputs
    assert list(inputs) == ["topic", "depth", "urls", "prompt_image", "tool_image"]
    assert (inputs["topic"].required, inputs["urls"].required, inputs["depth"].default) == (True, False, 3)
    assert (inputs["urls"].type, inputs["urls"].items) == ("array", Port(type="string"))
    assert carried(TASK, image="agents:1").workflow.inputs["tool_image"].default == "agents:1"


def test_each_step_becomes_what_muster_has_for_it():
    """And the underscore is the value of the step before."""
    workflow = carried(TASK).workflow
    steps = steps_of(workflow)
    assert steps["evaluate-1"].set == {
        "result": {
            "queries": '${{ inputs.urls.filter(u, u != "").map(u, string(inputs.topic) + " " + string(u)) }}',
            "deep": "${{ inputs.depth > 2 }}",
        }
    }
    search = steps["search"].map
    assert search is not None
    assert search.over == '${{ steps["evaluate-1"].outputs.result.queries }}'
    assert search.reduce == "${{ item.result + [item.value.result] }}"
    assert (search.max_parallel, search.initial) == (5, [])
    assert search.steps[0].inputs == {"tool": "web_search", "arguments": {"query": "${{ item }}"}}
    pick = steps["if-3"]
    assert pick.if_ == "${{ size(steps.search.outputs.result) > 3 }}"
    assert pick.then is not None
    assert pick.then[0].inputs["prompt"][0]["content"] == (
        "Summarize ${{ steps.search.outputs.result }} for ${{ inputs.topic }}"
    )
    assert steps["log-4"].log == 'got ${{ steps["if-3"].outputs.result }}'
    assert steps["set-5"].set == {"summary": '${{ steps["if-3"].outputs.result }}'}
    assert steps["get-6"].get == "summary"
    asked = steps["wait-for-input-7"].wait_for_input
    assert asked is not None
    assert asked.prompt == "message: Publish ${{ vars.summary }}?"
    cases = steps["switch-8"].switch
    assert cases is not None
    assert [case.then[0].id for case in cases] == ["workflow-1", "evaluate-1-3"]
    assert steps["sleep-9"].sleep == 5400
    loop = steps["foreach-10"].for_each
    assert loop is not None
    assert (loop.max_parallel, loop.in_) == (1, '${{ steps["evaluate-1"].outputs.result.queries }}')
    branches = steps["parallel-11"].parallel
    assert branches is not None
    assert branches[1].inputs["arguments"] == '${{ steps["foreach-10"].outputs.items.map(one, one.result) }}'
    assert steps["return-12"].return_ == {
        "summary": "${{ vars.summary }}",
        "all": '${{ [steps["parallel-11"].outputs.branches[0].result, steps["parallel-11"].outputs.branches[1].result] }}',
    }


def test_other_workflows_are_children():
    """What is yielded to them are their inputs; which image runs tools is passed on."""
    workflow = carried(TASK).workflow
    publish = workflow.workflows["publish"]
    assert list(publish.inputs) == ["text", "tool_image"]
    cases = steps_of(workflow)["switch-8"].switch
    assert cases is not None
    assert cases[0].then[0].inputs == {
        "text": "${{ vars.summary }}",
        "tool_image": "${{ inputs.tool_image }}",
    }


LOST = {
    "a step nobody knows": ("- embed: {x: 1}", "Muster knows no such step; the workflow fails there."),
    "a condition CEL has not": (
        "- if: $ _.x.upper() == 'A'\n  then: {log: a}",
        "CEL has nothing for '_.x.upper()'; the workflow fails there.",
    ),
    "a value CEL has not": (
        "- evaluate: {x: $ _.n / 2}",
        "'$ _.n / 2': in CEL '_.n / 2' would give something else, or nothing; null stands in its place.",
    ),
    "a text that is none": (
        "- prompt: 'Answer as {\"a\": 1}'\n  unwrap: true",
        "'Answer as {\"a\": 1}': it is no Python expression; it stays as it is.",
    ),
    "what only Julep has": (
        "- evaluate: {x: $ agent.name}",
        "'$ agent.name': there is no agent here; null stands in its place.",
    ),
    "a sleep of any length": (
        "- sleep: {seconds: $ _.n}",
        "a time to sleep that is not a number of seconds, minutes, hours or days; the workflow fails there.",
    ),
    "a workflow that is not there": (
        "- workflow: nowhere\n  arguments: {}",
        "it yields to nowhere, which does not exist.",
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_what_cannot_be_carried_is_named(case: str):
    """Nothing is left out in silence: where it stood the workflow fails, or null stands."""
    written, message = LOST[case]
    found = carried("main:\n" + "\n".join(f"  {line}" for line in written.split("\n")))
    assert message in [note.message for note in found.lost]
    if "nowhere" not in written:
        assert validate(found.workflow) == []


def test_workflows_that_call_each_other_are_lost():
    """A child cannot be its own parent."""
    found = carried("main:\n  - {workflow: a, arguments: {}}\na:\n  - {workflow: main, arguments: {}}")
    assert "it yields to main, which is running it: workflows cannot go in circles." in [
        n.message for n in found.lost
    ]


@pytest.mark.parametrize("data", [5, {}, {"main": 5}, {"main": []}, {"main": [{"foreach": 5}]}], ids=repr)
def test_what_is_no_task_is_refused(data: Any):
    """In a sentence, whatever is in the file."""
    with pytest.raises(WorkflowInvalidError, match=r"(?i)julep"):
        imported("julep", data, name="w", image=None)


SCOPE = {"_": "inputs", "state": "vars", "steps[0].output": "steps.a.outputs", "steps['b'].input": "item"}
VALUES: dict[str, Any] = {
    "inputs": {"n": 3, "text": "abc", "list": [1, 2, 3], "none": None, "empty": "", "map": {"a": 1}},
    "vars": {"k": "v"},
    "steps": {"a": {"outputs": {"x": 7}}},
    "item": 9,
}
EXPRESSIONS: dict[str, Any] = {
    "_.n + 1": 4,
    "_['n'] * (2 - 1)": 3,
    "-_.n": -3,
    "_.list[0]": 1,
    "_.map['a']": 1,
    "len(_.list) == 3 and _.n != 4": True,
    "1 < _.n <= 3": True,
    "_.n in [1, 3] and 4 not in _.list": True,
    "not _.empty": True,
    "bool(_.text)": True,
    "_.empty or 'other'": "other",
    "_.text and _.n": 3,
    "_.none is None": True,
    "_.none is not None": False,
    "'yes' if _.list else 'no'": "yes",
    "[x * 2 for x in _.list if x > 1]": [4, 6],
    "[x for x in _.list if x > 1 if x < 3]": [2],
    "any(x > 2 for x in _.list)": True,
    "all(x for x in _.list)": True,
    "f'{_.text}-{_.n}!'": "abc-3!",
    "_.text.startswith('a') and _.text.endswith('c')": True,
    "_.map.get('a')": 1,
    "_.map.get('b', 5)": 5,
    "_.map.get('b') is None": True,
    "{'a': [_.n, True], 'b': None}": {"a": [3, True], "b": None},
    "str(_.n) + 'x'": "3x",
    "sum(_.list) + max(_.list) + min(_.n, 1) + abs(-2)": 12,
    "sorted([3, 1, 2])": [1, 2, 3],
    "', '.join([x for x in _.text.split('b')])": "a, c",
    "' a-b '.strip().replace('-', '+')": "a+b",
    "int('4') + 1": 5,
    "state.k": "v",
    "steps[0].output.x": 7,
    "steps['b'].input": 9,
    '"quoted \\" and $ {text}"': 'quoted " and $ {text}',
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_gives_in_cel_what_it_gave_in_python(text: str):
    """Evaluated on the same values."""
    assert render(f"${{{{ {translated(text, SCOPE)} }}}}", VALUES) == EXPRESSIONS[text]


@pytest.mark.parametrize(
    "text",
    ["_.n / 2", "_.n % 2", "_.n // 2", "_.list[1:]", "_.list[-1]", "_.text.upper()", "_.text.lower()", "lambda x: x", "nowhere",
     "f'{_.n:>3}'", "x y", "", "b'a'", "{**_}", "[x for y in _.list for x in y]", "len(_.list, 2)", "~_.n", "_.get(x=1)"],
)  # fmt: skip
def test_an_expression_that_cel_cannot_say_is_refused(text: str):
    """Rather than say something else."""
    with pytest.raises(UntranslatableError):
        translated(text, SCOPE)


@pytest.mark.parametrize(
    ("text", "holds"),
    [("_.list", True), ("_.empty", False), ("_.n > 1 and _.list", True), ("not (_.n or _.none)", False)],
)
def test_a_condition_is_what_python_takes_for_true(text: str, holds: bool):
    """Of any value."""
    assert render(f"${{{{ {condition(text, SCOPE)} }}}}", VALUES) is holds


def test_text_with_expressions_in_it():
    """In single brackets or in double ones; a bracket that is never closed is none."""
    assert render(template("n: {_.n}, {{ _.text }}.", SCOPE), VALUES) == "n: 3, abc."
    with pytest.raises(UntranslatableError):
        template("a { b", SCOPE)


@pytest.mark.parametrize("answer", [True, False])
def test_a_task_that_was_carried_over_runs_to_its_end(answer: bool):
    """Loops, branches, the child and the answer included, as decided without any broker."""
    play = Play()
    play.connect("m1", slots=100)
    play.submit(msgspec.to_builtins(carried(TASK, image="i").workflow), topic="bees", urls=["u1", "", "u2"])
    answered = False
    for _ in range(100):
        for ref in play.refs():
            play.begin(ref)
            play.finish(ref, result=f"by {ref.step}")
        known = len(play.log)
        play.round()
        if len(play.log) == known and not answered:
            answered = True
            play.round(Resume(id="answer", execution="x1", input={"ok": answer}))
        elif len(play.log) == known:
            play.later(6_000.0)
    (ended,) = (one.data for one in play.events("execution.succeeded") if one.execution == "x1")
    assert ended.outputs == {"summary": {"text": "nothing"}, "all": ["by prompt-1-2", "by tool-1-2"]}
    assert len(play.events("execution.queued")) == (2 if answer else 1)
