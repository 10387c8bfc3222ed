"""Wrong workflow files: one sentence with file, line and remedy, exit code 2, and nothing has happened."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from tests.acceptance.docker.stack import Stack

HEAD = "name: acceptance\nsteps:\n"
HALF = 1 << 20


class Case(msgspec.Struct, frozen=True):
    """A file, where it is wrong (line and column, 0 for any), and what is said of it."""

    text: bytes
    place: tuple[int, int]
    says: str
    remedy: str


def _file(body: str) -> bytes:
    return (HEAD + body).encode()


CASES = {
    "missing-key": Case(
        _file("  - id: a\n    command: [echo]\n"), (3, 5), "the step a has no image.", "Add image: busybox:1."
    ),
    "missing-steps": Case(b"name: acceptance\n", (1, 1), "the workflow has no steps.", "Add steps:"),
    "cycle": Case(
        _file("  - id: a\n    image: x:1\n    needs: [b]\n  - id: b\n    image: x:1\n    needs: [a]\n"),
        (3, 5),
        "a -> b -> a need each other in a circle.",
        "Remove one of the needs",
    ),
    "two-of-one-id": Case(
        _file("  - id: a\n    image: x:1\n  - id: a\n    image: y:1\n"),
        (5, 5),
        "two steps have the id a; the first is in line 3.",
        "Give each step an id of its own.",
    ),
    "unknown-step": Case(
        _file('  - id: a\n    image: x:1\n    command: [echo, "${{ steps.b.outputs.c }}"]\n'),
        (5, 21),
        "refers to the step b, which does not exist.",
        "Correct the step id",
    ),
    "unknown-input": Case(
        _file('  - id: a\n    image: x:1\n    command: [echo, "${{ inputs.c }}"]\n'),
        (5, 21),
        "refers to the input c, which is not declared.",
        "Declare it under inputs.",
    ),
    "bad-duration": Case(
        _file("  - id: a\n    image: x:1\n    timeouts: {run: 5 parsecs}\n"),
        (5, 16),
        "'5 parsecs' is not a duration.",
        "Write it like 500ms, 10s, 5m or 1h.",
    ),
    "workflow-with-a-dot": Case(
        b"name: my.flow\nsteps:\n  - {id: a, image: x}\n",
        (1, 1),
        "the workflow 'my.flow' is not a legal name.",
        "Use 1 to 63 of a-z",
    ),
    "step-with-a-dot": Case(
        _file("  - id: a.b\n    image: x:1\n"),
        (3, 5),
        "the step id 'a.b' is not a legal name.",
        "Use 1 to 63 of a-z",
    ),
    "misspelt-key": Case(
        _file("  - id: a\n    image: x:1\n    comand: [echo]\n"),
        (5, 5),
        "no key comand.",
        "Did you mean command?",
    ),
    "two-megabytes": Case(
        b"name: acceptance\nsteps: " + b"[" * HALF + b"]" * HALF,
        (1, 1),
        "the file has 20971",
        "Split the workflow",
    ),
    "deep-nesting": Case(
        b"name: acceptance\nsteps: " + b"{a: " * 100_000 + b"}" * 100_000,
        (2, 0),
        "nested more than 64 deep.",
        "Flatten it.",
    ),
    "rubbish": Case(
        random.Random(7).randbytes(4096), (1, 0), "is not UTF-8.", "is this really a workflow file?"
    ),
    "a-program": Case(
        b"\x7fELF\x02\x01\x01" + bytes(64), (1, 0), "control character.", "really a text file?"
    ),
    "code-in-a-tag": Case(
        b"!!python/object/apply:os.system ['true']\n", (1, 1), "is a YAML tag", "Write the value without it"
    ),
}


@pytest.fixture(scope="module")
def m1(stack: Stack) -> None:
    """A machine that would run anything it is given."""
    stack.agent("m1", runtime="process")


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_file_is_refused_with_one_sentence(name: str, stack: Stack, m1: None, tmp_path: Path) -> None:
    """`validate` and `run` say where it is wrong and what to do, once, exit with 2, and nothing is appended."""
    case, file = CASES[name], tmp_path / "wrong.yaml"
    file.write_bytes(case.text)
    before = stack.last_sequence()
    for command in ("validate", "run", "submit"):
        answer = stack.muster(command, file)
        assert (answer.code, answer.out) == (2, ""), answer
        said = answer.err.removeprefix("muster: ")
        line, column = case.place
        assert said.startswith(f"{file}:{line}:{column or ''}")
        assert case.says in said.splitlines()[0]
        assert case.remedy in said
        assert said.count(str(file)) == 1, "it is said once"
        assert len(said) < 600 + len(str(file))
        assert "Traceback" not in said
    assert stack.last_sequence() == before
    assert not list(stack.client.events(kind="execution"))
    assert not list(stack.client.events(kind="command"))


def test_a_file_that_is_not_there_is_named(stack: Stack, m1: None, tmp_path: Path) -> None:
    """A path that leads nowhere is told as that."""
    for command in ("validate", "run"):
        answer = stack.muster(command, tmp_path / "none.yaml")
        assert answer.code == 2
        assert str(tmp_path / "none.yaml") in answer.err
        assert "Traceback" not in answer.err
