"""The watch over the loop, with the one call of the agent's that may block."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster

from tests.fixtures.blocking import ALLOWED, MUSTER

# A write of a fact to the page cache takes some 5 µs; a thread would cost ten times that and the order of facts.
JOURNAL = ("os.write", "muster_agents/journal.py", {"write"})


@pytest.fixture(autouse=True)
def no_blocking(request: pytest.FixtureRequest) -> Iterator[None]:
    """As in tests/fixtures/blocking.py."""
    if request.node.get_closest_marker("blocking"):
        yield
        return
    detector = BlockBuster(MUSTER)
    for call, path, functions in [*ALLOWED, JOURNAL]:
        detector.functions[call].can_block_in(path, functions)
    detector.activate()
    try:
        yield
    finally:
        detector.deactivate()
