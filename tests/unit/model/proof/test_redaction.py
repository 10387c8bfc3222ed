"""Redacted fixtures: no value is left in them, all structure is, and they replay as the originals do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.definition.validation import from_object
from muster.model.errors import ExecutionError, FunctionExecutionError, ImagePullError, InvalidArgumentError
from muster.model.log import catalogue as c
from muster.model.log.body import AttemptRef
from muster.model.log.commands import Cancel, Submit
from muster.model.log.envelope import Event, Recorded, decode, encode
from muster.model.log.facts import AGENT_ENDS
from muster.model.policy import Policy
from muster.model.proof import fixture
from muster.model.proof.recording import record
from muster.model.proof.redaction import Redacted, redact
from muster.model.proof.replay import replay
from tests.fixtures.drawn import workflows
from tests.fixtures.hazards import elect
from tests.fixtures.play import Play
from tests.fixtures.tampered import changed
from tests.unit.model.proof.test_recording_properties import busy

KEY = b"a key"


def text(records: list[Recorded]) -> bytes:
    """The fixture."""
    return b"\n".join(fixture.line(recorded) for recorded in records)


def secret(number: int) -> str:
    """A value that is nowhere else."""
    return f"S3cret-{number:03d}x"


SECRETS = [secret(number) for number in range(40)]


def confided(outputs: dict[str, Any]) -> dict[str, Any]:
    """A definition with a secret in every place that can hold one."""
    return {
        "name": "confided",
        "description": secret(0),
        "inputs": {
            "token": {"type": "string", "description": secret(1), "default": secret(2)},
            "deep": {"type": "object"},
            "count": {"type": "integer"},
        },
        "steps": [
            {
                "id": "a",
                "image": f"registry.{secret(3).lower()}.example/tool:1",
                "description": secret(4),
                "command": ["x", f"--p={secret(5)}", "${{ inputs.token }}", f"x {secret(6)} ${{{{ inputs.count }}}}"],
                "entrypoint": f"run '{secret(7)} two' \"{secret(8)}\"",
                "environment": {"TOKEN": secret(9), "PORT": 987654, "BOTH": "${{ inputs.token }}", "NONE": None},
                "working_dir": f"/srv/{secret(10).lower()}",
                "user": "user98765",
                "inputs": {"nested": {secret(11): [secret(12), "${{ inputs.deep.known }}"]}},
                "outputs": {"y": {"type": "any", "description": secret(13), "default": secret(14)}},
                "retry": {"max_attempts": 2, "backoff": {"initial": "1s"}},
            },
            {
                "id": "b", "image": "b:1", "command": f"echo {secret(15)}", "needs": ["a"],
                "machine": {"labels": {"zone": "z1"}},
            },
        ],
        "outputs": outputs,
    }  # fmt: skip


def telling(outputs: dict[str, Any] | None = None) -> Play:
    """A play in which secrets are told wherever people, programs and machines can tell some."""
    play = Play()
    elect(play, "s1")
    play.connect("m1", hostname=secret(16), boot_id=secret(17), labels={"zone": "z1"})
    given = {"all": "${{ steps.a.outputs.y }}", "word": f"{secret(18)} ${{{{ inputs.token }}}}"}
    asked = Submit(
        id="command-1",
        execution="x1",
        workflow=confided(outputs or given),
        inputs={"deep": {"known": secret(19), secret(20): 31415926}, "count": 27182818},
        labels={"team": secret(21)},
        metadata={secret(22): [secret(23), 16180339, 2.7182818]},
    )
    play.round(asked)
    (ref,) = play.refs()
    machine = "m1"
    play.fact(machine, c.AttemptAccepted(), ref)
    play.fact(machine, c.ImagePulling(image=f"{secret(24)}:1"), ref)
    play.fact(machine, c.ImagePulled(image=f"{secret(24)}:1", digest="sha256:feedfacecafe", size=4096), ref)
    play.fact(machine, c.AttemptStarted(), ref)
    play.fact(machine, c.AttemptProgress(phase="run", current=1.0, message=secret(25)), ref)
    cause = ImagePullError(f"pulling {secret(26)}", image=secret(27), remedy=secret(28))
    error = FunctionExecutionError(secret(29), cause=cause, traceback=f"line\n  {secret(30)}\n", exit_code=3)
    play.fail(ref, error, exit_code=3)
    play.round()
    play.until_due()
    (ref,) = play.refs()
    play.begin(ref)
    play.finish(ref, y={"name": secret(31), secret(32): [secret(33), 14142135]})
    play.round()
    return play


def ended(play: Play) -> list[Recorded]:
    """The recording of the play when all of it went well."""
    play.run_all()
    return record(play.log, "x1")


def failed(play: Play) -> list[Recorded]:
    """The recording of the play when its second step failed."""
    (ref,) = play.refs()
    play.begin(ref)
    play.fail(ref, ExecutionError(secret(34)), retriable=False)
    play.round()
    return record(play.log, "x1")


def cancelled(play: Play) -> list[Recorded]:
    """The recording of the play when somebody cancelled it and said why."""
    play.round(Cancel(id="command-9", execution="x1", reason=secret(35)))
    (ref,) = play.refs()
    play.stopped(ref, AGENT_ENDS)
    play.fact("m1", c.MachineDisconnected(reason=secret(36)))
    play.round()
    return record(play.log, "x1")


ENDS = pytest.mark.parametrize("end", [ended, failed, cancelled])


@ENDS
def test_no_secret_is_left_anywhere(end: Any):
    """Not in a definition, an input, an output, an error, a message, a label, a fact of a machine or a reason."""
    records = end(telling())
    before, after = text(records), text(redact(records, KEY).records)
    there = [each for each in SECRETS if each.encode() in before or each.lower().encode() in before]
    assert len(there) >= 33
    assert [each for each in SECRETS if each.encode() in after or each.lower().encode() in after] == []
    for number in (b"31415926", b"27182818", b"16180339", b"2.7182818", b"14142135", b"987654", b"98765"):
        assert number in before
        assert number not in after
    assert b"feedfacecafe" not in after


@ENDS
def test_a_redacted_fixture_replays_to_zero_differences(end: Any):
    """The decisions follow from the redacted facts, outputs that expressions compute included."""
    found = redact(end(telling()), KEY)
    assert found.remarks == []
    assert replay(found.records).differences == []
    assert replay(fixture.parse(text(found.records).splitlines(), "f")).differences == []


@ENDS
def test_structure_stays(end: Any):
    """Places, ids, kinds, writers, times, steps, machines, transitions and error codes are what they were."""
    records = end(telling())
    for then, now in zip(records, redact(records, KEY).records, strict=True):
        assert then.sequence == now.sequence
        for name in set(Event.__struct_fields__) - {"data", "line"}:
            assert getattr(then.event, name) == getattr(now.event, name)
        assert type(then.event.data) is type(now.event.data)
        for name in ("transition", "machine", "session", "due_at", "budget", "used", "exit_code", "phase"):
            assert getattr(then.event.data, name, None) == getattr(now.event.data, name, None)
        error = getattr(then.event.data, "error", None)
        if error is not None:
            assert (error.code, error.step) == (now.event.data.error.code, now.event.data.error.step)
            assert error.details.get("exit_code") == now.event.data.error.details.get("exit_code")


def test_the_definition_is_as_good_as_before():
    """A redacted workflow is valid, has the same steps, and its expressions ask for the same things."""
    found = redact(ended(telling()), KEY).records
    workflow = next(r.event.data.workflow for r in found if r.event.kind == "execution.queued")
    again = from_object(msgspec.to_builtins(workflow))
    assert [step.id for step in again.steps] == ["a", "b"]
    assert isinstance(again.steps[0].command, list)
    assert again.steps[0].command[2] == "${{ inputs.token }}"
    assert again.steps[0].environment["BOTH"] == "${{ inputs.token }}"
    assert again.steps[0].image.endswith("/" + again.steps[0].image.rpartition("/")[2])
    assert list(again.inputs) == ["token", "deep", "count"]


def test_a_value_is_the_same_wherever_it_stands():
    """An output is the same in the fact, in the decision and in the result; an input the same as its default."""
    found = redact(ended(telling()), KEY).records
    data = {r.event.kind: r.event.data for r in found if r.event.step in {None, "a"}}
    assert data["attempt.finished"].outputs == data["step.succeeded"].outputs
    assert data["execution.succeeded"].outputs["all"] == data["attempt.finished"].outputs["y"]
    queued = data["execution.queued"]
    assert queued.inputs["token"] == queued.workflow.inputs["token"].default
    assert data["execution.succeeded"].outputs["word"].endswith(queued.inputs["token"])


def test_the_key_decides():
    """The same key gives the same fixture, another gives another."""
    records = ended(telling())
    assert text(redact(records, KEY).records) == text(redact(records, KEY).records)
    assert text(redact(records, b"other").records) != text(redact(records, KEY).records)


def test_other_executions_are_redacted_too():
    """What holds room for somebody else may say as little as one's own."""
    play = Play()
    play.connect("m1", slots=1)
    play.submit({"name": "n", "steps": [{"id": "a", "image": "i", "command": ["c"]}]}, "x0")
    play.submit({"name": "n", "steps": [{"id": "a", "image": "i", "command": ["c"]}]}, "x1")
    (ref,) = play.refs()
    play.begin(ref)
    play.finish(ref, **{secret(1): secret(2)})
    play.round()
    play.run_all()
    records = record(play.log, "x1")
    found = redact(records, KEY)
    assert secret(2).encode() in text(records)
    assert b"S3cret" not in text(found.records)
    assert replay(found.records).differences == []


