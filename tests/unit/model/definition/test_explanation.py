# ruff: noqa: E501 - the text is compared as a whole
"""A workflow in words and as a picture."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest
from hypothesis import given, settings

from muster.model.definition.explanation import explained, staged, written
from muster.model.definition.graph import mermaid
from muster.model.definition.validation import from_object, load
from muster.model.definition.workflow import Workflow
from muster.model.plan.lowering import lower
from muster.model.plan.tree import Block, Plan
from tests.fixtures.constructs import workflows

WHOLE = """
name: whole
description: Says everything.
inputs:
  n: {type: integer, default: 5}
  names: {type: array}
  note: {type: string, required: false}
on_failure: continue
steps:
  - id: fetch
    image: fetch:1
    command: wget  "$URL"
    machine: {labels: {gpu: "true"}}
    resources: {cpus: 2, memory: 4Gi}
    retry: {max_attempts: 3}
    inputs: {names: "${{ inputs.names }}"}
    accepts: {names: {type: array, items: string}, mode: {default: fast}}
    outputs: {page: {type: string}, size: {}}
    on_failure: [{id: tell, log: it failed}]
  - id: pick
    if: inputs.n > 1
    needs: [fetch]
    then: [{id: a, machine: m1, image: "${{ inputs.note }}"}]
    else: [{id: b, error: too few}]
  - id: which
    switch:
      - {case: [inputs.n < 3, inputs.n != 0], name: few, then: [{id: a, set: {x: 1, y: "${{ inputs.n }}"}}]}
      - {then: [{id: a, get: x}]}
  - id: each
    if: inputs.n > 0
    map:
      over: ${{ inputs.names }}
      max_parallel: 2
      steps: [{id: one, image: b, cache: {}}, {id: two, image: b, needs: [one]}]
      initial: 0
      reduce: ${{ item.result + 1 }}
  - chain:
      - {id: ask, wait_for_input: {prompt: "Go on?", timeout: 1h}}
      - {id: nap, sleep: 5s}
      - {id: noon, sleep_until: "2026-11-21T12:00:00Z"}
      - {id: call, workflow: inner, cache: {key: "${{ inputs.n }}", scope: global, max_age: 7d}}
      - {id: done, always: true, return: {n: 1}}
  - {id: both, group: [{id: left, log: l}, {id: right, wait_for_input: {}}]}
  - {id: shout, image: "python:3.13", function: "app.text:shout", inputs: {text: hi}}
  - {id: once, image: fn, function: say, params: {model: small, n: "${{ inputs.n }}"}, isolation: execution}
  - {id: alone, image: fn, function: say, isolation: call}
outputs: {x: "${{ steps.fetch.outputs.page }}"}
on_finish: [{id: bye, log: bye}]
workflows: {inner: {name: inner, steps: [{id: a, image: b}]}}
"""

SAID = """\
whole: 23 steps (7 run, 2 choose, 1 each, 4 wait, 1 child, 8 assign)
  Says everything.
  takes n: an integer, 5 where it is not given
  takes names: an array
  takes note: a string, or nothing
  gives x

1. fetch [run] runs fetch:1 (wget "$URL") on a machine with gpu=true, taking cpus 2.0, memory 4Gi, up to 3 times; takes names (array of string), mode; gives page (string), size
   where fetch has failed:
     1. tell [assign] writes "it failed" into the log
1. which [choose] takes the first case that holds
   few, if inputs.n < 3 and inputs.n != 0:
     1. a [assign] sets x to 1, y to inputs.n; gives x, y
   default, otherwise:
     1. a [assign] reads the variable x
1. each [each] if inputs.n > 0, repeats its steps for each of inputs.names, 2 at a time; begins no other after one has failed, then reduces the results by item.result + 1; gives items, result
   1. one [run] runs b on any machine, or gives again what it gave before with the same container and inputs
   2. two [run] after one, runs b on any machine
1. ask [wait] waits for input: "Go on?", at most 1h
1. left [assign] writes "l" into the log
1. right [wait] waits for input, however long it takes
1. shout [run] calls app.text:shout in python:3.13 on any machine, loaded once and then called for everybody
1. once [run] calls say in fn on any machine, loaded once with model "small", n inputs.n for each execution
1. alone [run] calls say in fn on any machine, loaded for each call, in a container of its own
2. pick [choose] after fetch, takes one of its branches
   then, if inputs.n > 1:
     1. a [run] runs inputs.note on the machine m1
   else, otherwise:
     1. b [assign] fails with "too few"
2. nap [wait] after ask, waits for 5s
2. both [assign] after left and right, gathers the outputs of its branches
3. noon [wait] after nap, waits until "2026-11-21T12:00:00Z"
4. call [child] after noon, runs the workflow inner as an execution of its own, or gives again what any step gave before with the same key inputs.n, up to 7d old
5. done [assign] after call, whatever became of them, ends the execution with {"n":1}

At the end, however it ends:
  1. bye [assign] writes "bye" into the log

When a step fails, whatever does not need it goes on.


inner: 1 step (1 run)

1. a [run] runs b on any machine

