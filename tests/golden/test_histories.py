"""Recorded histories come out again: through the folds, through ``decide``, and in SQLite."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muster.fixtures import load
from muster.model.log.envelope import Recorded, encode
from muster.model.proof import fixture
from muster.model.proof.replay import replay
from muster_projections.registry import DEFAULTS
from tests.fixtures.views import fold
from tests.golden import expected, proof
from tests.golden.record import KEPT, play, telling
from tests.golden.scenario import DERIVED, SCENARIOS
from tests.golden.store import expectation, history, names

NAMES = names()
LINE_BYTES_MAX = 16_384  # a history is to be read by people too
LEAST = 25
MISSING = object()


@cache
def recorded(name: str) -> list[Recorded]:
    return load(history(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_history_comes_out_again(name: str) -> None:
    """Every event keeps its bytes, every prefix folds legally, every decision and every row comes out again."""
    found, wanted = expected.come_out(name), expected.read(name)
    changed = sorted(set(wanted["view"]) ^ set(found["view"]))
    assert not changed, (
        f"not in both: {', '.join(changed)}. Where the version of a projection went up on purpose: "
        f"python -m tests.golden.expected"
    )
    assert found == wanted
    assert found["decisions"] > 0


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {*KEPT, "from-a-newer-release"}])
def test_nothing_of_an_event_is_lost(name: str) -> None:
    """What was read as an event and is written without the line it came in says all that the line says.

    It may say more: a policy or a definition has fields today that it did not have then.
    """
    for each in recorded(name):
        again = encode(msgspec.structs.replace(each.event, line=None))
        assert less(json.loads(encode(each.event)), json.loads(again)) == ""


def less(said: Any, again: Any, place: str = "it") -> str:
    """The first place where ``again`` does not say what was ``said``, or the empty string."""
    if isinstance(said, dict) and isinstance(again, dict):
        inside = ((said[key], again.get(key, MISSING), f"{place}.{key}") for key in said)
    elif isinstance(said, list) and isinstance(again, list) and len(said) == len(again):
        inside = (
            (one, other, f"{place}[{at}]") for at, (one, other) in enumerate(zip(said, again, strict=True))
        )
    else:
        same = said == again and isinstance(said, bool) == isinstance(again, bool)
        return "" if same else f"{place}: {said!r} became {again!r}"
    return next((found for each in inside if (found := less(*each))), "")


@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_decides_the_same(name: str) -> None:
    """Wherever the log is cut off, what was decided up to there is decided again: a cut round is no difference."""
    log = recorded(name)
    for end in range(1, len(log)):
        for difference in replay(log[:end]).differences:
            pytest.fail(f"cut at {end}: {proof.differs(difference)}")


@pytest.mark.parametrize("name", NAMES)
def test_batches_do_not_matter_to_the_view(name: str, tmp_path: Path) -> None:
    """Folded event by event and then the rest at once, the view is the one that one batch gives."""
    log = recorded(name)
    for number, cuts in enumerate((range(1, len(log)), [len(log) // 2])):
        path = fold(tmp_path / f"{number}.db", log, cuts=cuts, projections=DEFAULTS)
        assert proof.view_digests(path) == expected.read(name)["view"]


@pytest.mark.parametrize("name", NAMES)
def test_a_history_tells_nothing_of_where_it_was_recorded(name: str) -> None:
    """No host name, no folder, no port; and no line that is too long to be read."""
    for line in history(name).read_bytes().splitlines():
        assert telling(line) is None
        assert len(line) < LINE_BYTES_MAX


def test_there_is_a_history_of_every_scenario() -> None:
    """Each history has a scenario or says why it cannot be recorded again, and each has an expectation."""
    assert set(NAMES) == {*SCENARIOS, *DERIVED, *KEPT}
    assert {path.name for path in history("x").parent.iterdir()} == {
        path.name for name in NAMES for path in (history(name), expectation(name))
    }
    assert len(NAMES) >= LEAST


async def test_a_scenario_is_recorded_and_comes_out_as_before(tmp_path: Path, session_broker: object) -> None:
    """Played again on a real broker, the simplest scenario has the same outcome and replays to no difference."""
    before = expected.read("hello")["executions"]
    lines = [fixture.line(each) for each in await play(SCENARIOS["hello"], tmp_path)]
    found, _ = await asyncio.to_thread(proof.decided, lines)
    assert found["executions"] == before
