"""What steps hand on, in both runtimes: by the file $MUSTER_OUTPUT and by what they print."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack

MACHINES = {"docker": "north", "process": "bare"}
WORDS = 'echo \'{"count": 3, "words": ["a", "b", "ü"], "nested": {"deep": [1, 2.5, null, true]}}\' > "$MUSTER_OUTPUT"'


@pytest.fixture(scope="module")
def machines(stack: Stack, witness: Witness) -> None:
    stack.agent("north", "--slots", "4")
    stack.agent("bare", "--slots", "4", runtime="process")


def steps(image: str, machine: str) -> list[dict[str, Any]]:
    """Two that give, one that takes both and gives again."""
    common: dict[str, Any] = {"image": image, "machine": machine}
    return [
        common
        | {
            "id": "file",
            "command": ["sh", "-c", WORDS],
            "outputs": {
                "count": {"type": "integer"},
                "words": {"type": "array"},
                "nested": {"type": "object"},
                "absent": {"type": "string", "default": "a default"},
            },
        },
        common
        | {
            "id": "printed",
            "command": ["sh", "-c", "echo noise >&2; echo '  two words '"],
            "outputs": {"line": {"type": "string", "source": "stdout"}},
        },
        common
        | {
            "id": "number",
            "command": ["sh", "-c", "echo 42"],
            "outputs": {"number": {"type": "integer", "source": "stdout"}},
        },
        common
        | {
            "id": "taker",
            "inputs": {
                "words": "${{ steps.file.outputs.words }}",
                "sum": "${{ steps.file.outputs.count + steps.number.outputs.number }}",
            },
            "environment": {"LINE": "${{ steps.printed.outputs.line }}"},
            "command": 'echo "{\\"given\\": $(cat "$MUSTER_INPUT"), \\"line\\": \\"$LINE\\"}" > "$MUSTER_OUTPUT"',
            "outputs": {"given": {"type": "object"}, "line": {"type": "string"}},
        },
    ]


@pytest.mark.parametrize("runtime", MACHINES)
def test_outputs_travel_by_file_and_by_stdout(
    stack: Stack, machines: None, busybox_image: str, runtime: str
) -> None:
    """Values keep their types from step to step and to the workflow's outputs, in a container and in a process."""
    outputs = {
        "given": "${{ steps.taker.outputs.given }}",
        "line": "${{ steps.taker.outputs.line }}",
        "nested": "${{ steps.file.outputs.nested }}",
        "absent": "${{ steps.file.outputs.absent }}",
        "number": "${{ steps.number.outputs.number }}",
    }
    id_, ran = stack.run(*steps(busybox_image, MACHINES[runtime]), outputs=outputs)
    assert ran.code == 0, ran
    shown = stack.show(id_)
    assert shown["outputs"] == {
        "given": {"words": ["a", "b", "ü"], "sum": 45},
        "line": "  two words ",
        "nested": {"deep": [1, 2.5, None, True]},
        "absent": "a default",
        "number": 42,
    }
    assert {step["machine"] for step in shown["steps"]} == {MACHINES[runtime]}
    assert "number: 42" in ran.out


@pytest.mark.parametrize("runtime", MACHINES)
def test_a_step_without_outputs_needs_no_file(
    stack: Stack, machines: None, witness: Witness, busybox_image: str, runtime: str
) -> None:
    """What declares nothing hands on nothing, and its container gets no volume."""
    volumes = len(witness.volumes)
    step = {"id": "plain", "image": busybox_image, "machine": MACHINES[runtime], "command": ["true"]}
    id_, ran = stack.run(step)
    assert ran.code == 0, ran
    assert not stack.event(id_, "attempt.finished")["data"].get("outputs")
    assert len(witness.volumes) == volumes


def test_outputs_of_a_read_only_container_of_another_user(
    stack: Stack, machines: None, witness: Witness, busybox_image: str
) -> None:
    """The file can be written with a read-only root and by a user who is not root; the volume goes with it."""
    step = {
        "id": "strict",
        "image": busybox_image,
        "machine": "north",
        "user": "65534:65534",
        "read_only": True,
        "command": ["sh", "-c", 'echo "{\\"uid\\": $(id -u)}" > "$MUSTER_OUTPUT"; ! touch /here 2>/dev/null'],
        "outputs": {"uid": {"type": "integer"}},
    }
    id_, ran = stack.run(step)
    assert ran.code == 0, ran
    assert stack.event(id_, "step.succeeded")["data"]["outputs"] == {"uid": 65534}
    assert witness.volumes, "there was a volume to leave behind"
    witness.nothing_left()


def test_a_process_finds_the_interpreter_it_names(stack: Stack, machines: None) -> None:
    """The process runtime runs the programs of its machine."""
    program = "import json, os; json.dump({'ok': True}, open(os.environ['MUSTER_OUTPUT'], 'w'))"
    step = {
        "id": "python",
        "image": "unused:1",
        "machine": "bare",
        "command": [sys.executable, "-c", program],
        "outputs": {"ok": {"type": "boolean"}},
    }
    id_, ran = stack.run(step)
    assert ran.code == 0, ran
    assert stack.event(id_, "step.succeeded")["data"]["outputs"] == {"ok": True}
