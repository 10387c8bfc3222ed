"""Conversations with the harness."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.agents.harness.conversation import Conversation, Talk


@pytest.fixture
def talk(tmp_path: Path, app: str) -> Iterator[Talk]:
    """Begins one with the functions of the test's module."""
    with ExitStack() as stack:
        yield lambda **more: stack.enter_context(Conversation(tmp_path, app, **more))