def test_outputs_that_are_computed_are_computed_again():
    """A concatenation and a size give what they give with stand-ins, and the fixture still replays."""
    outputs = {"joined": "${{ inputs.token + '/' + 'tail' }}", "long": "${{ size(inputs.token) }}"}
    records = ended(telling(outputs))
    found = redact(records, KEY)
    data = next(r.event.data for r in found.records if r.event.kind == "execution.succeeded")
    token = next(r.event.data.inputs["token"] for r in found.records if r.event.kind == "execution.queued")
    assert data.outputs["joined"].startswith(token + "/")
    assert data.outputs["long"] == len(token) == len(secret(2))
    assert found.remarks == []
    assert replay(found.records).differences == []


def test_an_outcome_that_hangs_on_a_value_is_remarked_on():
    """Where an expression computes with a value and fails without it, it is said what to keep; kept, all is well."""
    outputs = {"n": "${{ [10, 20][inputs.count - 27182818] }}"}
    records = ended(telling(outputs))
    assert records[-1].event.kind == "execution.succeeded"
    found = redact(records, KEY)
    (remark,) = found.remarks
    assert (remark.then, remark.now) == ("execution.succeeded", "execution.failed")
    assert remark.computed == ("inputs.count",)
    assert "--keep inputs.count" in str(remark)
    assert replay(found.records).differences != []
    kept = redact(records, KEY, ["inputs.count"])
    assert kept.remarks == []
    assert replay(kept.records).differences == []
    assert b"27182818" in text(kept.records)


