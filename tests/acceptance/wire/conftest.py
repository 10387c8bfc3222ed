"""The same stack as for the tests of Docker."""

from __future__ import annotations

from tests.acceptance.docker.conftest import stack, witness

__all__ = ["stack", "witness"]
