"""The page about workflows in Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from muster import build

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "python.md").read_text(encoding="utf-8")
PROGRAMS = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "SyncClient" not in code]


@pytest.mark.parametrize("code", PROGRAMS, ids=range(len(PROGRAMS)))
def test_each_program_of_the_page_runs(code: str):
    """As it stands; those that need a broker run in the acceptance tests."""
    exec(compile(code, "docs/python.md", "exec"), {})


@pytest.mark.parametrize("name", build.__all__)
def test_the_page_names_every_function(name: str):
    """In the table of what it gives."""
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    assert re.search(rf"\b{name}\(", prose) or name == "workflow"
