"""What containers print, as `muster logs` shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.docker.leftovers import GATE, Witness, gate
from tests.acceptance.docker.stack import PATIENCE_S, Stack, shell, until

LINES = 100_000
MEMORY_KB = 200 << 10


@pytest.fixture(scope="module")
def m1(stack: Stack, witness: Witness) -> None:
    stack.agent("m1", "--slots", "4")


def logged(stack: Stack, execution: str, step: str, *texts: str) -> None:
    """Wait until these lines of the step are there, and no others: the last ones may come after the end."""

    def found() -> bool:
        return [line.text for _, _, line in stack.client.logs(execution, step)] == list(texts)

    until(f"{texts} are logged", found)


def test_both_streams_are_shown(stack: Stack, witness: Witness, m1: None, busybox_image: str) -> None:
    """Each line with its stream, of one step or of all; the last one needs no line end."""
    # The two streams are two pipes: only what was heard before the other was written is before it for sure.
    script = f"echo one; {gate('/tmp/1')}; echo two >&2; {gate('/tmp/2')}; printf 'three ü'"
    id_ = stack.submit(shell("talk", busybox_image, script), shell("other", busybox_image, "echo elsewhere"))
    container = witness.running(execution=id_, step="talk")
    logged(stack, id_, "talk", "one")
    witness.open_gate(container, "/tmp/1")
    logged(stack, id_, "talk", "one", "two")
    witness.open_gate(container, "/tmp/2")
    stack.event(id_, "execution.succeeded")
    logged(stack, id_, "talk", "one", "two", "three ü")
    logged(stack, id_, "other", "elsewhere")
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
        rest, errors = following.communicate(timeout=PATIENCE_S)
    assert (rest.splitlines(), errors, following.returncode) == (["talk  last"], "", 0)


def test_a_chatty_container_does_not_hurt(stack: Stack, m1: None, busybox_image: str) -> None:
    """100,000 lines at once: the step succeeds, no line is unaccounted for, and the agent stays small and alive."""
    script = f"i=0; while [ $i -lt 4 ]; do seq {LINES // 4}; i=$((i + 1)); done"
    id_, ran = stack.run(shell("chatty", busybox_image, script), shell("calm", busybox_image, "echo calm"))
    assert ran.code == 0, ran
    kept: list[str] = []
    until("all lines are accounted for", lambda: _kept(stack, id_, kept) == LINES)
    assert kept[-1] == str(LINES // 4)
    logged(stack, id_, "calm", "calm")

    status = Path(f"/proc/{_agent(stack)}/status").read_text().splitlines()
    peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak_kb < MEMORY_KB
    assert not list(stack.client.events(machine="m1", kind="machine.offline"))


def _kept(stack: Stack, execution: str, kept: list[str]) -> int:
    """How many lines are accounted for; ``kept`` are those that are shown."""
    printed = stack.muster("logs", execution, "chatty").out.splitlines()
    kept[:] = [line for line in printed if "lines were dropped here" not in line]
    return len(kept) + sum(int(line.split()[0]) for line in printed if "lines were dropped here" in line)


def _agent(stack: Stack) -> int:
    return stack.agents["m1"].pid
