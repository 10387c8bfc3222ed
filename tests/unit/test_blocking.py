"""The watch over the event loop catches Muster's own code and nobody else's."""

import asyncio
import time
from pathlib import Path

import pytest
from blockbuster import BlockingError

import muster


def _sleeper(path: Path):
    """A function that sleeps, and that Python believes to stand in ``path``."""
    scope = {"time": time}
    exec(compile("def nap():\n    time.sleep(0.001)\n", str(path), "exec"), scope)
    return scope["nap"]


INSIDE = _sleeper(Path(muster.__path__[0]) / "imaginary.py")
OUTSIDE = _sleeper(Path(__file__).parent / "imaginary.py")


async def test_blocking_in_muster_is_caught():
    """A blocking call made by Muster on the loop raises where it stands."""
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        INSIDE()


async def test_blocking_in_a_thread_is_fine():
    """The same call in a worker thread blocks nobody."""
    await asyncio.to_thread(INSIDE)


async def test_a_test_may_block():
    """Tests and fixtures may block: nothing but them runs on their loop."""
    OUTSIDE()


@pytest.mark.blocking(reason="shows the way out")
async def test_the_mark_lets_a_test_off():
    """A test with the mark is not watched."""
    INSIDE()
