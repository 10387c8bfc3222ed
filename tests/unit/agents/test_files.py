"""The files of attempts: brought, stored, cached, and what happens where the store does not play along."""

import asyncio
import errno
import os
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from muster.artifacts.content import described
from muster.broker.memory import MemoryBroker
from muster.model.definition.workflow import Output
from muster.model.errors import BrokerError
from muster.model.log.commands import AttemptOrder
from muster.model.plan import artifacts
from muster_agents import files
from muster_agents.cache import PARTIAL, Cache
from muster_agents.runtimes.rooted import rooted
from tests.unit.agents.fake import FakeRuntime
from tests.unit.agents.scene import TIMEOUTS, Scene, order

DATA = b"0123456789" * 1000
DIGEST = sha256(DATA).hexdigest()
FILE = described("a.wav", DIGEST, len(DATA), "e0")
OUTPUTS = {"f": Output(path="f.bin")}


def wants(**rest) -> AttemptOrder:
    return msgspec.structs.replace(order(**rest), files={"audio.wav": FILE})


def cached(scene: Scene) -> list[str]:
    folder = scene.settings.data_dir / "agents" / scene.name / "artifacts"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def there(memory: MemoryBroker) -> None:
    """The content is in the store."""
    memory.store.artifacts["e0", DIGEST] = DATA


async def test_files_are_there_before_the_start(scene: Scene, fake: FakeRuntime, there: None):
    """A runtime gets the files of an order before it starts, and they stay on the machine for the next."""
    async with scene.agent():
        await scene.start(wants())
        await scene.until("attempt.finished")
        assert fake.runs[order().ref].files == {"audio.wav": DATA}
        assert cached(scene) == [DIGEST]


async def test_what_is_here_is_not_brought_again(
    scene: Scene, fake: FakeRuntime, memory: MemoryBroker, there: None
):
    """A content that an attempt before had is not read again, even for the next agent on this disk."""
    memory.artifacts = counting = Away(memory.artifacts, 0)  # type: ignore[assignment]
    async with scene.agent():
        await scene.start(wants())
        await scene.until("attempt.finished")
    async with scene.agent():
        await scene.start(wants(step="next"))
        await scene.until("attempt.finished", count=2)
        assert counting.calls == -1
        memory.store.artifacts.clear()
        await scene.start(wants(step="last"))
        assert (await scene.until("attempt.failed")).error.code == "artifact_missing"


async def test_a_cache_that_was_tampered_with(scene: Scene, fake: FakeRuntime, there: None):
    """What is not what its name says is brought anew."""
    folder = scene.settings.data_dir / "agents" / scene.name / "artifacts"
    folder.mkdir(parents=True)
    (folder / DIGEST).write_bytes(b"another")
    (folder / f"old{PARTIAL}").write_bytes(b"half")
    async with scene.agent():
        await scene.start(wants())
        await scene.until("attempt.finished")
    assert fake.runs[order().ref].files == {"audio.wav": DATA}
    assert cached(scene) == [DIGEST]


async def test_a_file_that_is_missing(scene: Scene, fake: FakeRuntime):
    """Without its object the attempt fails while it pulls, in words, and is not to be tried again."""
    async with scene.agent():
        await scene.start(wants())
        failed = await scene.until("attempt.failed")
    assert (failed.phase, failed.error.code, failed.retriable) == ("pull", "artifact_missing", False)
    assert "e0" in failed.error.message
    assert "start" not in fake.runs[order().ref].diary


@pytest.mark.parametrize("stored", [DATA[:-1] + b"!", DATA + b"!", DATA[:-1], b""])
async def test_a_file_that_is_damaged(scene: Scene, fake: FakeRuntime, memory: MemoryBroker, stored: bytes):
    """A content that is not what its hash says never reaches a container."""
    memory.store.artifacts["e0", DIGEST] = stored
    async with scene.agent():
        await scene.start(wants())
        failed = await scene.until("attempt.failed")
    assert (failed.phase, failed.error.code, failed.retriable) == ("pull", "artifact_damaged", False)
    assert "start" not in fake.runs[order().ref].diary
    assert cached(scene) == []


class Away:
    """A store that is away for some calls."""

    def __init__(self, store, calls: int) -> None:
        self.store, self.calls, self.asked = store, calls, asyncio.Event()

    def check(self) -> None:
        self.asked.set()
        self.calls -= 1
        if self.calls >= 0:
            raise BrokerError("away")

    async def put(self, *arguments):
        self.check()
        return await self.store.put(*arguments)

    async def size(self, *arguments):
        return await self.store.size(*arguments)

    async def read(self, *arguments):
        self.check()
        async for piece in self.store.read(*arguments):
            yield piece


async def test_the_store_is_away_for_a_while(
    scene: Scene, fake: FakeRuntime, memory: MemoryBroker, there: None
):
    """Bringing and storing wait for the store to come back; the outcome is as if it had never been away."""
    fake.outs = {"f.bin": b"made"}
    memory.artifacts = Away(memory.artifacts, 3)  # type: ignore[assignment]
    async with scene.agent():
        await scene.start(wants(outputs=OUTPUTS))
        finished = await scene.until("attempt.finished")
    made = artifacts.of(finished.outputs["f"])
    assert made is not None
    assert memory.store.artifacts["e1", made.digest] == b"made"


