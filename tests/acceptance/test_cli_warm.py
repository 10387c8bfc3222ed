"""Where calls ran, and what stays loaded for the next, as the log tells a user."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.cli import Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]


def root(muster: Muster, execution: str) -> dict[str, Any]:
    """The step of an execution that calls what every Python has."""
    step = {"id": "it", "image": "none", "function": "math:sqrt", "inputs": {"0": 9}}
    file = muster.write("root.json", json.dumps({"name": "root", "steps": [step]}))
    muster("run", file, "--id", execution)
    [found] = muster.json("show", execution)["steps"]
    return dict(found)


@pytest.mark.timeout(180)  # every look is a process
def test_a_call_says_where_it_ran(muster: Muster):
    """The first call has its container started, the second finds it; machines and cluster show it, then as now."""
    first, second = root(muster, "root-1"), root(muster, "root-2")
    assert first["outputs"] == second["outputs"] == {"value": 3.0}
    assert (first["warm"], second["warm"]) == (False, True)
    assert first["container"] == second["container"] != ""
    container = first["container"]
    said = [line.split() for line in muster("show", "root-1").stdout.splitlines()]
    assert any("Loading" in line and "math:sqrt" in line for line in said)
    told = muster("show", "root-2").stdout
    assert "Loading Function" not in told
    assert f"in {container[:12]}, warm" in told

    wide = muster("machines", "--wide").stdout
    assert "math:sqrt" in wide
    [machine] = muster.json("cluster")["machines"]
    [kept] = machine["functions"]
    assert (kept["container"], kept["function"], kept["image"]) == (container, "math:sqrt", "none")
    assert "What is loaded" in muster("cluster").stdout
    kinds = {event["type"]: event["sequence"] for event in muster.json_lines("events", "root-1")}
    before = str(kinds["io.muster.function.loading.v1"])
    assert muster.json("cluster", "--at", before)["machines"][0]["functions"] == []
    [then] = muster.json_lines("machines", "--at", str(kinds["io.muster.function.loaded.v1"]))
    assert [each["container"] for each in then["functions"]] == [container]
