"""Files into attempts and out of them, the same in a container and in a process."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muster.artifacts.content import FileContent, described
from muster.model.definition.workflow import Output
from muster.model.plan import artifacts
from muster.model.plan.artifacts import Artifact
from tests.fixtures.engine import BUSYBOX
from tests.unit.agents.scene import Scene, order


@pytest.fixture(params=["processes", pytest.param("containers", marks=pytest.mark.docker)])
def place(request: pytest.FixtureRequest) -> Scene:
    """An agent with each runtime."""
    scene: Scene = request.getfixturevalue(request.param)
    return scene


def script(text: str, files: dict[str, Artifact] | None = None, **rest: Any):
    made = order(image=BUSYBOX, command=["/bin/sh", "-ec", text], **rest)
    return msgspec.structs.replace(made, files=files or {})


async def given(scene: Scene, tmp_path: Path, data: bytes, name: str) -> Artifact:
    """A content that is in the store already."""
    path = tmp_path / "given"
    path.write_bytes(data)
    content = await FileContent.measure(path, 1 << 30)
    await scene.broker.artifacts.put("e0", content)
    return described(name, content.digest, content.size, "e0")


async def stored(scene: Scene, value: Any) -> bytes:
    found = artifacts.of(value)
    assert found is not None
    return b"".join([piece async for piece in scene.broker.artifacts.read(found.execution, found.digest)])


async def test_a_file_goes_out(place: Scene):
    """What stands at the path of an output when the container has ended is in the store when that is told."""
    text = 'mkdir -p "$MUSTER_OUT/deep"; printf hello > /muster/out/deep/a.txt; : > "$MUSTER_OUT/empty"'
    declared = {
        "a": Output(path="deep/a.txt"),
        "e": Output(path="empty"),
        "n": Output(path="no", required=False),
    }
    async with place.agent():
        await place.start(script(text, outputs=declared))
        finished = await place.until("attempt.finished")
    assert finished.outputs["a"] == {
        "$artifact": f"sha256:{sha256(b'hello').hexdigest()}",
        "size": 5,
        "media_type": "text/plain",
        "name": "a.txt",
        "execution": "e1",
    }
    assert await stored(place, finished.outputs["a"]) == b"hello"
    assert await stored(place, finished.outputs["e"]) == b""
    assert finished.outputs["n"] is None


async def test_a_file_comes_in(place: Scene, tmp_path: Path):
    """A file is in /muster/in under its name; command, variable and $MUSTER_INPUT speak of it by its path."""
    data = os.urandom(3 << 20)
    file = await given(place, tmp_path, data, "take-1.wav")
    text = (
        'cmp "$F" /muster/in/audio.wav; cmp "$F" "$MUSTER_IN/audio.wav"; '
        'grep -q "\\"audio\\":\\"$F\\"" "$MUSTER_INPUT"; '
        'cat /muster/in/audio.wav > /muster/out/copy.wav; sha256sum "$F"'
    )
    declared = {"copy": Output(path="copy.wav"), "said": Output(type="string", source="stdout")}
    async with place.agent():
        await place.start(
            script(
                text,
                {"audio.wav": file},
                inputs={"audio": "/muster/in/audio.wav"},
                outputs=declared,
                environment={"F": "/muster/in/audio.wav"},
            )
        )
        finished = await place.until("attempt.finished")
    assert finished.outputs["said"].startswith(sha256(data).hexdigest())
    assert await stored(place, finished.outputs["copy"]) == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("true", "the step made none"),
        ("mkdir /muster/out/f", "a folder, and not a plain file"),
        ("ln -s /etc/passwd /muster/out/f", "a link, and not a plain file"),
        ("mkfifo /muster/out/f", "something else, and not a plain file"),
        ("head -c 2000 /dev/zero > /muster/out/f", "has more than 1000 bytes"),
    ],
)
async def test_what_is_no_file(place: Scene, text: str, message: str):
    """What is not there, is no plain file or is too large fails the attempt in words, and nothing is stored."""
    place.settings = msgspec.structs.replace(place.settings, artifact_bytes_max=1000)
    async with place.agent():
        await place.start(script(text, outputs={"f": Output(path="f")}))
        failed = await place.until("attempt.failed")
    assert message in failed.error.message
    assert failed.error.code in ("output", "value_missing")
    assert not place.broker.store.artifacts  # type: ignore[attr-defined]


async def test_links_on_the_way(place: Scene):
    """A link among the folders of a path leads nowhere either."""
    async with place.agent():
        await place.start(script("ln -s /etc /muster/out/d", outputs={"f": Output(path="d/passwd")}))
        failed = await place.until("attempt.failed")
    assert "is behind a link" in failed.error.message


async def test_a_failed_attempt_stores_nothing(place: Scene):
    """What a command that failed has written is not its output."""
    async with place.agent():
        await place.start(script("echo x > /muster/out/f; exit 3", outputs={"f": Output(path="f")}))
        assert (await place.until("attempt.failed")).exit_code == 3
    assert not place.broker.store.artifacts  # type: ignore[attr-defined]