async def test_the_store_stays_away(scene: Scene, fake: FakeRuntime, memory: MemoryBroker):
    """What cannot be stored in the time given fails the attempt, which says so; it was not finished before."""
    fake.outs = {"f.bin": b"made"}
    memory.artifacts = Away(memory.artifacts, 10**9)  # type: ignore[assignment]
    async with scene.agent(artifact_transfer_s=0.1):
        await scene.start(order(outputs=OUTPUTS))
        failed = await scene.until("attempt.failed")
    assert (failed.phase, failed.reason) == ("run", "timeout")
    assert "could not be stored within 0.1 s" in failed.error.message


async def test_the_pull_has_an_end(scene: Scene, fake: FakeRuntime, memory: MemoryBroker, there: None):
    """What cannot be brought in the time of the pull phase fails it."""
    memory.artifacts = Away(memory.artifacts, 10**9)  # type: ignore[assignment]
    async with scene.agent():
        await scene.start(wants(timeouts=msgspec.structs.replace(TIMEOUTS, pull=0.1)))
        failed = await scene.until("attempt.failed")
    assert (failed.phase, failed.reason) == ("pull", "timeout")


async def test_stopped_while_storing(scene: Scene, fake: FakeRuntime, memory: MemoryBroker):
    """An attempt whose files are being stored can be stopped, and leaves no half file."""
    fake.outs = {"f.bin": b"made"}
    memory.artifacts = away = Away(memory.artifacts, 10**9)  # type: ignore[assignment]
    async with scene.agent():
        await scene.start(order(outputs=OUTPUTS))
        await away.asked.wait()
        await scene.stop(order().ref)
        await scene.until("attempt.stopped")
    assert not [name for name in cached(scene) if name.endswith(PARTIAL)]


async def test_many_want_the_same(scene: Scene, fake: FakeRuntime, memory: MemoryBroker, there: None):
    """Attempts that need one content at the same time bring it once."""
    memory.artifacts = counting = Away(memory.artifacts, 0)  # type: ignore[assignment]
    async with scene.agent():
        await scene.start(*(wants(step=f"s{n}") for n in range(4)))
        await scene.until("attempt.finished", count=4)
    assert counting.calls == -1


async def test_long_transfers_are_told(
    scene: Scene, fake: FakeRuntime, there: None, monkeypatch: pytest.MonkeyPatch
):
    """While files are brought and stored it is told how far they are, by phase."""
    monkeypatch.setattr(files, "PROGRESS_S", 0.0)
    fake.outs = {"f.bin": b"made"}
    async with scene.agent():
        await scene.start(wants(outputs=OUTPUTS))
        await scene.until("attempt.finished")
    told = [each.event.data for each in await scene.events() if each.event.kind == "attempt.progress"]
    assert [(each.phase, each.current, each.total, each.unit) for each in told] == [
        ("pull", len(DATA), len(DATA), "bytes"),
        ("run", 4, 4, "bytes"),
    ]


async def test_a_full_disk_is_said(
    scene: Scene, fake: FakeRuntime, there: None, monkeypatch: pytest.MonkeyPatch
):
    """Where the disk has no room for a file, the attempt fails in words that say what to do, and nothing half stays."""

    def full(path: Path, piece: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_append", full)
    async with scene.agent():
        await scene.start(wants())
        failed = await scene.until("attempt.failed")
    assert "No space left on device" in failed.error.message
    assert "data directory" in failed.error.remedy
    assert cached(scene) == []


# ---- the cache


async def put(cache: Cache, content: bytes) -> str:
    digest = sha256(content).hexdigest()
    cache.pin(digest)
    partial = await cache.partial()
    partial.write_bytes(content)
    await cache.keep(partial, digest, len(content))
    return digest


async def test_the_least_recently_used_goes_first(tmp_path: Path):
    """Beyond the limit what was not used for longest goes; what is pinned stays however much it is."""
    cache = Cache(tmp_path, 250)
    await cache.open()
    one, two, three = [await put(cache, bytes([n]) * 100) for n in range(3)]
    for digest in (one, two, three):
        assert await cache.get(digest)
    await cache.unpin(one)
    assert await cache.get(one) is None
    await cache.unpin(two)
    await cache.unpin(three)
    assert await cache.get(two)
    assert await cache.get(three)
    another = Cache(tmp_path, 250)
    await another.open()
    assert await another.get(two)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([two, three])


# ---- where there is no container


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("/muster/out/a.wav", "/work/out/a.wav"),
        ("--o=/muster/out", "--o=/work/out"),
        ("cat '/muster/in/a' \"/muster/in/b\"", "cat '/work/in/a' \"/work/in/b\""),
        ("/data/muster/in/a", "/data/muster/in/a"),
        ("x/muster/in/a", "x/muster/in/a"),
        ("/muster/input", "/muster/input"),
        ("/muster/in.txt", "/muster/in.txt"),
        ("/muster", "/muster"),
    ],
)
def test_paths_of_a_process(word: str, becomes: str):
    """/muster/in and /muster/out become the process's own folders, wherever they stand as a path."""
    made = order(command=[word], entrypoint=[word], environment={"A": word}, inputs={"a": word})
    found = rooted(made, "/work")
    assert found.container.command == found.container.entrypoint == [becomes]
    assert found.container.environment == {"A": becomes}
    assert found.inputs == {"a": word}


def test_files_among_the_inputs_of_a_process():
    """The paths of files that were brought are its own; other text of inputs stays as it is."""
    made = wants(inputs={"a": ["/muster/in/audio.wav", "/muster/in/other"]})
    assert rooted(made, "/work").inputs == {"a": ["/work/in/audio.wav", "/muster/in/other"]}
