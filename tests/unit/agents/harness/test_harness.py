"""The file that is put into a container; what it does is in the tests beside this."""

from __future__ import annotations

import ast
import sys
import zipfile
from pathlib import Path

import pytest

from muster_agents.harness import HARNESS, PACKAGE, harness

SOURCES = sorted(
    (Path(__file__).resolve().parents[4] / "agents/muster_agents/harness" / PACKAGE).glob("*.py")
)
OLDEST = (3, 8)


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
        assert {"__main__.py", f"{PACKAGE}/__init__.py", f"{PACKAGE}/serving.py"} <= set(packed.namelist())
        assert all(part.compress_type == zipfile.ZIP_STORED for part in packed.infolist())