When a step fails, nothing new is started, and what runs is let end.
"""


def test_every_construct_is_said_in_words():
    """What it runs, where, after what, and as which primitive."""
    assert "\n".join(written(explained(load(WHOLE.encode(), name="w.yaml")))) + "\n" == SAID


def test_the_picture_has_a_box_for_each_block_and_dashes_for_handlers():
    """What is not needed by anything leads to what is run at the end."""
    text = """
    name: small
    steps:
      - {id: a, image: "b:1", on_failure: [{id: tell, log: 'a "b" <c>'}]}
      - {id: each, for_each: {in: [1], steps: [{id: nap, sleep: 1s}]}, needs: [a]}
      - {id: pick, if: 1 > 2, then: [{id: x, workflow: inner}], needs: [a]}
    on_finish: [{id: bye, log: bye}]
    workflows: {inner: {name: inner, steps: [{id: a, image: b}]}}
    """
    assert mermaid(lower(load(text.encode(), name="w.yaml"))) == textwrap.dedent("""\
        ---
        title: "small"
        ---
        flowchart TD
            s1["a<br/>b:1"]
            subgraph s1_rescue ["on_failure of a"]
                s2("tell<br/>log: a #quot;b#quot; #lt;c#gt;")
            end
            style s1_rescue stroke-dasharray: 5 5
            subgraph s3 ["each<br/>for each of [1]"]
                s4(["nap<br/>sleep 1s"])
            end
            subgraph s5 ["pick<br/>if 1 #gt; 2"]
                subgraph s5_0 ["then<br/>if 1 #gt; 2"]
                    s6[/"x<br/>workflow inner"/]
                end
            end
            subgraph on_finish ["on_finish: at the end, however it ends"]
                s7("bye<br/>log: bye")
            end
            style on_finish stroke-dasharray: 5 5
            s1 -. fails .-> s1_rescue
            s1 --> s3
            s1 --> s5
            s3 -.-> on_finish
            s5 -.-> on_finish
        """)


@settings(deadline=None)
@given(workflows(10))
def test_any_workflow_can_be_explained_and_drawn(definition: dict[str, Any]):
    """Every step is in both once, in a stage behind all it needs; the boxes of the picture are closed."""
    workflow = from_object(definition)
    plan = lower(workflow)
    blocks = [*every_block(plan)]
    steps = [step for block in blocks for step in block.steps.values()]
    assert sum(explained(workflow).primitives.values()) == len(steps)
    assert written(explained(workflow))
    for block in blocks:
        stages = staged(block)
        assert all(stages[id_] > stages[need] for id_, step in block.steps.items() for need in step.needs)
    lines = mermaid(plan).splitlines()
    assert sum(line.strip().startswith("subgraph ") for line in lines) == [
        line.strip() for line in lines
    ].count("end")
    assert len([line for line in lines if re.match(r"\s+(subgraph )?s\d+ ?[\[({]", line)]) == len(steps)


def every_block(plan: Plan) -> list[Block]:
    """The blocks of the plan, however nested."""
    found: list[Block] = [plan.block, *([plan.finish] if plan.finish is not None else [])]
    for block in found:  # it grows while it is read
        for step in block.steps.values():
            found += [*step.blocks, *([step.rescue] if step.rescue is not None else [])]
    return found


def test_a_long_chain_is_staged_without_recursion():
    """A thousand steps, one behind the other."""
    steps = [{"id": f"s{at}", "image": "b", "needs": [f"s{at - 1}"] if at else []} for at in range(3_000)]
    plan = lower(from_object({"name": "w", "steps": steps}))
    assert staged(plan.block)["s2999"] == 3_000


@pytest.mark.parametrize("label", ["a`b", "x; y", "end", "{{ x }}", "a|b", "line\nline", "é" * 200])
def test_any_text_can_stand_in_a_picture(label: str):
    """Nothing of it can end the label early."""
    plan = lower(
        Workflow(name="w", steps=from_object({"name": "w", "steps": [{"id": "s", "log": label}]}).steps)
    )
    (line,) = [line for line in mermaid(plan).splitlines() if line.lstrip().startswith("s1")]
    assert line.count('"') == 2
    assert len(line) < 150


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        (
            {"every": "10m"},
            (
                "As a schedule it is run every 10m; it is not while the last one goes on, "
                "and of what came due without a scheduler the newest is run."
            ),
        ),
        (
            {
                "cron": "30 6 * * MON-FRI",
                "timezone": "Europe/Berlin",
                "overlap": "cancel",
                "catch_up": "none",
            },
            (
                "As a schedule it is run at 06:30 on Monday through Friday, Europe/Berlin; the last one is cancelled where "
                "it goes on, and what came due without a scheduler is not run."
            ),
        ),
    ],
)
def test_a_schedule_in_words(schedule: dict[str, Any], says: str) -> None:
    """When it is run, what becomes of a run that overlaps, and of what was missed."""
    found = explained(from_object({"name": "w", "steps": [{"id": "a", "log": "x"}], "schedule": schedule}))
    assert written(found)[-1] == says
