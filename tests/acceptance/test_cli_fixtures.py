"""Recording an execution from the command line, and what a recording is good for."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.cli import Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(scope="module")
def execution(muster: Muster) -> str:
    """One execution that went well, after another."""
    muster("run", "hello.yaml", "-i", "name=before")
    return str(muster.json("run", "hello.yaml", "-i", "name=you")["execution"])


def test_a_recording_replays_without_a_broker(muster: Muster, execution: str):
    """`muster events EXECUTION --json` is a fixture: every decision in it is made again from it alone."""
    recorded = muster("events", execution, "--json").stdout
    events = [json.loads(line) for line in recorded.splitlines()]
    assert {event.get("execution") for event in events} == {None, execution}
    assert {"leader.elected", "machine.connected", "execution.succeeded"} <= {
        event["type"].removeprefix("io.muster.").removesuffix(".v1") for event in events
    }
    path = muster.folder / "run.jsonl"
    path.write_text(recorded)
    found = muster.json("replay", str(path))
    assert found["differences"] == []
    assert found["decisions"] > 5


def test_a_recording_is_printed_for_people_too(muster: Muster, execution: str):
    """Without --json the same events are lines to read."""
    lines = muster("events", execution).stdout.splitlines()
    assert len(lines) == len(muster("events", execution, "--json").stdout.splitlines())
    assert "machine.connected" in "\n".join(lines)


@pytest.mark.parametrize("options", [["--follow"], ["--kind", "step"], ["--from", "3"], ["--machine", "m1"]])
def test_nothing_can_be_left_out_of_a_recording(muster: Muster, execution: str, options: list[str]):
    """What would make a recording incomplete is refused, with the way to ask for it."""
    said = muster("events", execution, *options, code=2).stderr
    assert f"{options[0]} cannot go with a recording" in said
    assert f"muster events --execution {execution} {options[0]}" in said


def test_what_is_not_there_cannot_be_recorded(muster: Muster):
    """An execution nobody knows is refused by its id."""
    assert "There is no execution nobody" in muster("events", "nobody", "--json", code=2).stderr


@pytest.mark.timeout(180)  # some fifteen commands, each a process of its own
def test_executions_that_share_a_machine_are_recorded_apart(muster: Muster):
    """Of runs that press each other for room, each has a recording that replays, with a redacted one beside it."""
    muster.write("press.yaml", PRESS.replace("GATE", str(muster.folder / "gate")))
    ids = [f"press-{number}" for number in range(3)]
    runs = [muster.begin("run", "press.yaml", "-i", f"n={each[-1]}", "--id", each) for each in ids]
    for run in runs:
        run.until("execution press-")
    muster.write("gate", "")  # none of them has ended before all are there
    assert [run.end() for run in runs] == [0, 0, 0]
    recorded = {}
    for each in ids:
        recorded[f"{each}.jsonl"] = muster("events", each, "--json").stdout
        recorded[f"{each}-redacted.jsonl"] = muster("events", each, "--json", "--redact").stdout
    for name, text in recorded.items():
        muster.write(name, text)
    found = muster.json_lines("replay", *recorded)
    assert [(each["differences"], each["decisions"] > 10) for each in found] == [([], True)] * len(recorded)
    assert all(
        f'"{other}"' in recorded[f"{each}.jsonl"] for each, other in zip(ids, ids[1:] + ids, strict=False)
    )

    muster("clear", ids[0])
    assert "1 other execution of that time may have been cleared" in muster("events", ids[1]).stderr


PRESS = """\
name: press
inputs: {n: {type: integer}}
steps:
  - {id: a, image: i, command: "until test -e GATE; do sleep 0.05; done; sleep 1"}
  - {id: b, image: i, command: sleep 1, resources: {slots: 2}}
  - id: c
    image: i
    command: "test -e $HOME/flag-$N || { touch $HOME/flag-$N; exit 1; }"
    environment: {N: "${{ inputs.n }}"}
    needs: [a]
    retry: {max_attempts: 2, backoff: {initial: 200ms}}
"""


def test_a_redacted_recording_says_nothing_and_replays(muster: Muster, execution: str):
    """With --redact no value is left, and the decisions are made again from what stands for them."""
    plain = muster("events", execution, "--json").stdout
    assert "hello you" in plain
    redacted = muster("events", execution, "--json", "--redact").stdout
    assert "hello" not in redacted.replace('"name":"hello"', "")
    assert redacted.count("\n") == plain.count("\n")
    path = muster.folder / "redacted.jsonl"
    path.write_text(redacted)
    assert muster.json("replay", str(path))["differences"] == []
    again = muster("events", execution, "--json", "--redact").stdout
    assert again != redacted


def test_a_key_makes_redaction_repeatable(muster: Muster, execution: str):
    """With the same key the same recording comes out the same; a short key is refused."""
    options = ["--json", "--redact", "--redact-key", "chance-enough-for-anybody"]
    assert muster("events", execution, *options).stdout == muster("events", execution, *options).stdout
    said = muster("events", execution, "--redact", "--redact-key", "short", code=2).stderr
    assert "tried out soon" in said


def test_what_is_kept_stays(muster: Muster, execution: str):
    """A kept input is told; one that does not exist, and keeping without redacting, are refused."""
    kept = muster("events", execution, "--json", "--redact", "--keep", "inputs.name").stdout
    assert '"name":"you"' in kept
    assert (
        "There is no inputs.nme to keep"
        in muster("events", execution, "--redact", "--keep", "inputs.nme", code=2).stderr
    )
    assert "--redact" in muster("events", execution, "--keep", "inputs.name", code=2).stderr
    assert "muster events EXECUTION" in muster("events", "--redact", code=2).stderr
