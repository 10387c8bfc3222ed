"""Whichever way a log is gone through, the view at a sequence is that of the events up to it, and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.broker.memory import MemoryBroker
from muster.model.log import subjects
from muster.model.log.envelope import encode
from muster.settings import Settings
from muster_projections import canonical, shadow
from muster_projections.registry import DEFAULTS
from muster_projections.store import Store
from muster_projections.verify import verify
from tests.fixtures.histories import START, History, history
from tests.fixtures.views import fold

SEEDS = (11, 12, 21)
Turn = tuple[int, bool, int]
"""Where a batch ends, whether the store is opened anew before it, and how many events it repeats."""


@cache
def _log(seed: int) -> History:
    return history(seed, executions=6, steps=2, mishaps=0.7)


@pytest.fixture(scope="module")
def digest_at(tmp_path_factory):
    """The digest of the first events of a history, folded one after the other into a view of their own."""
    folder = tmp_path_factory.mktemp("reference")

    @cache
    def digest(seed: int, events: int) -> str:
        path = folder / f"{seed}-{events}.db"
        return canonical.digest(fold(path, _log(seed).events[:events], cuts=range(1, events)))

    return digest


def _go(path: Path, log: History, end: int, turns: list[Turn], *, passing: bool) -> str:
    """Fold up to ``end`` in these turns; the digest of what comes out."""
    store = Store.open(path, DEFAULTS, passing=passing)
    store.adopt(START)
    for stop, anew, back in [*sorted(turns), (end, False, 0)]:
        if stop > end:
            continue
        if anew:
            store.finish() if passing else store.close()
            store = Store.open(path, DEFAULTS, passing=passing)
        store.write(log.events[max(0, store.sequence - back) : stop])
    with closing(store):
        assert store.sequence == end
        if passing:
            store.finish()
    return canonical.digest(path)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.sampled_from(SEEDS), passing=st.booleans())
def test_any_way_to_a_sequence_gives_its_view(data, seed, passing, digest_at, tmp_path_factory):
    """Any batches, restarts between any of them, events given again: at n it is the fold of the first n events."""
    log = _log(seed)
    end = data.draw(st.integers(0, log.sequence), label="n")
    turn = st.tuples(st.integers(1, log.sequence), st.booleans(), st.integers(0, 40))
    turns = data.draw(st.lists(turn, max_size=8), label="turns")
    path = tmp_path_factory.mktemp("way") / "view.db"
    assert _go(path, log, end, turns, passing=passing) == digest_at(seed, end)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    share=st.floats(0, 1),
    batch=st.integers(1, 60),
    weight=st.sampled_from([1, 3000, 1 << 24]),
)
def test_verify_at_a_sequence_is_the_fold_of_the_first_events(
    seed, share, batch, weight, digest_at, tmp_path_factory
):
    """``verify --at n`` folds the first n events, however they are gathered on the way from the broker."""
    log = _log(seed)
    end = round(log.sequence * share)
    folder, broker = tmp_path_factory.mktemp("verify"), MemoryBroker()
    broker.store.created = START
    for recorded in log.events:
        broker.store.put(subjects.event(recorded.event), encode(recorded.event))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shadow, "BATCH", batch)
        patch.setattr(shadow, "BATCH_BYTES", weight)
        done = asyncio.run(verify(broker, Settings(data_dir=folder), at=end))
    assert (done.sequence, done.rebuilt) == (end, digest_at(seed, end))
