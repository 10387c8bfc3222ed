"""Whoever changes a line of the engine that matters is told by a history: planted changes, on a copy of the source."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.golden import trial
from tests.golden.planted import CHANGES, Change

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("core", "agents", "projections")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of Muster with its bytecode, without which each trial would compile all of it."""
    folder = tmp_path_factory.mktemp("compiled")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    run(folder, "-c", f"import {trial.__name__}")
    return folder


@pytest.fixture
def copy(compiled: Path, tmp_path: Path) -> Path:
    """The source of Muster, to be changed."""
    return shutil.copytree(compiled, tmp_path / "copy")


def run(copy: Path, *arguments: str) -> str:
    """What Python says with the copy."""
    path = os.pathsep.join([*(str(copy / part) for part in PARTS), str(ROOT)])
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-P", *arguments]
    ran = subprocess.run(
        command,
        check=False,
        env=kept | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        cwd=copy,
        timeout=55,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def failing(copy: Path) -> dict[str, str]:
    """The first history that does not come out again with the copy, and why."""
    found: dict[str, str] = json.loads(run(copy, str(Path(trial.__file__)), str(copy)))
    return found


def plant(copy: Path, change: Change) -> None:
    """Change the line; it must be there, and only once."""
    file = copy / change.file
    text = file.read_text()
    assert text.count(change.old) == 1, f"{change.file} has {text.count(change.old)} times: {change.old}"
    file.write_text(text.replace(change.old, change.new))
    Path(cache_from_source(str(file))).unlink(missing_ok=True)  # it knows its source by time and size


def test_the_copy_as_it_is(copy: Path) -> None:
    """With nothing planted every history comes out again: what is noticed below is what was planted."""
    assert failing(copy) == {}


@pytest.mark.parametrize("name", CHANGES)
def test_a_planted_change_is_noticed(name: str, copy: Path) -> None:
    """At least one history does not come out again."""
    plant(copy, CHANGES[name])
    found = failing(copy)
    assert found, f"no history notices it: {CHANGES[name].why}"
    for history, reason in found.items():
        print(f"{history}: {reason[:300]}")
