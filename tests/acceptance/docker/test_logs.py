"""What containers print, as `muster logs` shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.docker.leftovers import GATE, Witness
from tests.acceptance.docker.stack import Stack, shell

LINES = 100_000
MEMORY_KB = 200 << 10


@pytest.fixture(scope="module")
def m1(stack: Stack, witness: Witness) -> None:
    stack.agent("m1", "--slots", "4")


def test_both_streams_are_shown(stack: Stack, m1: None, busybox_image: str) -> None:
    """Each line with its stream, of one step or of all; the last one needs no line end."""
    talk = shell("talk", busybox_image, "echo one; sleep 0.3; echo two >&2; sleep 0.3; printf 'three ü'")
    id_, ran = stack.run(talk, shell("other", busybox_image, "echo elsewhere"))
    assert ran.code == 0, ran
    assert stack.muster("logs", id_, "talk").out.splitlines() == ["one", "two", "three ü"]
    assert sorted(stack.muster("logs", id_).out.splitlines()) == sorted(
        ["talk  one", "talk  two", "talk  three ü", "other  elsewhere"]
    )
    lines = [json.loads(line) for line in stack.muster("logs", id_, "talk", "--json").out.splitlines()]
    assert [(line["stream"], line["text"]) for line in lines] == [
        ("stdout", "one"),
        ("stderr", "two"),
        ("stdout", "three ü"),
    ]


def test_follow_shows_lines_as_they_come_and_ends_with_the_execution(
    stack: Stack, witness: Witness, m1: None, busybox_image: str
) -> None:
    """A line is there while its container still runs; after the last one `muster logs -f` ends by itself."""
    id_ = stack.submit(shell("talk", busybox_image, f"echo first; echo error >&2; {GATE}; echo last"))
    container = witness.running(execution=id_)
    with stack.begin("logs", id_, "-f") as following:
        assert following.stdout is not None
        early = sorted(following.stdout.readline().rstrip() for _ in range(2))
        assert early == ["talk  error", "talk  first"]
        assert stack.show(id_)["status"] == "running"
        witness.open_gate(container)
        rest, errors = following.communicate(timeout=30)
    assert (rest.splitlines(), errors, following.returncode) == (["talk  last"], "", 0)


def test_a_chatty_container_does_not_hurt(stack: Stack, m1: None, busybox_image: str) -> None:
    """100,000 lines at once: the step succeeds, no line is unaccounted for, and the agent stays small and alive."""
    script = f"i=0; while [ $i -lt 4 ]; do seq {LINES // 4}; i=$((i + 1)); done"
    id_, ran = stack.run(shell("chatty", busybox_image, script), shell("calm", busybox_image, "echo calm"))
    assert ran.code == 0, ran
    printed = stack.muster("logs", id_, "chatty").out.splitlines()
    dropped = sum(int(line.split()[0]) for line in printed if "lines were dropped here" in line)
    kept = [line for line in printed if "lines were dropped here" not in line]
    assert len(kept) + dropped == LINES
    assert kept[-1] == str(LINES // 4)
    assert stack.muster("logs", id_, "calm").out == "calm\n"

    status = Path(f"/proc/{_agent(stack)}/status").read_text().splitlines()
    peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak_kb < MEMORY_KB
    assert not list(stack.client.events(machine="m1", kind="machine.offline"))


def _agent(stack: Stack) -> int:
    return stack.agents["m1"].pid
