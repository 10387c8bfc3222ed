"""Objects in a directory: whole under their names or not there, and never taken for empty where nothing is mounted."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from muster.archive.directory import MARK, DirectoryObjects
from muster.archive.packing import pack
from muster.model.errors import ArchiveUnavailableError
from tests.fixtures.histories import history

EVENTS = history(5, executions=3).events


async def test_a_file_for_each_object(tmp_path: Path):
    """An object is a file named for its execution, and nothing else is left beside it but the mark."""
    objects = DirectoryObjects(tmp_path / "deep" / "archive")
    assert await objects.put("x1", b"data")
    assert sorted(path.name for path in objects.folder.iterdir()) == [MARK, "x1.jsonl.gz"]
    assert objects.place == f"file://{tmp_path}/deep/archive"


async def test_the_first_put_wins(tmp_path: Path):
    """Of many that put the same name at once one succeeds, and its content stays."""
    objects = [DirectoryObjects(tmp_path) for _ in range(8)]
    put = await asyncio.gather(*(each.put("x1", str(at).encode()) for at, each in enumerate(objects)))
    assert put.count(True) == 1
    assert await objects[0].get(["x1"]) == [str(put.index(True)).encode()]
    assert [path.name for path in tmp_path.glob(".*")] == []


async def test_a_disk_that_is_not_mounted(tmp_path: Path):
    """A directory without the mark is no archive: what is asked of it is an error with a remedy, not an absence."""
    objects = DirectoryObjects(tmp_path / "there")
    await objects.put("x1", b"data")
    (tmp_path / "there").rename(tmp_path / "gone")
    (tmp_path / "there").mkdir()
    for ask in (objects.get(["x1"]), objects.delete("x1"), anext(objects.heads())):
        with pytest.raises(ArchiveUnavailableError, match="not mounted") as raised:
            await ask
        assert "MUSTER_ARCHIVE" in raised.value.advice


async def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What the system refuses becomes a sentence, and nothing half written is left."""
    objects = DirectoryObjects(tmp_path)
    await objects.put("x1", b"data")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArchiveUnavailableError, match="no space left"):
        await objects.put("x2", b"data")
    monkeypatch.undo()
    assert await objects.get(["x2"]) == [None]
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARK, "x1.jsonl.gz"]


async def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where there are no hard links an object still comes into being whole, and once."""

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    objects = DirectoryObjects(tmp_path)
    assert await objects.put("x1", b"data")
    assert not await objects.put("x1", b"other")
    assert await objects.get(["x1"]) == [b"data"]
    assert [path.name for path in tmp_path.glob(".*")] == []


async def test_what_a_killed_put_left_goes_with_the_object(tmp_path: Path):
    """Deleting leaves nothing of the execution, not even what a put that was killed had written."""
    objects = DirectoryObjects(tmp_path)
    await objects.put("x1", b"data")
    (tmp_path / ".x1.deadbeef").write_bytes(b"half")
    (tmp_path / ".x12.deadbeef").write_bytes(b"another's")
    await objects.delete("x1")
    await objects.delete("x1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x12.deadbeef", MARK]


async def test_listing_tells_each_object_once(tmp_path: Path):
    """A listing says where each object begins; the next one says only what came since, unless asked anew."""
    objects = DirectoryObjects(tmp_path)
    await objects.put("x1", pack(EVENTS[2:5])[0])
    assert await heads(objects) == {"x1": 3}
    await objects.put("x2", pack(EVENTS[8:9])[0])
    (tmp_path / "notes.txt").write_text("not ours")
    assert await heads(objects) == {"x2": 9}
    assert await heads(objects) == {}
    assert await heads(objects, anew=True) == {"x1": 3, "x2": 9}


async def heads(objects: DirectoryObjects, **options: bool) -> dict[str, int]:
    return {head.name: head.first async for part in objects.heads(**options) for head in part}