def test_what_is_kept_stays_and_nothing_else():
    """A kept input and a kept output are told, and compared by expressions, as they are."""
    outputs = {"same": f"${{{{ inputs.token == '{secret(2)}' }}}}"}
    found = redact(ended(telling(outputs)), KEY, ["inputs.token", "steps.a.outputs.y"]).records
    data = {r.event.kind: r.event.data for r in found if r.event.step in {None, "a"}}
    assert data["execution.queued"].inputs["token"] == secret(2)
    assert data["step.succeeded"].outputs["y"]["name"] == secret(31)
    assert data["execution.succeeded"].outputs == {"same": True}
    left = [each for each in SECRETS if each.encode() in text(found)]
    assert left == [secret(2), secret(31), secret(32), secret(33)]


def test_a_difference_of_the_original_is_not_redacted_away():
    """A decision that is wrong in the original is wrong in what is shared, at the same place."""
    records = changed(ended(telling()), "step.scheduled", machine="m7")
    (then,) = replay(records).differences
    (now,) = replay(redact(records, KEY).records).differences
    assert (then.sequence, then.now.data) == (now.sequence, now.now.data)


def test_what_this_release_does_not_know_counts_as_a_value():
    """A kind, a field and an attribute of a newer release, and a line that is no event, are replaced as a whole."""
    known = encode(ended(telling())[1].event)
    newer = known.replace(b'"data":{', b'"data":{"newer":"S3cret-field",').replace(
        b'{"spec', b'{"later":"S3cret-attribute","spec'
    )
    kind = known.replace(b"machine.connected.v1", b"machine.dreamt.v1").replace(
        b'"data":{', b'"data":{"x":"S3cret-kind",'
    )
    odd = encode(
        Event(
            id="unreadable:7",
            writer="m1",
            time=ended(telling())[0].event.time,
            data=c.Unknown("unreadable.event", 0, msgspec.Raw(b'"S3cret-line"')),
        )
    )
    records = [Recorded(place, decode(line)) for place, line in enumerate((newer, kind, odd), 1)]
    assert text(records).count(b"S3cret-") >= 4
    found = redact(records, KEY).records
    assert b"S3cret" not in text(found)
    assert [recorded.event.kind for recorded in found][1:] == ["machine.dreamt", "unreadable.event"]


