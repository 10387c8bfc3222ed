"""What bounds executions, from the command line: keys, tags, priorities, timeouts, idempotency keys, labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.cli import PATIENCE_S, Muster, muster
from tests.acceptance.seen import became

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

ASKS = """\
name: {name}
inputs: {{to: {{type: string, default: here}}}}
concurrency: {{key: "{name} to ${{{{ inputs.to }}}}", on_conflict: {on_conflict}}}
steps: [{{id: ask, wait_for_input: {{prompt: "Go on?"}}}}]
"""
HELLO = """\
name: hello
tags: [own]
labels: {team: a, kind: nightly}
metadata: {owner: {name: Ada}}
priority: 3
steps:
  - {id: a, image: none, command: echo hello, tags: [own, gpu], outputs: {said: {type: string, source: stdout}}}
outputs: {said: "${{ steps.a.outputs.said }}"}
"""


def until(muster: Muster, execution: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What show says of the execution, once that holds."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        shown: dict[str, Any] = muster.json("show", execution)
        if holds(shown):
            return shown
    raise AssertionError(shown)


def begun(muster: Muster, name: str, on_conflict: str, execution: str) -> None:
    """An execution that holds its key until it is answered."""
    file = muster.write(f"{name}.yaml", ASKS.format(name=name, on_conflict=on_conflict))
    muster("submit", file, "--id", execution)
    became(muster, execution, "awaiting_input")


def test_one_more_waits_for_its_turn_and_everybody_is_told_why(muster: Muster):
    """Show and list say how many come first; after the first has ended it is the turn of the higher priority."""
    begun(muster, "deploy", "queue", "first-1")
    muster("submit", "deploy.yaml", "--id", "second-1")
    muster("submit", "deploy.yaml", "--id", "third-1", "--priority", "10")
    shown = until(muster, "second-1", lambda shown: shown["waiting"] != {})
    assert shown["status"] == "queued"
    assert shown["waiting"] == {"": "waits for 2 of the key deploy to here"}
    assert shown["concurrency"] == {"key": "deploy to here", "limit": 1, "on_conflict": "queue"}
    assert "the execution: waits for 2 of the key deploy to here" in muster("show", "second-1").stdout
    assert "waits for 1 of the key deploy to here" in muster("list", "--workflow", "deploy").stdout
    muster("resume", "first-1", "--input", "{}")
    became(muster, "third-1", "awaiting_input")


def test_another_key_is_free_and_one_that_waits_can_be_cancelled(muster: Muster):
    """It ends at once, and its steps were not run."""
    begun(muster, "ship", "queue", "ship-1")
    muster("submit", "ship.yaml", "--id", "ship-2")
    muster("submit", "ship.yaml", "--id", "elsewhere-1", "--input", "to=there")
    became(muster, "elsewhere-1", "awaiting_input")
    muster("cancel", "ship-2", "--wait")
    ended = muster.json("show", "ship-2")
    assert (ended["status"], ended["steps"][0]["status"]) == ("cancelled", "cancelled")


def test_watching_one_that_waits_says_for_whom(muster: Muster):
    """A line of its own, before anything else happens."""
    begun(muster, "release", "queue", "release-1")
    muster("submit", "release.yaml", "--id", "release-2")
    watching = muster.begin("watch", "release-2")
    watching.until("waits for 1 of the key release to here")
    muster("resume", "release-1", "--input", "{}")
    became(muster, "release-2", "awaiting_input")
    muster("resume", "release-2", "--input", "{}")
    assert watching.end() == 0


def test_the_newer_one_replaces_the_older(muster: Muster):
    """The older is cancelled with the reason, and the newer begins."""
    begun(muster, "preview", "cancel_running", "preview-1")
    muster("submit", "preview.yaml", "--id", "preview-2")
    became(muster, "preview-2", "awaiting_input")
    old = muster.json("show", "preview-1")
    assert (old["status"], old["reason"]) == ("cancelled", "replaced by preview-2")
    muster("resume", "preview-2", "--input", "{}")


def test_one_more_is_refused(muster: Muster):
    """The error names the key and who has it, and nothing was accepted."""
    begun(muster, "migrate", "reject", "migrate-1")
    refused = muster("submit", "migrate.yaml", "--id", "migrate-2", code=2)
    assert "the key migrate to here admits 1 at once, and is taken by migrate-1" in refused.stderr
    muster("show", "migrate-2", code=2)
    muster("resume", "migrate-1", "--input", "{}")


def test_tags_labels_metadata_and_priority_as_they_were_accepted(muster: Muster):
    """Without its tag the submit is refused; show and list tell the rest."""
    file = muster.write("hello.yaml", HELLO)
    refused = muster("run", file, "--id", "hello-0", code=2)
    assert "a requires gpu" in refused.stderr
    assert "--tag gpu" in refused.stderr
    more = [
        "--tag",
        "gpu",
        "--label",
        "kind=once",
        "--metadata",
        "ticket=7",
        "--priority",
        "-3",
        "--timeout",
        "1h",
    ]
    assert muster.json("run", file, "--id", "hello-1", *more)["outputs"] == {"said": "hello"}
    shown = muster.json("show", "hello-1")
    assert shown["labels"] == {"team": "a", "kind": "once"}
    assert shown["metadata"] == {"owner": {"name": "Ada"}, "ticket": 7}
    assert (shown["tags"], shown["priority"], shown["timeout_s"]) == (["gpu", "own"], -3, 3600.0)
    said = muster("show", "hello-1").stdout
    for line in (
        "labels: team=a, kind=once",
        "tags: gpu, own",
        "priority: -3",
        "timeout: 1h 00m from its start",
    ):
        assert line in said
    listed = [row["id"] for row in muster.json_lines("list", "--label", "team=a", "--label", "kind=once")]
    assert listed == ["hello-1"]
    assert muster.json_lines("list", "--label", "kind=nightly") == []


def test_the_same_key_finds_the_first_execution(muster: Muster):
    """Also after it has ended, and from another process; other content is refused."""
    file = muster.write("keyed.yaml", HELLO.replace("name: hello", "name: keyed"))
    first = muster.json("submit", file, "--tag", "gpu", "--idempotency-key", "today")
    assert first["already"] is False
    muster("watch", first["execution"])
    again = muster("submit", file, "--tag", "gpu", "--idempotency-key", "today")
    assert again.stdout.strip() == first["execution"]
    assert "submitted before" in again.stderr
    assert muster.json("run", file, "--tag", "gpu", "--idempotency-key", "today")["outputs"] == {
        "said": "hello"
    }
    other = muster("submit", file, "--tag", "gpu", "--idempotency-key", "today", "--label", "x=y", code=2)
    assert "The idempotency key 'today' is taken by" in other.stderr
    tomorrow = muster.json("submit", file, "--tag", "gpu", "--idempotency-key", "tomorrow")
    assert tomorrow["already"] is False
    assert tomorrow["execution"] != first["execution"]


def test_what_takes_too_long_is_stopped(muster: Muster):
    """Its step is stopped, what is run at the end is run, and the error says what to do."""
    file = muster.write(
        "slow.yaml",
        """\
