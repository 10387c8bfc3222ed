"""Secrets as a user meets them: not in logs, not in errors, not on the screen; in outputs as they are."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.cli import Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

TOKEN = "sk-4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"
APP = """
import os, sys

class Client:
    def load(self, api_key):
        print("loaded with", api_key)
        self.key = api_key

    def execute(self, give):
        print("calls with", os.environ["HUB_TOKEN"], file=sys.stderr)
        if give:
            return {"session": self.key}
        raise RuntimeError("401 for " + self.key)
"""


def test_a_secret_is_not_echoed(muster: Muster):
    """A function prints and raises what it was given under a secret's name: neither logs nor show nor run have it."""
    muster.write("vault.py", APP)
    step = {
        "image": "none",
        "working_dir": str(muster.folder),
        "function": "vault:Client",
        "environment": {"HUB_TOKEN": TOKEN[::-1]},
        "params": {"api_key": TOKEN},
    }
    steps = [
        step | {"id": "gives", "inputs": {"give": True}},
        step | {"id": "fails", "inputs": {"give": False}, "needs": ["gives"]},
    ]
    file = muster.write("vault.json", json.dumps({"name": "vault", "steps": steps}))
    ran = muster("run", file, "--id", "vault-1", code=1)
    logs, shown = muster("logs", "vault-1").stdout, muster("show", "vault-1").stdout
    for text in (ran.stdout + ran.stderr, logs, shown):
        assert TOKEN not in text
        assert TOKEN[::-1] not in text
    assert "loaded with ***" in logs
    assert logs.count("calls with ***") == 2
    assert "RuntimeError: 401 for ***" in shown
    assert "vault.py" in shown
    outputs = {found["path"]: found["outputs"] for found in muster.json("show", "vault-1")["steps"]}
    assert outputs["gives"] == {"session": TOKEN}
