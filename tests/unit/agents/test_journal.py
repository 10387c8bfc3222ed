"""The file under the outbox: what is torn, what is rotated, what is found again."""

import errno
import os

import pytest

from muster_agents import journal
from muster_agents.journal import Journal


def opened(folder, *records):
    """A journal on a new segment, and what was on disk before."""
    found = Journal(folder)
    before = found.load()
    found.begin()
    found.retire(found.switch(found.prepare(records), sum(map(len, records))))
    return found, before


def test_what_was_written_is_found_again(tmp_path):
    """Records come back in the order in which they were written."""
    first, before = opened(tmp_path)
    assert before == []
    first.write(journal.line(b"E", b"one"))
    first.write(journal.line(b"O", b"two"))
    first.close()
    assert Journal(tmp_path).load() == [(b"E", b"one"), (b"O", b"two")]


@pytest.mark.parametrize("cut", range(1, 18))
def test_a_torn_last_line_is_dropped(tmp_path, cut):
    """However little of the last line reached the disk, the lines before it are whole and it is gone."""
    first, _ = opened(tmp_path)
    first.write(journal.line(b"E", b"whole"))
    first.write(journal.line(b"E", b"torn-off"))
    first.close()
    [path] = tmp_path.glob("journal.*")
    os.truncate(path, path.stat().st_size - cut)
    # A line without its end is as good as one with it.
    assert Journal(tmp_path).load() == [(b"E", b"whole"), (b"E", b"torn-off")][: 2 if cut == 1 else 1]


def test_writing_goes_on_after_a_torn_line(tmp_path):
    """A line after a torn one stands on a line of its own."""
    first, _ = opened(tmp_path)
    first.write(journal.line(b"E", b"one"))
    os.write(first._file, b"E 1234")
    first._torn = True
    first.write(journal.line(b"E", b"two"))
    first.close()
    assert Journal(tmp_path).load() == [(b"E", b"one"), (b"E", b"two")]


def test_a_damaged_line_in_the_middle_is_skipped_and_said(tmp_path, caplog):
    """A line that is not what was written is left out with a warning; the rest stays."""
    first, _ = opened(tmp_path)
    for payload in (b"one", b"two", b"three"):
        first.write(journal.line(b"E", payload))
    first.close()
    [path] = tmp_path.glob("journal.*")
    path.write_bytes(path.read_bytes().replace(b"two", b"tw0"))
    assert Journal(tmp_path).load() == [(b"E", b"one"), (b"E", b"three")]
    assert "damaged" in caplog.text


def test_a_new_segment_takes_over(tmp_path):
    """After a rotation one file is left, with the snapshot and what was written meanwhile."""
    first, _ = opened(tmp_path)
    first.write(journal.line(b"E", b"history"))
    first.begin()
    first.write(journal.line(b"E", b"meanwhile"))
    file = first.prepare([journal.line(b"H", b"snapshot")])
    first.write(journal.line(b"E", b"later"))
    first.retire(first.switch(file, 0))
    first.close()
    assert len(list(tmp_path.glob("journal.*"))) == 1
    assert Journal(tmp_path).load() == [(b"H", b"snapshot"), (b"E", b"meanwhile"), (b"E", b"later")]


def test_a_death_between_two_segments_loses_nothing(tmp_path):
    """A new segment that was written and not yet switched to stands beside the old one, and both are read."""
    first, _ = opened(tmp_path)
    first.write(journal.line(b"E", b"old"))
    first.begin()
    os.close(first.prepare([journal.line(b"E", b"old")]))
    first.write(journal.line(b"E", b"tail"))
    first.close()
    assert Journal(tmp_path).load() == [(b"E", b"old"), (b"E", b"tail"), (b"E", b"old")]


def test_a_half_written_segment_does_not_count(tmp_path):
    """A draft is no segment: it has no number yet."""
    first, _ = opened(tmp_path)
    first.write(journal.line(b"E", b"one"))
    first.close()
    (tmp_path / "journal.9.new").write_bytes(journal.line(b"E", b"draft"))
    second, before = opened(tmp_path)
    assert before == [(b"E", b"one")]
    second.close()
    assert not list(tmp_path.glob("*.new"))


def test_a_full_disk_is_an_error_and_no_record(tmp_path, monkeypatch):
    """A write the disk takes in part raises, and what was written of it does not come back."""
    first, _ = opened(tmp_path)
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole(file, data[:7]))
    with pytest.raises(OSError, match="7 of"):
        first.write(journal.line(b"E", b"lost"))
    monkeypatch.undo()
    first.write(journal.line(b"E", b"kept"))
    first.close()
    assert Journal(tmp_path).load() == [(b"E", b"kept")]


def test_what_is_whole_but_for_its_end_does_not_count_either(tmp_path, monkeypatch):
    """A disk that is full one byte too soon: the number of the record is given to another, so this one must be gone."""
    first, _ = opened(tmp_path)
    first.write(journal.line(b"E", b"before"))
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole(file, data[:-1]))
    with pytest.raises(OSError, match="bytes were written"):
        first.write(journal.line(b"E", b"lost"))
    monkeypatch.undo()
    first.write(journal.line(b"E", b"other"))
    first.close()
    assert Journal(tmp_path).load() == [(b"E", b"before"), (b"E", b"other")]


def test_a_segment_for_which_there_is_no_room_takes_none(tmp_path, monkeypatch):
    """Of a new segment that could not be written whole nothing stays on the full disk; the present one goes on."""
    first, _ = opened(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        first.prepare([journal.line(b"H", b"snapshot")])
    monkeypatch.undo()
    first.abandon()
    assert not list(tmp_path.glob("*.new"))
    first.write(journal.line(b"E", b"one"))
    first.close()
    assert Journal(tmp_path).load() == [(b"E", b"one")]
