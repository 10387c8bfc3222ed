"""Every construct of the workflow language, run from the command line by real processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.cli import Muster, muster
from tests.acceptance.seen import became

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

EVERYTHING = """\
name: everything
inputs:
  on: {type: boolean, default: true}
  size: {type: integer, default: 5}
steps:
  - chain:
      - id: first
        image: none
        command: echo one
        outputs: {said: {type: string, source: stdout}}
      - group: []
      - group:
          - {id: left, log: "left of ${{ steps.first.outputs.said }}"}
          - {id: right, set: {count: 3, word: "${{ steps.first.outputs.said }}"}}
  - id: never
    if: inputs.size > 100
    image: none
    command: exit 1
  - id: both
    if: [inputs.on, "inputs.size > 1"]
    image: none
    command: echo both
    outputs: {said: {type: string, source: stdout}}
  - id: branch
    if: inputs.on
    then: [{id: yes, log: "on"}]
    else: [{id: no, log: "off"}]
  - id: switched
    switch:
      - {case: inputs.size > 10, name: large, then: [{id: a, log: large}]}
      - {name: small, then: [{id: a, log: small}]}
  - id: each
    for_each:
      in: [1, 2, 3]
      max_parallel: 2
      steps:
        - id: twice
          image: none
          command: "echo $((N * 2))"
          environment: {N: "${{ item }}"}
          outputs: {n: {type: integer, source: stdout}}
  - id: pairs
    for_each:
      in: {a: 1, b: 2}
      steps: [{id: say, log: "${{ item.key }}=${{ item.value }}"}]
  - id: total
    map:
      over: [1, 2, 3]
      steps:
        - id: square
          image: none
          command: echo $((N * N))
          environment: {N: "${{ item }}"}
          outputs: {value: {type: integer, source: stdout}}
      reduce: ${{ item.result + item.value.value }}
      initial: 0
  - id: side
    parallel:
      - {id: l, log: l}
      - {id: r, log: r}
  - {id: nap, sleep: 100ms}
  - {id: until, sleep_until: "2026-01-01T00:00:00Z"}
  - {id: var, needs: [right], get: word}
  - id: call
    workflow: inner
    inputs: {x: 7}
  - id: cleanup
    always: true
    needs: [never]
    log: cleaned
on_finish:
  - {id: tidy, log: tidied}
workflows:
  inner:
    name: inner
    inputs: {x: {type: integer}}
    steps:
      - chain:
          - {id: told, log: "got ${{ inputs.x }}"}
          - {id: done, return: {y: "${{ inputs.x + 1 }}"}}
          - {id: nothing, log: "never said"}
outputs:
  both: ${{ steps.both.outputs.said }}
  branch: ${{ steps.branch.outputs.message }}
  switched: ${{ steps.switched.outputs.message }}
  each: ${{ steps.each.outputs.items }}
  pairs: ${{ steps.pairs.outputs.items }}
  total: ${{ steps.total.outputs.result }}
  side: ${{ steps.side.outputs.branches }}
  var: ${{ steps.var.outputs.value }}
  call: ${{ steps.call.outputs.y }}
"""

ASKS = """\
name: asks
steps:
  - id: approve
    wait_for_input:
      prompt: "Publish it?"
      schema:
        type: object
        required: [ok]
        properties: {ok: {type: boolean}, note: {type: string}}
  - id: publish
    if: steps.approve.outputs.ok
    log: published
outputs:
  ok: ${{ steps.approve.outputs.ok }}
  note: ${{ steps.approve.outputs.note }}
"""

LONG = """\
name: long
steps:
  - id: each
    for_each:
      in: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
      on_failure: continue
      steps:
        - id: one
          image: none
          command: test $N -ne 7
          environment: {N: "${{ item }}"}
"""

RESULTS = """\
name: results
steps:
  - id: skips
    gives_result: true
    image: none
    command: >-
      echo '{"$result": "skip", "reason": "nothing new"}' > $MUSTER_OUTPUT
  - id: again
    image: none
    command: |
      if test -e FOLDER/again; then echo '{"n": 2}' > $MUSTER_OUTPUT
      else touch FOLDER/again
      echo '{"$result": "retry", "wait_min": "50ms", "wait_max": "60ms", "reason": "busy"}' > $MUSTER_OUTPUT; fi
    outputs: {n: {type: integer}}
  - id: later
    image: none
    command: |
      if test -s "$MUSTER_CONTEXT"; then printf '{"seen": %s}' "$(cat $MUSTER_CONTEXT)" > $MUSTER_OUTPUT
      else
      echo '{"$result": "check_later", "wait_for": "50ms", "context": {"job": 17}}' > $MUSTER_OUTPUT; fi
    outputs: {seen: {type: object}}
