"""Fixtures in files: plain, compressed, from standard input, and what is none."""

import gzip
import io
import sys
from pathlib import Path

import pytest

from muster import fixtures
from muster.model.errors import FixtureInvalidError
from muster.model.log.envelope import Recorded, decode, encode
from muster.model.proof import fixture
from tests.fixtures.site import decision

RECORDED = [Recorded(place, decode(encode(decision(f"d{place}")))) for place in (1, 2)]
TEXT = b"".join(fixture.line(recorded) + b"\n" for recorded in RECORDED)


def test_plain_and_compressed_files_are_told_apart_by_content(tmp_path: Path):
    """A fixture is read whether or not it is compressed, whatever its name."""
    (tmp_path / "plain.gz").write_bytes(TEXT)
    (tmp_path / "run.jsonl").write_bytes(gzip.compress(TEXT))
    assert fixtures.load(tmp_path / "plain.gz") == RECORDED
    assert fixtures.load(str(tmp_path / "run.jsonl")) == RECORDED


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch):
    """The fixture of a pipe is read, compressed too."""
    for text in (TEXT, gzip.compress(TEXT)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text))))
        assert fixtures.load("-") == RECORDED


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "no such file"),
        (b"", "no event"),
        (gzip.compress(TEXT, mtime=0)[:-12], "damaged"),
        (gzip.compress(TEXT, mtime=0)[:20] + b"\x00" * 40, "damaged"),
        (TEXT + b"{", "line 3.*it is cut off"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, what: str):
    """A missing file, an empty one, a damaged one and one that is cut off are errors that name the file."""
    path = tmp_path / "run.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FixtureInvalidError, match=what) as caught:
        fixtures.load(path)
    assert str(path) in caught.value.message
    assert caught.value.advice


def test_a_folder_is_no_fixture(tmp_path: Path):
    """A folder is refused with a sentence."""
    with pytest.raises(FixtureInvalidError, match="directory"):
        fixtures.load(tmp_path)
