"""Files that are sent, made, handed on, and missed."""

from __future__ import annotations

import asyncio
from typing import Any

import nats

from tests.golden.scenario import prints, scenario, step
from tests.golden.stage import Stage

WORDS = "a few words\n"
STREAM = "OBJ_muster_artifacts"


def upper() -> list[dict[str, Any]]:
    """One step makes a file of another, the next reads it on another machine."""
    return [
        step(
            "upper",
            'tr a-z A-Z < "$TEXT" > "$MUSTER_OUT/upper.txt"',
            environment={"TEXT": "${{ inputs.text }}"},
            outputs={"text": {"type": "file", "path": "upper.txt"}},
            machine="m1",
        ),
        prints(
            "count",
            'wc -c < "$MUSTER_IN/text.txt"',
            inputs={"text": "${{ steps.upper.outputs.text }}"},
            machine="m2",
        ),
    ]


async def ready(stage: Stage) -> Any:
    """A leader, two machines, and a file to be sent."""
    await stage.leader()
    await stage.machine("m1")
    await stage.machine("m2")
    path = stage.folder / "words.txt"
    await asyncio.to_thread(path.write_text, WORDS)
    return path


@scenario
async def files_handed_on(stage: Stage) -> None:
    """A file is sent with the submit, another made of it, read on another machine, and given back."""
    path = await ready(stage)
    outputs = {"text": "${{ steps.upper.outputs.text }}", "size": "${{ steps.upper.outputs.text.size }}"}
    more = {"inputs": {"text": {"type": "file"}}, "outputs": outputs}
    assert await stage.run("hand-1", *upper(), given={"text": path}, **more) == "succeeded"


@scenario
async def files_missed(stage: Stage) -> None:
    """A step makes no file though it said so; another wants one that is not there, a third one that is damaged."""
    await ready(stage)
    made = {"made": {"type": "file", "path": "made.txt"}}
    assert await stage.run("none-1", step("idle", outputs=made)) == "failed"
    assert (
        await stage.run("keep-1", step("make", "echo x > $MUSTER_OUT/made.txt", outputs=made)) == "succeeded"
    )
    found = (await stage.client.step("keep-1", "make")).outputs["made"]
    reads = prints("read", 'cat "$TEXT"', environment={"TEXT": "${{ inputs.text }}"}, machine="m2")
    takes = {"inputs": {"text": {"type": "file"}}}
    gone = found | {"execution": "gone-1"}
    assert await stage.run("gone-2", reads, given={"text": gone}, **takes) == "failed"
    await damage(stage.settings.url)
    assert await stage.run("hurt-1", reads, given={"text": found}, **takes) == "failed"


async def damage(url: str) -> None:
    """Put other bytes where the newest content is."""
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        last = (await stream.stream_info(STREAM)).state.last_seq - 1  # the newest tells of the object
        subject = (await stream.get_msg(STREAM, last)).subject or ""
        await stream.delete_msg(STREAM, last)
        await stream.publish(subject, b"other")
    finally:
        await client.close()
