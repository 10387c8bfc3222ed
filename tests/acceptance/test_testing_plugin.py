"""The example of a user's project: only the wheel is installed, in an environment of its own, away from the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.fixtures.require import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
UNREACHABLE = (
    "Could not fetch URL",
    "Temporary failure in name resolution",
    "No matching distribution found",
)


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in that folder, with nothing of this checkout in its way."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "MUSTER"))
    }
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=kept, capture_output=True, text=True, check=False
    )


def pip(folder: Path, python: str | Path, *arguments: str | Path) -> None:
    """Run pip; without a package index the test has no business here."""
    done = run(folder, python, "-m", "pip", "--disable-pip-version-check", *arguments)
    if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
        missing("index", f"no package index answers pip: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel and its extra ``testing``; its folder."""
    folder = tmp_path_factory.mktemp("outside")
    pip(folder, sys.executable, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("muster_engine-*.whl")
    venv.create(folder / "venv", with_pip=True)
    pip(folder, folder / "venv/bin/python", "install", "--quiet", f"{wheel}[testing]")
    return folder


def test_the_example_passes_with_only_the_wheel(environment: Path):
    """Its tests find the plugin by its entry point and pass: recorded, run, and put forward in time."""
    project = environment / "project"
    shutil.copytree(ROOT / "examples/testing", project, ignore=shutil.ignore_patterns("__pycache__"))
    done = run(project, environment / "venv/bin/python", "-m", "pytest", "-v", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    written = (project / "tests").rglob("test_*.py")
    count = sum(path.read_text().count("def test_") for path in written)
    assert count >= 5
    assert f"{count} passed" in done.stdout
    assert "muster" in next(line for line in done.stdout.splitlines() if line.startswith("plugins:"))


def test_what_was_imported_is_the_wheel(environment: Path):
    """Nothing of the checkout is seen from there: Muster is where the wheel was installed."""
    done = run(environment, environment / "venv/bin/python", "-c", "import muster; print(muster.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(environment)
