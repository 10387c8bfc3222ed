"""Definitions of control steps with stand-ins, and what real schedulers and agents recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muster.fixtures import load
from muster.model.log.commands import Resume
from muster.model.proof.redaction import redact
from muster.model.proof.replay import replay
from tests.fixtures.hazards import elect
from tests.fixtures.play import Play
from tests.fixtures.ports import artifact
from tests.unit.model.proof.test_redaction import KEY, secret, text

HISTORIES = sorted((Path(__file__).resolve().parents[3] / "golden" / "histories").glob("*.jsonl"))


@pytest.mark.parametrize("path", HISTORIES, ids=[path.stem for path in HISTORIES])
def test_a_recorded_history_replays_redacted(path: Path):
    """What real schedulers and agents recorded decides itself again, if what its expressions compute with is kept."""
    records = load(path)
    before = len(replay(records).differences)
    found = redact(records, KEY)
    found = redact(records, KEY, {name for remark in found.remarks for name in remark.computed})
    assert found.remarks == []
    assert len(replay(found.records).differences) == before


def constructs() -> dict[str, Any]:
    """A definition with a secret in every place of control steps that can hold one."""
    asked = {"prompt": secret(0), "schema": {"enum": [{"word": secret(1)}], "title": secret(2)}}
    inner = {
        "name": "inner",
        "inputs": {"x": {"default": secret(3)}},
        "steps": [{"id": "i", "log": secret(4)}],
    }
    return {
        "name": "constructs",
        "workflows": {"inner": inner},
        "steps": [
            {"id": "set", "set": {"v": secret(5), "w": {"deep": [secret(6)]}}},
            {"id": "ask", "wait_for_input": asked},
            {
                "id": "each",
                "for_each": {
                    "in": {secret(7): secret(8)},
                    "steps": [{"id": "say", "log": f"${{{{ item.key }}}} {secret(9)}"}],
                },
            },
            {
                "id": "pick",
                "switch": [
                    {"case": f"'{secret(10)}' == ''", "then": [{"id": "no", "log": "x"}]},
                    {"name": "other", "then": [{"id": "yes", "log": secret(11)}]},
                ],
            },
            {
                "id": "sum",
                "map": {
                    "over": [secret(12)],
                    "steps": [{"id": "one", "set": {"a": "${{ item }}"}}],
                    "initial": secret(13),
                    "reduce": "${{ item.result + item.value.a }}",
                },
            },
            {"id": "call", "workflow": "inner", "inputs": {"x": secret(14)}},
            {"chain": [{"id": "late", "sleep_until": "2020-01-01T00:00:00Z", "if": f"'{secret(15)}' != ''"}]},
            {
                "id": "bad",
                "error": secret(16),
                "needs": ["late"],
                "on_failure": [{"id": "tell", "log": "${{ error.message }}"}],
            },
        ],
        "on_failure": "continue",
        "on_finish": [{"id": "bye", "log": secret(17)}],
    }


def test_no_secret_is_left_in_control_steps():
    """Definitions of control steps, what they went through, asked for and were given: only stand-ins are left."""
    play = Play()
    elect(play, "s1")
    play.submit(constructs())
    play.round(Resume(id="r1", execution="x1", step="ask", input={"word": secret(1)}))
    records = play.log
    assert records[-1].event.kind == "execution.failed"
    assert {number for number in range(18) if secret(number).encode() not in text(records)} == set()
    found = redact(records, KEY)
    assert b"S3cret" not in text(found.records)
    assert found.remarks == []
    assert replay(found.records).differences == []


def test_values_of_ports_are_checked_again_in_a_redacted_record():
    """Names of properties stay, and with them what the values have to be; defaults and words do not."""
    person = {"name": {"type": "string", "description": secret(0)}, "city": {"default": secret(1)}}
    people = {"type": "array", "items": {"type": "object", "properties": person}}
    play = Play()
    elect(play, "s1")
    play.submit(
        {
            "name": "ports",
            "inputs": {"people": {**people, "default": [{"name": secret(2)}]}},
            "steps": [{"id": "say", "log": "${{ inputs.people[0].city }}"}],
        }
    )
    found = redact(play.log, KEY)
    assert b"S3cret" not in text(found.records)
    assert b"city" in text(found.records)
    assert found.remarks == []
    assert replay(found.records).differences == []


def test_an_artifact_stays_one_of_its_kind():
    """Its hash, name and size have stand-ins, and it still fits the ports that it fitted."""
    play = Play()
    elect(play, "s1")
    play.connect("m1")
    take = {"id": "a", "image": "b", "inputs": {"x": "${{ inputs.x }}"}, "accepts": {"x": {"type": "audio"}}}
    play.submit({"name": "files", "inputs": {"x": {}}, "steps": [take]}, x=artifact(name=secret(0)))
    found = redact(play.log, KEY)
    assert b"S3cret" not in text(found.records)
    assert b"0f0f0f" not in text(found.records)
    assert b"audio/wav" in text(found.records)
    assert found.remarks == []
    assert replay(found.records).differences == []
