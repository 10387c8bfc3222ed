"""The file that is put into a container, run as it is by the Pythons of this machine."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from muster_agents.harness import HARNESS, PACKAGE, harness

SOURCES = sorted(
    (Path(__file__).resolve().parents[4] / "agents/muster_agents/harness" / PACKAGE).glob("*.py")
)
OLDEST = (3, 8)
APP = """\
import sys
import muster_function
print("imported")

def echo(text: str, muster):
    muster.progress(1, 2)
    print("called", flush=True)
    sys.stderr.write("a warning")
    return {"text": text, "version": list(sys.version_info[:2])}

class Loud(Exception):
    pass

def chained():
    try:
        raise KeyError("first")
    except KeyError as error:
        raise Loud("second") from error

def threads():
    import threading, time
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "done"

class Kept:
    def execute(self):
        return muster_function.CheckLater("1s")
    def shutdown(self):
        print("shut down")
        raise RuntimeError("too late to matter")
"""


def run(
    folder: Path, function: str, inputs: Any = None, python: str = sys.executable
) -> tuple[Any, list[Any], str]:
    """What it answered, what it notified, and what it printed."""
    (folder / HARNESS).write_bytes(harness())
    (folder / "work").mkdir(exist_ok=True)
    (folder / "work" / "app.py").write_text(APP)
    (folder / "in.json").write_text(json.dumps(inputs or {}))
    (folder / "context.json").write_text('{"seen": 1}')
    names = {"INPUT": "in.json", "OUTPUT": "out.json", "CONTEXT": "context.json"}
    environment = {"PATH": os.defpath} | {
        f"MUSTER_{name}": str(folder / file) for name, file in names.items()
    }
    done = subprocess.run(
        [python, folder / HARNESS, function],
        check=False, cwd=folder / "work", env=environment, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    out = folder / "out.json"
    answer = json.loads(out.read_text()) if out.exists() else None
    assert done.returncode == (1 if answer is None or "$raised" in answer else 0), done.stderr
    return answer, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_it_is_written_for_an_old_python(source: Path):
    """Every part parses as Python 3.8 and imports nothing but the standard library and its neighbours."""
    tree = ast.parse(source.read_text(encoding="utf-8"), feature_version=OLDEST)
    known = sys.stdlib_module_names | ({"pyconduit"} if source.stem == "pyconduit" else set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(name.name.partition(".")[0] in known for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 or str(node.module).partition(".")[0] in known


def test_it_is_one_file_and_always_the_same(tmp_path: Path):
    """Stored without compression: not every Python can decompress."""
    assert harness.__wrapped__() == harness()
    (tmp_path / HARNESS).write_bytes(harness())
    with zipfile.ZipFile(tmp_path / HARNESS) as packed:
        assert {"__main__.py", f"{PACKAGE}/__init__.py", f"{PACKAGE}/once.py"} <= set(packed.namelist())
        assert all(part.compress_type == zipfile.ZIP_STORED for part in packed.infolist())


def test_only_muster_reads_stdout(tmp_path: Path):
    """There stand notifications; whatever the function prints, also while it is imported, goes to stderr."""
    answer, told, printed = run(tmp_path, "app:echo", {"text": "hä"})
    assert answer == {"$returned": {"text": "hä", "version": list(sys.version_info[:2])}}
    assert [one["method"] for one in told] == ["loaded", "progress"]
    assert told[1]["params"]["current"] == 1
    assert printed.split() == ["imported", "called", "a", "warning"]


def test_a_traceback_is_the_functions_own(tmp_path: Path):
    """Without the harness's frames, with what caused it."""
    answer, _, printed = run(tmp_path, "app:chained")
    traceback = answer["$raised"]["traceback"]
    assert "KeyError: 'first'" in traceback
    assert "direct cause" in traceback
    assert HARNESS not in traceback
    assert answer["$raised"]["class"] == "app.Loud"
    assert answer["$raised"]["bases"] == ["Loud", "Exception"]
    assert traceback.strip() in printed


def test_it_ends_when_the_call_has(tmp_path: Path):
    """A thread that the function left does not keep the step from its end."""
    assert run(tmp_path, "app:threads")[0] == {"$returned": "done"}


def test_what_shutdown_does_changes_nothing(tmp_path: Path):
    """The outcome stands; what is raised there is printed. A later check without a context keeps that of the call."""
    answer, _, printed = run(tmp_path, "app:Kept")
    assert answer == {"$result": "check_later", "wait_for": "1s", "context": {"seen": 1}}
    assert "shut down" in printed
    assert "too late to matter" in printed


@pytest.mark.parametrize("name", ["python3.8", "python3.9", "python3.10", "python3.12", "python3.13"])
def test_other_pythons(tmp_path: Path, name: str):
    """It gives the same on every Python that this machine has."""
    found = list(Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/python3"))
    python = str(found[0]) if found else shutil.which(name)
    if python is None or (not found and "shims" in python):
        pytest.skip(f"no {name} here")
    answer, told, _ = run(tmp_path, "app:echo", {"text": "a"}, python=python)
    assert answer["$returned"]["text"] == "a"
    assert answer["$returned"]["version"] == [3, int(name.partition(".")[2])]
    assert [one["method"] for one in told] == ["loaded", "progress"]
    assert run(tmp_path, "app:echo", {"text": 1}, python=python)[0]["$raised"]["expected"] == "str"
