"""What the documentation shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.cli import COMMAND, PATIENCE_S, Muster, Running, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PAGES = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("client.md", "python.md")]
EXAMPLES = [code for page in PAGES for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]


@pytest.mark.parametrize(
    "code", EXAMPLES, ids=[f"example-{number}" for number in range(1, len(EXAMPLES) + 1)]
)
def test_the_examples_of_the_client_run(muster: Muster, code: str):
    """Each program in docs/client.md and docs/python.md runs to its end as it stands."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=muster.folder,
        env=muster.environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def path(muster: Muster) -> str:
    """A PATH on which `muster` is this one."""
    folder = muster.folder / "bin"
    folder.mkdir()
    (folder / "muster").write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    (folder / "muster").chmod(0o755)
    return f"{folder}:{muster.environment['PATH']}"


@pytest.mark.timeout(180)  # two dozen programs, one after the other
def test_the_tour_of_the_readme_is_what_happens(muster: Muster, path: str):
    """Each command of the tour in the README does what the text around it says, one after the other."""
    said = {}
    asking = None
    for line in TOUR:
        if "newsletter.yaml --id" in line:
            asking = subprocess.Popen(
                line,
                shell=True,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=muster.environment | {"PATH": path},
            )
            assert asking.stdout is not None
            assert any("answer it: muster resume issue-7" in told for told in asking.stdout)
            continue
        if line == "muster functions":
            until_loaded(muster, "text:most_common")
        done = subprocess.run(
            line,
            shell=True,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env=muster.environment | {"PATH": path},
        )
        said[line] = done.stdout
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        if "function run" not in line:  # what it prints and how long it took stands beside its result
            assert done.stderr == "", f"{line}: {done.stderr}"
    assert any("LOAD ONCE!" in text for text in said.values())
    assert "text:most_common" in said["muster functions"]
    assert "Hello, you!" in said["muster logs first greet"]
    assert "attempts: 3" in said["muster watch patient"]
    hopeless = next(text for line, text in said.items() if "hopeless" in line)
    assert "exit code 1" in hopeless
    assert "What to do: " in hopeless
    assert "hopeless" in said["muster list --status failed"]
    assert asking is not None
    assert "said: sent 37 characters" in asking.communicate(timeout=PATIENCE_S)[0]


def until_loaded(muster: Muster, function: str) -> None:
    """Return when the machine's beats, which are a little behind, tell of it."""
    deadline = time.monotonic() + PATIENCE_S
    while function not in {row["function"] for row in muster.json_lines("functions")}:
        assert time.monotonic() < deadline, f"{function} is not loaded"


def test_the_program_of_the_readme_runs(muster: Muster):
    """The client program in the README runs as it stands."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[0]],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=muster.environment,
    )
    assert done.stdout == "Hello, you!\n"


def test_the_test_of_the_readme_is_one(tmp_path: Path):
    """What the README shows of a test of one's own passes on a recorded run."""
    (tmp_path / "test_readme.py").write_text(PROGRAMS[1])
    (tmp_path / "run.jsonl").write_bytes((ROOT / "examples/testing/tests/run.jsonl").read_bytes())
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_plain_nats_client_resumes_by_sequence(muster: Muster, tmp_path: Path):
    """The subscriber in the README gets every failed step once, also what happened while it was away."""
    program = tmp_path / "subscriber.py"
    program.write_text(PROGRAMS[-1].replace("nats://127.0.0.1:4222", muster.url))
    muster("run", "fails.yaml", code=1)
    first = listen(muster, program)
    muster("run", "fails.yaml", code=1)
    muster("run", "fails.yaml", code=1)
    second = listen(muster, program)
    failed = len(muster.json_lines("events", "--kind", "step.failed"))
    assert first + second == failed
    assert second == 2


def listen(muster: Muster, program: Path) -> int:
    """How many lines the subscriber prints until it has seen the newest failed step."""
    newest = muster.json_lines("events", "--kind", "step.failed")[-1]["sequence"]
    seen = program.parent / "seen"
    running = Running([], muster.environment, program.parent, command=[sys.executable, str(program)])
    deadline = time.monotonic() + PATIENCE_S
    while not seen.exists() or seen.read_text() != str(newest):
        assert time.monotonic() < deadline, "the newest failed step did not come"
        time.sleep(0.02)
    running.kill()
    return len(running.lines)