name: slow
timeout: 1s
steps: [{id: a, image: none, command: exec sleep 60, stop_grace_period: 1s}]
on_finish: [{id: tidy, log: tidied}]
""",
    )
    result = muster.json("run", file, "--id", "slow-1", code=1)
    assert (result["status"], result["error"]["code"]) == ("failed", "execution_overdue")
    steps = {step["path"]: step["status"] for step in muster.json("show", "slow-1")["steps"]}
    assert steps == {"a": "cancelled", "on_finish/tidy": "succeeded"}


def test_as_many_steps_begin_as_the_limit_admits(muster: Muster):
    """The loop begins two of its members; validate finds what certainly exceeds a limit, with its place."""
    text = """\
name: limited
inputs: {all: {type: array, default: [1, 2, 3]}}
limits: {steps: 3}
steps:
  - id: each
    for_each: {in: "${{ inputs.all }}", max_parallel: 1, steps: [{id: a, image: none, command: "true"}]}
"""
    file = muster.write("limited.yaml", text)
    result = muster.json("run", file, "--id", "limited-1", code=1)
    assert result["error"]["code"] == "step_limit"
    steps = {step["path"]: step["status"] for step in muster.json("show", "limited-1")["steps"]}
    assert steps == {"each": "failed", "each/0/a": "succeeded", "each/1/a": "succeeded", "each/2/a": "failed"}
    muster.write("limited.yaml", text.replace('"${{ inputs.all }}"', "[1, 2, 3]"))
    refused = muster("validate", "limited.yaml", code=2)
    assert "limited.yaml:3:" in refused.stdout + refused.stderr
    assert "the workflow begins 4 steps or more, and limits.steps admits 3" in refused.stdout + refused.stderr


def test_steps_of_two_executions_take_turns(muster: Muster):
    """Show says of the one that waits for how many; it goes on when the other is answered."""
    text = """\
name: turns
steps:
  - {id: ask, wait_for_input: {prompt: "Go on?"}, concurrency: {key: the operator}}
"""
    file = muster.write("turns.yaml", text)
    muster("submit", file, "--id", "turns-1")
    became(muster, "turns-1", "awaiting_input")
    muster("submit", file, "--id", "turns-2")
    shown = until(muster, "turns-2", lambda shown: shown["steps"][0]["status"] == "waiting")
    assert (shown["steps"][0]["reason"], shown["steps"][0]["message"]) == (
        "concurrency",
        "waits for 1 of the key the operator",
    )
    assert "not its turn: waits for 1 of the key the operator" in muster("show", "turns-2").stdout
    muster("resume", "turns-1", "--input", "{}")
    became(muster, "turns-2", "awaiting_input")
    muster("resume", "turns-2", "--input", "{}")
