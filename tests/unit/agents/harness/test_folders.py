"""Each call has folders of its own, whoever had them before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from muster_agents.harness.muster_function.folders import Folders


class Called:
    """As much of a call as counts here."""

    def __init__(self, id_: str, root: Path) -> None:
        self.id = id_
        self.folder, self.out = str(root / "in" / id_), str(root / "out" / id_)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With the two roots in it."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    return tmp_path


def called(folders: Folders, root: Path, id_: str, use: Callable[[Path], None] = lambda out: None) -> int:
    """One call that does this with its ``out``; which folder that is to the file system."""
    call = Called(id_, root)
    folders.begin(call)
    out = Path(call.out)
    assert list(out.iterdir()) == []
    assert out.stat().st_mode & 0o700 == 0o700
    found = out.stat().st_ino
    use(out)
    folders.answered(call)
    folders.end(call)
    assert out not in out.parent.iterdir()
    return found


def test_an_empty_folder_is_handed_on(root: Path):
    """Under the name of the next call; that costs a fifth."""
    folders = Folders(set())
    assert called(folders, root, "a") == called(folders, root, "b")


@pytest.mark.parametrize(
    "use",
    [
        lambda out: (out / "made.txt").write_text("x"),
        lambda out: (out / "below" / "it").mkdir(parents=True),
        lambda out: out.chmod(0o500),
        lambda out: out.rmdir(),
        lambda out: (out.rmdir(), out.symlink_to("/")),
        lambda out: (out.rmdir(), out.write_text("a file")),
    ],
    ids=["a file", "a folder", "its mode", "none", "a link", "another"],
)
def test_what_was_done_to_one_is_not_seen_by_the_next(root: Path, use: Callable[[Path], None]):
    """A new one is made then."""
    folders = Folders(set())
    called(folders, root, "a", use)
    called(folders, root, "b")


def test_one_that_the_function_removed_while_nobody_had_it(root: Path):
    """Then there is another."""
    folders = Folders(set())
    called(folders, root, "a")
    for left in (root / "out").iterdir():
        shutil.rmtree(left)
    called(folders, root, "b")


def test_what_muster_put_there_is_left_there(root: Path):
    """Also where it is empty, until Muster has taken what came of it."""
    folders = Folders(set())
    called(folders, root, "a")
    call = Called("b", root)
    for folder in (call.folder, call.out):
        Path(folder).mkdir()
    made = Path(call.out).stat().st_ino
    folders.begin(call)
    assert Path(call.out).stat().st_ino == made
    folders.answered(call)
    folders.end(call)
    assert Path(call.out).is_dir()
    folders.release("b")
    assert not Path(call.out).exists()


def test_calls_at_once_have_different_ones(root: Path):
    """Only as many are kept as are likely to be wanted."""
    folders = Folders(set())
    calls = [Called(str(at), root) for at in range(20)]
    for _ in range(2):
        for call in calls:
            folders.begin(call)
        assert len({Path(call.out).stat().st_ino for call in calls}) == 20
        for call in calls:
            folders.end(call)
    assert len(list((root / "out").iterdir())) == 8
