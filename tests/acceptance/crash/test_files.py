"""Files between two agents: streamed, checked, and stored once whatever is killed or away meanwhile."""

from __future__ import annotations

import asyncio
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import nats
import pytest

from muster.artifacts.store import PIECE_BYTES
from muster.broker.nats.artifacts import STREAM
from tests.fixtures.broker import Broker
from tests.fixtures.processes import Installation, Program

SIZE = 64 << 20
GROWTH_KB = 32 << 10
"""An agent that moves ``SIZE`` needs no more than this beside what it needs anyway: half of it."""
MAKE = "head -c {size} /dev/urandom > /muster/out/made.bin; sha256sum < /muster/out/made.bin | cut -c 1-64"
READ = "sha256sum < /muster/in/made.bin | cut -c 1-64"

pytestmark = [pytest.mark.slow]


def handing(size: int, **more: Any) -> dict[str, Any]:
    """A file goes from the machine m1 to the machine m2; both say what is in it."""
    said = {"sum": {"type": "string", "source": "stdout"}}
    return {
        "name": "handing",
        "steps": [
            {
                "id": "make",
                "image": "none",
                "machine": "m1",
                "command": MAKE.format(size=size),
                "outputs": said | {"file": {"type": "file", "path": "made.bin"}},
                **more,
            },
            {
                "id": "read",
                "image": "none",
                "machine": "m2",
                "inputs": {"made": "${{ steps.make.outputs.file }}"},
                "command": READ,
                "outputs": said,
            },
        ],
        "outputs": {
            "made": "${{ steps.make.outputs.sum }}",
            "read": "${{ steps.read.outputs.sum }}",
            "file": "${{ steps.make.outputs.file }}",
        },
    }


async def started(site: Installation, *, fault: str = "", **options: Any) -> tuple[Program, Program]:
    one, two = site.agent("m1", **options), site.agent("m2", **options)
    site.scheduler().launch()
    one.launch(fault=fault)
    two.launch()
    await site.log.until("machine.connected", count=2)
    return one, two


def peak_kb(program: Program) -> int:
    """The most memory it ever had in use."""
    text = Path(f"/proc/{program.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", text)
    assert found is not None
    return int(found[1])


async def handed(site: Installation, execution: str) -> dict[str, Any]:
    """The outputs, once it has ended: what was made is what was read and what is in the store."""
    assert await site.log.ended(execution) == ["succeeded"]
    outputs = await site.client.outputs(execution)
    assert outputs["made"] == outputs["read"]
    stored = sha256()
    async for piece in site.client.artifact(outputs["file"]):
        stored.update(piece)
    assert stored.hexdigest() == outputs["made"] == outputs["file"]["$artifact"].removeprefix("sha256:")
    site.log.each_step_once(execution)
    return outputs


@pytest.mark.timeout(120)
async def test_a_file_from_agent_to_agent(site: Installation) -> None:
    """A file made on one machine is read on another, the same byte for byte, in flat memory of both agents."""
    agents = await started(site)
    warm = await site.client.submit(handing(1000))
    await handed(site, warm)
    before = [peak_kb(agent) for agent in agents]
    await handed(site, await site.client.submit(handing(SIZE)))
    grown = [peak_kb(agent) - known for agent, known in zip(agents, before, strict=True)]
    assert max(grown) < GROWTH_KB, grown


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "fault", ["agent.upload.before", "agent.upload.piece:1", "agent.upload.piece:3", "agent.upload.after"]
)
async def test_killed_while_it_stores(site: Installation, fault: str) -> None:
    """An agent that is killed with -9 before, in the middle of or behind an upload: one outcome, one whole file."""
    one, _ = await started(site, fault=fault)
    execution = await site.client.submit(handing(4 * PIECE_BYTES))
    await one.halted()
    assert not site.log.of("attempt.finished", execution=execution)
    one.kill()
    one.launch()
    outputs = await handed(site, execution)
    assert outputs["file"]["size"] == 4 * PIECE_BYTES
    assert len(site.log.of("step.succeeded", execution=execution)) == 2


@pytest.mark.timeout(120)
async def test_the_broker_is_away_in_the_middle_of_an_upload(site: Installation, broker: Broker) -> None:
    """An upload that the broker's end interrupts goes on when it is back; nothing is run twice."""
    one, _ = await started(site, fault="agent.upload.piece:3")
    execution = await site.client.submit(handing(8 * PIECE_BYTES))
    await one.halted()
    await asyncio.to_thread(broker.kill)
    one.unpause()
    await one.says("a file waits for the store")
    await asyncio.to_thread(broker.start)
    await handed(site, execution)
    assert len(site.log.of("step.scheduled", execution=execution)) == 2


@pytest.mark.timeout(120)
async def test_a_damaged_file_is_never_used(site: Installation, broker: Broker) -> None:
    """Where the store gives other bytes than were put, the step that wants them fails and says so."""
    _, two = await started(site)
    two.pause()
    execution = await site.client.submit(handing(3 * PIECE_BYTES))
    await site.log.until("step.succeeded", execution=execution)
    client = await nats.connect(broker.url)
    try:
        stream = client.jetstream()
        last = (await stream.stream_info(STREAM)).state.last_seq - 1
        subject = (await stream.get_msg(STREAM, last)).subject or ""
        await stream.delete_msg(STREAM, last)
        await stream.publish(subject, b"other")
    finally:
        await client.close()
    two.unpause()
    assert await site.log.ended(execution) == ["failed"]
    step = await site.client.step(execution, "read")
    assert step.error is not None
    assert step.error.name == "ArtifactDamagedError"
    assert step.error.phase == "pull"
    assert not site.log.of("attempt.started", execution=execution, step="read")
