"""The pytest plugin: ``muster_replay``, ``muster_engine`` and ``muster_broker``.

pytest finds it by the entry point ``muster`` of the wheel and loads it in every run of whoever has Muster installed, so
it imports nothing but pytest before one of its fixtures is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from muster.testing.broker import PrivateBroker
    from muster.testing.engine import Engine
    from muster.testing.replayed import ReplayedExecution

MARK = "muster_engine(runtime='process', machines={'m1': {}}, policy={}): how the engine of this test is made"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, for ``--strict-markers``."""
    config.addinivalue_line("markers", MARK)


def _place(request: pytest.FixtureRequest) -> Callable[[Path], Path]:
    """Where a file is that a test names: beside the test, else below the root of the tests."""

    def find(path: Path) -> Path:
        beside = request.path.parent / path
        rooted = request.config.rootpath / path
        return rooted if rooted.exists() and not beside.exists() else beside

    return find


@pytest.fixture
def muster_replay(request: pytest.FixtureRequest) -> Callable[..., ReplayedExecution]:
    """``muster_replay("run.jsonl", execution=None)``: the execution recorded in a fixture, folded to be asserted on.

    The path is relative to the test's file, or to the root; ``.gz`` is read too. ``.check()`` fails where this release
    of Muster would decide anything otherwise than was recorded. Neither a broker nor Docker is needed.
    """
    find = _place(request)

    def replay(path: str | Path, execution: str | None = None) -> ReplayedExecution:
        from muster.testing.replayed import replayed

        return replayed(find(Path(path)), execution)

    return replay


@pytest.fixture
def muster_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """The real engine in this process: ``await muster_engine.run("workflow.yaml", {…})``.

    Steps run as processes of this machine; ``@pytest.mark.muster_engine(runtime="noop")`` runs nothing. Its clock is
    ``muster_engine.clock``, and ``run`` skips what is only waiting. In a test that is not async, ask for ``.result()``.
    """
    from muster.testing.engine import Engine

    options: dict[str, object] = {}
    for mark in reversed([*request.node.iter_markers("muster_engine")]):
        options |= mark.kwargs
    with Engine(tmp_path_factory.mktemp("muster"), resolve=_place(request), **options) as engine:  # type: ignore[arg-type]
        yield engine


@pytest.fixture
def muster_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A NATS server of the test's own, on a free port and with a store of its own: ``.url``, ``.settings``."""
    from muster.testing.broker import PrivateBroker

    with PrivateBroker(tmp_path_factory.mktemp("muster-broker")) as broker:
        yield broker
