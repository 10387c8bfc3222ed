"""What the log says about what was moved and what was erased, and markers written before it said so."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from muster.model.engine.evolve import evolve
from muster.model.engine.state import CLEARED, State
from muster.model.log import catalogue as c
from muster.model.log.envelope import Event, decode, encode
from muster.model.log.retention import joined
from muster.model.log.upcasters import UPCASTERS
from muster.model.proof.fixture import line, parse

OLD_MARKER = (
    b'{"specversion":"1.0","id":"x1:cleared","source":"/muster/scheduler","type":"io.muster.execution.cleared.v1",'
    b'"time":"2026-03-01T12:00:00Z","datacontenttype":"application/json","data":{},"execution":"x1",'
    b'"cause":"command","basis":"12/2026-03-01T12:00:00+00:00/3"}'
)
SETS = st.sets(st.integers(1, 300), max_size=80)


def test_a_marker_of_version_one_is_read():
    """An execution.cleared of the release before comes out at version 2 and says that nothing was counted."""
    event = decode(OLD_MARKER)
    assert isinstance(event.data, c.ExecutionCleared)
    assert event.data.version == 2
    assert (event.data.events, event.data.sequences, event.data.archived) == (None, [], "")


def test_a_marker_of_version_one_goes_out_as_it_came():
    """Reading never rewrites: the old line comes back byte for byte, on the wire and in a fixture."""
    event = decode(OLD_MARKER)
    assert encode(event) == OLD_MARKER
    [recorded] = parse([OLD_MARKER[:-1] + b',"sequence":7}'], "old")
    assert (recorded.sequence, encode(recorded.event)) == (7, OLD_MARKER)
    assert line(recorded) == OLD_MARKER[:-1] + b',"sequence":7}'


def test_a_marker_of_version_one_is_folded():
    """The id it names stays taken, as with one of today."""
    state = State()
    evolve(state, decode(OLD_MARKER), 7)
    assert state.ended == {"x1": CLEARED}


def test_an_unknown_version_is_kept_as_it_came():
    """A marker of a version to come is unknown, and goes out as it came."""
    later = OLD_MARKER.replace(b"cleared.v1", b"cleared.v3")
    event = decode(later)
    assert isinstance(event.data, c.Unknown)
    assert encode(event) == later


def test_every_version_has_its_upcaster():
    """From each version of each kind there is a way to the present one."""
    assert {
        (kind, version) for kind, body in c.CATALOGUE.items() for version in range(1, body.version)
    } == set(UPCASTERS)


def test_after_archiving_an_unknown_id_may_be_an_old_one():
    """Once something is archived the state says that it does not know every id that was ever used."""
    state = State()
    moved = c.Moved(sha256="0" * 64, bytes=1, events=1, first=1, last=1)
    event = decode(encode(_archived(moved)))
    evolve(state, event, 9)
    assert state.forgotten
    assert state.number == 1


def _archived(*moved: c.Moved):
    body = c.LogArchived(place="nats:muster_archive", objects=list(moved))
    return Event(id="-:1", writer="scheduler", time=datetime(2026, 3, 1, tzinfo=UTC), data=body)


@given(SETS)
def test_ranges_cover_exactly(sequences: set[int]):
    """Without a limit that bites, the ranges cover every sequence that was given and no other."""
    found = joined((each, each) for each in sequences)
    assert {each for first, last in found for each in range(first, last + 1)} == sequences
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))


@given(SETS, st.integers(1, 5))
def test_ranges_are_bounded(sequences: set[int], limit: int):
    """Of too many ranges the nearest are joined: never more than the limit, and nothing is left out."""
    found = joined(((each, each) for each in sequences), limit)
    assert len(found) <= limit
    assert sequences <= {each for first, last in found for each in range(first, last + 1)}


def test_the_nearest_ranges_are_joined_first():
    """What is added by joining is as little as can be."""
    assert joined([(1, 2), (4, 5), (90, 99)], 2) == [(1, 5), (90, 99)]


def test_a_bounded_marker_is_small():
    """A marker with as many ranges as it may hold is far below what the broker takes."""
    ranges = joined((each, each) for each in range(10**9, 10**9 + 4000, 2))
    assert len(msgspec.json.encode(c.ExecutionCleared(events=2000, sequences=ranges))) < 16_384
