"""What is imported, explained and drawn is what runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.cli import Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

MODULE = """\
class Success:
    def __init__(self, result): self.result = result
class CheckLater:
    def __init__(self, wait_for, context): self.wait_for, self.context = wait_for, context

def count(text): return Success(len(text.split()))
def total(*, counts: list, job_state):
    if not job_state.context: return CheckLater(0, {"asked": True})
    return Success({"sum": sum(counts), "asked": job_state.context["asked"]})
"""


def node(identity: int, name: str, **fields: object) -> dict[str, object]:
    """A job as hymir writes it."""
    return {
        "id": str(identity),
        "job": {"n": name, "i": identity, "a": [], "k": {}, ">": None, "<": None} | fields,
    }


@pytest.fixture
def jobs(muster: Muster) -> Path:
    """A serialized workflow, and the module of its jobs where a step of the process runtime finds it."""
    muster.write("jobs_of_hymir.py", MODULE)
    nodes = [
        node(1, "jobs_of_hymir.count", a=["a b c"], **{">": "counts"}),
        node(2, "jobs_of_hymir.count", a=["d e"], **{">": "counts"}),
        node(3, "jobs_of_hymir.total", **{">": "all", "<": ["counts", "job_state"]}),
    ]
    links = [{"source": "1", "target": "3"}, {"source": "2", "target": "3"}]
    muster.write("jobs.json", json.dumps({"nodes": nodes, "links": links}))
    return muster.folder / "jobs.json"


def test_a_workflow_of_hymir_runs_after_import(muster: Muster, jobs: Path):
    """Fan-in gives a list, check later its context; explain and graph name the same steps."""
    muster("import", "hymir", str(jobs), "--image", "jobs:1", "-o", "jobs.yaml")
    page = (muster.folder / "jobs.yaml").read_text()
    assert page.startswith("# Carried over from jobs.json of hymir.\n")
    found = Path(muster.folder / "jobs.yaml")
    found.write_text(page.replace("    image: ${{ inputs.image }}\n", _environment(muster.folder)))
    result = muster.json("run", "jobs.yaml")
    assert result["status"] == "succeeded"
    assert result["outputs"] == {"counts": [3, 2], "all": [{"sum": 5, "asked": True}]}
    said = muster("explain", "jobs.yaml").stdout
    assert "2. total [run] after count and count-2" in said
    assert said.splitlines()[0] == "jobs: 3 steps (3 run)"
    assert muster("graph", "jobs.yaml").stdout.count("-->") == 2


def _environment(folder: Path) -> str:
    """Where the module is: what an image would hold."""
    return f"    image: ${{{{ inputs.image }}}}\n    environment: {{PYTHONPATH: {json.dumps(str(folder))}}}\n"


def test_the_schema_that_is_printed_is_the_one_beside_the_reference(muster: Muster):
    """So an editor that has the one checks as the other does."""
    shipped = Path(__file__).resolve().parents[2] / "docs" / "workflow.schema.json"
    assert muster("schema").stdout == shipped.read_text(encoding="utf-8")
