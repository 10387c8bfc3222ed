"""Projections that are plugged in for one test."""

import importlib
import sys

import pytest

from tests.fixtures.plugged import install, use


@pytest.fixture(autouse=True)
def _forgotten():
    """Modules of one test are none of the next one's."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("own", "durations")):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def plug(tmp_path, monkeypatch):
    """Installs a module ``own`` with these entry points."""

    def plug(source: str, name: str = "own-projections", module: str = "own", **points: str) -> None:
        install(tmp_path / name, {f"{module}.py": source}, points or {"good": f"{module}:Good"}, name)
        use(tmp_path / name, monkeypatch)

    return plug