@settings(max_examples=80, deadline=None)
@given(st.lists(workflows(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_whatever_happened_replays_redacted(definitions: list[dict[str, Any]], seed: int) -> None:
    """Recordings of plays with failures, losses and cancels replay to zero differences when redacted."""
    log = busy(definitions, seed).log
    for number in range(len(definitions)):
        found: Redacted = redact(record(log, f"x{number}"), KEY)
        assert found.remarks == []
        assert replay(found.records).differences == []


def test_a_long_error_is_cut_as_it_would_be():
    """An error so long that decisions only tell its beginning is cut at the same place when redacted."""
    play = Play(Policy())
    play.connect("m1")
    play.submit(
        {"name": "n", "steps": [{"id": "a", "image": "i", "command": ["c"], "retry": {"max_attempts": 2}}]}
    )
    (ref,) = play.refs()
    play.begin(ref)
    play.fail(ref, ExecutionError("S3cret " * 20_000))
    play.round()
    play.until_due()
    play.begin(AttemptRef("x1", "a", 2))
    play.fail(AttemptRef("x1", "a", 2), ExecutionError("S3cret again"))
    play.round()
    records = record(play.log, "x1")
    assert records[-1].event.data.error.code == "retriable"
    found = redact(records, KEY)
    assert b"S3cret" not in text(found.records)
    assert found.remarks == []
    assert replay(found.records).differences == []
    lengths = [[len(encode(r.event)) for r in each] for each in (records, found.records)]
    assert max(abs(then - now) for then, now in zip(*lengths, strict=True)) < 200


def test_keeping_what_is_not_there_is_refused():
    """A misspelt name would be redacted in silence: it is refused, and the names there are are told."""
    with pytest.raises(InvalidArgumentError, match=r"no inputs.tokn to keep.*inputs.token"):
        redact(ended(telling()), KEY, ["inputs.tokn"])


def test_what_only_looks_like_an_expression_is_text():
    """A description may hold an opening without an end: it is a value like any other."""
    definition = confided({"all": "${{ steps.a.outputs.y }}"})
    definition["description"] = "S3cret, and how to write ${{ in it"
    play = Play()
    play.connect("m1")
    play.round(Submit(id="c", execution="x1", workflow=definition, inputs={"deep": {"known": 1}, "count": 2}))
    found = redact(record(play.log, "x1"), KEY)
    assert b"S3cret" not in text(found.records)
    assert replay(found.records).differences == []


def test_what_is_loaded_is_redacted_and_still_decides():
    """Images and params have stand-ins, functions and containers stay, and a call goes where it went."""
    play, image = Play(), f"registry.example/{secret(1).lower()}:1"
    elect(play, "s1")
    known = c.LoadedFunction(function="app:f", image=image, container="c0")
    for name in ("m1", "m2"):
        play.connect(name, functions=[known] if name == "m2" else [])
    call = {"image": image, "function": "app:f", "params": {"key": secret(2)}}
    steps = [
        {"id": "a", **call, "isolation": "execution"},
        {"id": "b", **call, "needs": ["a"]},
        {"id": "c", **call, "needs": ["b"], "machine": "m1"},
    ]
    play.submit({"name": "w", "steps": steps})
    (ref,) = play.refs()
    loaded = c.FunctionLoaded(function="app:f", image=image, container="c1", isolation="execution")
    play.fact(play.orders[ref][0], loaded, ref)
    play.run_all()
    play.submit({"name": "w", "steps": steps}, "x2")
    play.run_all()
    play.fact("m2", c.FunctionUnloaded(function="app:f", image=image, container="c0"))
    machines = [event.data.machine for event in play.events("step.scheduled")]
    assert machines == ["m1", "m2", "m1"] * 2
    found = redact(play.log, KEY)
    assert found.remarks == []
    assert replay(found.records).differences == []
    after = text(found.records)
    assert secret(1).lower().encode() not in after
    assert secret(2).encode() not in after
    called = [r.event.data.function for r in found.records if r.event.kind == "step.scheduled"]
    assert called[0] != f"{image} app:f x1"
    assert [each.split()[1:] for each in called[:2]] == [["app:f", "x1"], ["app:f"]]
    assert [r.event.data.container for r in found.records if r.event.kind.startswith("function.")] == [
        "c1",
        "c0",
    ]