outputs:
  n: ${{ steps.again.outputs.n }}
  seen: ${{ steps.later.outputs.seen }}
"""

GIVES_UP = """\
name: gives-up
steps:
  - id: never
    gives_result: true
    image: none
    command: >-
      echo '{"$result": "retry", "wait_min": "10ms", "wait_max": "20ms", "max_retries": 1, "reason": "busy"}'
      > $MUSTER_OUTPUT
    on_failure: [{id: tell, log: "${{ error.message }}"}]
"""

RAISES = """\
name: raises
steps:
  - {id: check, error: "too large", on_failure: [{id: tell, log: "${{ error.message }}"}]}
  - {id: after, needs: [check], log: "never said"}
  - {id: always, always: true, needs: [check], log: "said"}
on_finish: [{id: tidy, log: tidied}]
"""


def waiting(muster: Muster, execution: str) -> dict[str, Any]:
    """The execution, once it waits for input."""
    became(muster, execution, "awaiting_input")
    shown: dict[str, Any] = muster.json("show", execution)
    return shown


def asking(muster: Muster) -> dict[str, Any]:
    """A new execution that waits for an answer."""
    execution = muster("submit", muster.write("asks.yaml", ASKS)).stdout.strip()
    return waiting(muster, execution)


def test_every_construct_in_one_workflow(muster: Muster):
    """Each gives what it should, and show tells how it went: paths, branches, items, variables, child and parent."""
    muster.write("everything.yaml", EVERYTHING)
    result = muster.json("run", "everything.yaml", "--id", "all-1")
    assert result["status"] == "succeeded", result
    assert result["outputs"] == {
        "both": "both",
        "branch": "on",
        "switched": "small",
        "each": [{"n": 2}, {"n": 4}, {"n": 6}],
        "pairs": [{"message": "a=1"}, {"message": "b=2"}],
        "total": 14,
        "side": [{"message": "l"}, {"message": "r"}],
        "var": "one",
        "call": 8,
    }
    shown = muster.json("show", "all-1")
    steps = {step["path"]: step for step in shown["steps"]}
    assert shown["variables"] == {"count": 3, "word": "one"}
    assert (steps["never"]["status"], steps["never"]["reason"]) == ("skipped", "condition")
    assert steps["branch"]["branch"] == "then"
    assert (steps["each"]["items"]["done"], steps["each"]["items"]["total"]) == (3, 3)
    assert steps["each/2/twice"]["outputs"] == {"n": 6}
    assert steps["on_finish/tidy"]["status"] == "succeeded"
    assert steps["cleanup"]["status"] == "succeeded"
    [child] = shown["children"]
    assert child["step"] == "call"
    assert muster.json("show", child["execution"])["parent"] == {"execution": "all-1", "step": "call"}
    assert "child of all-1, step call" in muster("show", child["execution"]).stdout
    assert "Child Started" in muster("show", "all-1").stdout
    assert steps["call"]["child"] == child["execution"]
    inner = {step["path"]: step for step in muster.json("show", child["execution"])["steps"]}
    assert (inner["nothing"]["status"], inner["nothing"]["reason"]) == ("skipped", "ending")


def test_resume_by_id(muster: Muster):
    """Show says what is asked and how to answer; what does not fit is refused, the first that does counts."""
    shown = asking(muster)
    execution = shown["execution"]
    assert "Publish it?" in shown["waiting"]["approve"]
    assert f"muster resume {execution} --input ok=…" in muster("show", execution).stdout
    refused = muster("resume", execution, "--input", "ok=maybe", code=2).stderr
    assert "approve" in refused
    assert "ok" in refused
    said = muster("resume", execution, "--input", "ok=true", "--input", "note=17").stdout
    assert said == f"approve of {execution} has its input\n"
    assert muster.json("watch", execution)["outputs"] == {"ok": True, "note": "17"}
    again = muster("resume", execution, "--input", "ok=false").stdout
    assert again.startswith("nothing changed: approve of")
    assert muster.json("resume", execution, "--input", "ok=false")["changed"] is False


def test_resume_by_token(muster: Muster):
    """The token alone finds the step; a wrong one, and one whose wait is over, are told apart."""
    shown = asking(muster)
    [step] = [step for step in shown["steps"] if step["path"] == "approve"]
    muster.write("answer.json", '{"ok": true, "note": "yes"}')
    answer = muster.json("resume", "--token", step["token"], "--input", "@answer.json")
    assert (answer["execution"], answer["step"], answer["changed"]) == (shown["execution"], "approve", True)
    assert muster.json("watch", shown["execution"])["outputs"]["note"] == "yes"
    assert "does not wait for input any more" in muster("resume", "--token", step["token"]).stdout
    assert "under this token" in muster("resume", "--token", "0" * 32, code=2).stderr
    assert "--token" in muster("resume", code=2).stderr


def test_run_says_what_is_asked(muster: Muster):
    """Run writes the prompt and the command that answers, and goes on when somebody has."""
    running = muster.begin("run", muster.write("asks.yaml", ASKS), "--id", "asked-1")
    line = running.until("answer it:")
    assert "approve waits for input: Publish it?" in line
    assert "muster resume asked-1 --input ok=…" in line
    muster("resume", "asked-1", "--step", "approve", "--input", '{"ok": true, "note": ""}')
    running.until("succeeded")
    assert running.end() == 0


def test_a_long_loop_is_told_in_short(muster: Muster):
    """Of twenty items the one that failed is named, the others are counted, by run and by show."""
    said = muster("run", muster.write("long.yaml", LONG), "--id", "long-1", code=1).stdout
    assert "each/7/one" in said
    assert "20 of 20 items, 1 failed (each/7/one)" in said
    assert "each/8/one" not in said
    shown = muster("show", "long-1").stdout
    assert "each/7/one" in shown
    assert "each/8/one" not in shown
    assert "more steps of loops; --json shows all" in shown
    assert len(muster.json("show", "long-1")["steps"]) == 21


def test_what_a_container_says_of_itself(muster: Muster):
    """Skip, retry and check later come from what a process writes; what it wants remembered comes back to it."""
    muster.write("results.yaml", RESULTS.replace("FOLDER", str(muster.folder)))
    result = muster.json("run", "results.yaml", "--id", "results-1")
    assert result["outputs"] == {"n": 2, "seen": {"job": 17}}
    steps = {step["path"]: step for step in muster.json("show", "results-1")["steps"]}
    skipped = steps["skips"]
    assert (skipped["status"], skipped["reason"], skipped["message"]) == ("skipped", "asked", "nothing new")
    events = [json.loads(line) for line in muster("events", "results-1", "--json").stdout.splitlines()]
    [retrying] = [event["data"] for event in events if event["type"].startswith("io.muster.step.retrying")]
    assert retrying["budget"] == "asked"
    [waits] = [event["data"] for event in events if event["type"].startswith("io.muster.step.waiting")]
    assert (waits["reason"], waits["context"]) == ("check_later", {"job": 17})


def test_who_asks_too_often_fails(muster: Muster):
    """The retries that a container asks for are counted by its own measure; then its handler runs."""
    muster("run", muster.write("gives-up.yaml", GIVES_UP), "--id", "gives-up-1", code=1)
    shown = muster.json("show", "gives-up-1")
    assert shown["error"]["code"] == "retriable"
    steps = {step["path"]: step for step in shown["steps"]}
    assert (steps["never"]["status"], steps["never"]["attempt"]) == ("failed", 2)
    assert "busy" in steps["never/on_failure/tell"]["outputs"]["message"]


def test_an_error_step_fails_the_execution(muster: Muster):
    """With its message; handlers and what always runs are run, and what needs it is not."""
    said = muster("run", muster.write("raises.yaml", RAISES), "--id", "raises-1", code=1).stdout
    assert "RaisedError (raised): step check" in said
    shown = muster.json("show", "raises-1")
    steps = {step["path"]: (step["status"], step["reason"]) for step in shown["steps"]}
    assert steps["after"][0] == "skipped"
    assert {path for path, (status, _) in steps.items() if status == "succeeded"} == {
        "check/on_failure/tell",
        "always",
        "on_finish/tidy",
    }


BREAKS = """\
name: breaks
on_failure: continue
steps:
  - {id: well, log: well}
  - {id: one, image: none, command: exit 3}
  - id: each
    for_each:
      in: [0, 4, 5]
      on_failure: continue
      steps: [{id: work, image: none, command: 'exit $N', environment: {N: "${{ item }}"}}]
  - {id: sent, error: "no such user", needs: [well]}
"""


def test_each_step_that_failed_is_told(muster: Muster):
    """Show tells the error of each with its remedy, and an error that travelled up once; a run says how many more."""
    ran = muster("run", muster.write("breaks.yaml", BREAKS), "--id", "broken", code=1)
    assert "3 more steps failed, too: muster show broken" in ran.stdout
    shown = muster("show", "broken").stdout
    first, _, others = shown.partition("\nError\n")[2].partition("\nErrors of other steps\n")
    for step, message in (("one", "code 3"), ("each/1/work", "code 4"), ("each/2/work", "code 5")):
        [part] = [told for told in (first, others) if f"step {step}," in told]
        assert message in part
        assert f"muster logs broken {step}" in part
    assert "RaisedError" in first + others
    assert (first + others).count("no such user") == 1
    assert first.count("What to do") == 1
