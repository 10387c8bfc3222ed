"""Files between containers on two machines, streamed through the agents, and an agent killed while it stores one."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import MUSTER, Part, Stack, kind, until
from tests.fixtures.process import Server

SIZE = 20 << 20
GROWTH_KB = 14 << 10
"""Beside what an agent needs anyway: less than the file, which so cannot have been in memory as a whole."""
MAKE = "head -c {size} /dev/urandom > /muster/out/made.bin; sha256sum < /muster/out/made.bin | cut -c 1-64"
READ = 'cmp "$1" /muster/in/made.bin && sha256sum < /muster/in/made.bin | cut -c 1-64'


@pytest.fixture(scope="module")
def machines(stack: Stack, witness: Witness) -> tuple[Part, Part]:
    return stack.agent("north", "--slots", "2"), stack.agent("south", "--slots", "2")


def steps(image: str, size: int, maker: str, reader: str) -> list[dict[str, Any]]:
    """One that makes a file, one that reads it elsewhere; both say what is in it."""
    return [
        {
            "id": "make",
            "image": image,
            "machine": maker,
            "read_only": True,
            "user": "1000:1000",
            "command": ["sh", "-ec", MAKE.format(size=size)],
            "outputs": {
                "file": {"type": "file", "path": "made.bin"},
                "sum": {"type": "string", "source": "stdout"},
            },
        },
        {
            "id": "read",
            "image": image,
            "machine": reader,
            "read_only": True,
            "user": "1000:1000",
            "inputs": {"made": "${{ steps.make.outputs.file }}"},
            "command": ["sh", "-ec", READ, "sh", "${{ steps.make.outputs.file }}"],
            "outputs": {"sum": {"type": "string", "source": "stdout"}},
        },
    ]


def peak_kb(server: Server) -> int:
    """The most memory it ever had in use."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())
    assert found is not None
    return int(found[1])


def handed(stack: Stack, execution: str) -> str:
    """What was made is what was read, and what the command line fetches."""
    done = {event["step"]: event["data"]["outputs"] for event in stack.events(execution, "step.succeeded")}
    assert done["make"]["sum"] == done["read"]["sum"]
    answer = stack.muster("artifacts", "get", execution, "make.file", "-o", "fetched.bin")
    assert answer.code == 0, answer
    assert sha256((stack.folder / "fetched.bin").read_bytes()).hexdigest() == done["make"]["sum"]
    return str(done["make"]["sum"])


def test_a_file_from_machine_to_machine(
    stack: Stack, witness: Witness, machines: tuple[Part, Part], busybox_image: str
) -> None:
    """20 MB go from a container on one machine to one on another, unchanged, in flat memory of both agents."""
    warm, answer = stack.run(*steps(busybox_image, 1000, "north", "south"))
    assert answer.code == 0, answer
    handed(stack, warm)
    before = [peak_kb(machine) for machine in machines]
    execution, answer = stack.run(*steps(busybox_image, SIZE, "north", "south"))
    assert answer.code == 0, answer
    handed(stack, execution)
    grown = [peak_kb(machine) - known for machine, known in zip(machines, before, strict=True)]
    assert max(grown) < GROWTH_KB, grown
    witness.nothing_left()


def test_killed_while_it_stores(
    stack: Stack, witness: Witness, machines: tuple[Part, Part], busybox_image: str
) -> None:
    """An agent killed with -9 in mid-upload finds its container again and goes on: it is run once, and stored once."""
    agent = ["agent", "--name", "east", "--slots", "2"]
    halting = stack._start(
        "east", "agent east:", ["env", "MUSTER_FAULT=agent.upload.piece:3", *MUSTER, *agent]
    )
    execution = stack.submit(*steps(busybox_image, 6 << 20, "east", "south"))
    stack.event(execution, "container.exited")
    until("the agent halts", lambda: halted(halting.pid))
    halting.kill()
    stack.agent("east", "--slots", "2")
    stack.event(execution, "execution.succeeded")
    handed(stack, execution)
    ends = ("attempt.finished", "attempt.failed", "step.succeeded", "step.failed")
    assert [kind(event) for event in stack.events(execution, *ends)] == [
        "attempt.finished",
        "step.succeeded",
    ] * 2
    assert len(witness.when("create", execution=execution)) == 2
    witness.nothing_left()


def halted(pid: int) -> bool:
    """Whether any thread of it was stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
