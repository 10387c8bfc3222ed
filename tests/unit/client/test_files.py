"""Files on their way into and out of the store, as the client sends and fetches them."""

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from muster.broker.memory import MemoryBroker
from muster.client.files import Downloads, Uploads
from muster.model.errors import (
    ArtifactDamagedError,
    ArtifactMissingError,
    BrokerError,
    ExecutionConflictError,
    InvalidArgumentError,
    InvalidTypeError,
)
from muster.model.plan import artifacts

DATA = b"0123456789" * 300_000
MAX = 1 << 30


class Fetching(Downloads):
    """A client that does nothing but this."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    @property
    def broker(self) -> MemoryBroker:
        return self._broker


@pytest.fixture
def memory() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(DATA)
    return path


async def test_paths_become_artifacts(memory: MemoryBroker, clip: Path):
    """Every path among the inputs, however deep, becomes an artifact of the execution, and is sent once."""
    told: list[tuple[str, int, int]] = []
    uploads = await Uploads.of({"video": clip, "more": [{"again": clip}, 1], "text": "clip.mp4"}, "x1", MAX)
    assert uploads.inputs["more"][0]["again"] == uploads.inputs["video"]
    assert uploads.inputs["text"] == "clip.mp4"
    found = artifacts.of(uploads.inputs["video"])
    assert found is not None
    assert (found.name, found.media_type, found.execution) == ("clip.mp4", "video/mp4", "x1")
    await uploads.send(memory, lambda *news: told.append(news))
    assert memory.store.artifacts == {("x1", sha256(DATA).hexdigest()): DATA}
    assert told[-1] == ("clip.mp4", len(DATA), len(DATA))
    await uploads.send(memory)


async def test_files_that_cannot_be_sent(tmp_path: Path, clip: Path):
    """A file that is not there, is a folder or is too large is refused before anything is sent, by its name."""
    for path, message in ((tmp_path / "no", "There is no file"), (tmp_path, "is no file")):
        with pytest.raises(InvalidArgumentError, match=message):
            await Uploads.of({"a": path}, "x1", MAX)
    with pytest.raises(InvalidArgumentError, match=r"clip\.mp4 has more than 100 bytes"):
        await Uploads.of({"a": clip}, "x1", 100)


@pytest.mark.parametrize("fresh", [True, False])
async def test_what_was_refused_is_taken_back(memory: MemoryBroker, clip: Path, fresh: bool):
    """The files of a refused execution go, unless another may have its id, or nobody knows whether it was refused."""
    uploads = await Uploads.of({"video": clip}, "x1", MAX, fresh=fresh)
    await uploads.send(memory)
    await uploads.discard(memory, BrokerError())
    assert memory.store.artifacts
    await uploads.discard(memory, ExecutionConflictError(execution="x1"))
    assert bool(memory.store.artifacts) is not fresh


async def test_ctrl_c_takes_back_what_was_sent(memory: MemoryBroker, clip: Path, tmp_path: Path):
    """Who gives up in the middle of sending leaves nothing in the store."""
    (tmp_path / "small").write_bytes(b"small")
    halfway = asyncio.Event()

    def told(name: str, done: int, total: int) -> None:
        if name == "clip.mp4":
            assert memory.store.artifacts
            halfway.set()

    uploads = await Uploads.of({"a": tmp_path / "small", "b": clip}, "x1", MAX, fresh=True)
    sending = asyncio.create_task(uploads.send(memory, told))
    await halfway.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not memory.store.artifacts


async def test_downloads(memory: MemoryBroker, clip: Path, tmp_path: Path):
    """An artifact is written under its own name into a folder, or where it is told to; nothing else is left there."""
    uploads = await Uploads.of({"video": clip}, "x1", MAX)
    await uploads.send(memory)
    client, folder = Fetching(memory), tmp_path / "into"
    folder.mkdir()
    assert await client.download(uploads.inputs["video"], folder) == folder / "clip.mp4"
    assert await client.download(uploads.inputs["video"], folder / "other") == folder / "other"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"clip.mp4": DATA, "other": DATA}


async def test_a_name_cannot_leave_the_folder(memory: MemoryBroker, clip: Path, tmp_path: Path):
    """What an artifact calls itself is a name, and no way out of the folder it is written to."""
    uploads = await Uploads.of({"video": clip}, "x1", MAX)
    await uploads.send(memory)
    (tmp_path / "into").mkdir()
    path = await Fetching(memory).download(
        uploads.inputs["video"] | {"name": "../../evil"}, tmp_path / "into"
    )
    assert path == tmp_path / "into" / "evil"


@pytest.mark.parametrize("stored", [None, DATA[:-1] + b"!"])
async def test_what_is_wrong_does_not_appear(
    memory: MemoryBroker, clip: Path, tmp_path: Path, stored: bytes | None
):
    """A file that is missing or damaged in the store leaves none behind, and an older one as it was."""
    value = (await Uploads.of({"video": clip}, "x1", MAX)).inputs["video"]
    if stored is not None:
        memory.store.artifacts["x1", sha256(DATA).hexdigest()] = stored
    folder = tmp_path / "into"
    folder.mkdir()
    (folder / "old").write_bytes(b"old")
    with pytest.raises((ArtifactMissingError, ArtifactDamagedError)):
        await Fetching(memory).download(value, folder / "old")
    assert [path.name for path in folder.iterdir()] == ["old"]
    assert (folder / "old").read_bytes() == b"old"


async def test_a_value_that_is_no_artifact(memory: MemoryBroker):
    """Anything else is refused in words."""
    with pytest.raises(InvalidTypeError, match="no artifact"):
        await Fetching(memory).download({"a": 1})
