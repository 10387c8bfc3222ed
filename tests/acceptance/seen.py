"""Small workflows run from the command line, and looked at through the client, which is quicker than a process."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import msgspec

from muster.cli.show import as_object
from muster.client import SyncClient
from muster.client.follower import ExecutionView
from muster.model import errors
from muster.model.log.envelope import Recorded
from muster_projections.query import View
from tests.acceptance.cli import PATIENCE_S, Muster

Shown = dict[str, Any]
SAYS = """echo '%s' > "$MUSTER_OUTPUT" """
PRINTS = {"source": "stdout"}


def shell(id_: str, script: str, **more: Any) -> dict[str, Any]:
    """A step that runs a shell script."""
    return {"id": id_, "image": "none", "command": script, **more}


def call(muster: Muster, id_: str, function: str, **inputs: Any) -> dict[str, Any]:
    """A step that calls a function of a module in the folder of the command line."""
    return {
        "id": id_,
        "image": "none",
        "working_dir": str(muster.folder),
        "function": function,
        "inputs": inputs,
    }


def workflow(muster: Muster, *steps: dict[str, Any], **more: Any) -> str:
    """The file of a workflow of these steps."""
    return muster.write("small.json", json.dumps({"name": "small", "steps": list(steps), **more}))


def run(muster: Muster, *steps: dict[str, Any], code: int = 0, **more: Any) -> Shown:
    """Run these steps and see what became of them."""
    done = muster.json("run", workflow(muster, *steps, **more), code=code)
    found = shown(muster, done["execution"])
    assert found["status"] == done["status"]
    return found


def begun(muster: Muster, *steps: dict[str, Any], status: str, **more: Any) -> Shown:
    """Submit these steps and wait until the execution has this status."""
    execution = muster("submit", workflow(muster, *steps, **more)).stdout.strip()
    return became(muster, execution, status)


def became(muster: Muster, execution: str, status: str) -> Shown:
    """What is shown of the execution as soon as it has this status."""
    with SyncClient(muster.url) as client:
        for recorded in client.events(execution, follow=True):
            found = shown(muster, execution)
            if found["status"] == status:
                return found
            assert not recorded.event.kind.startswith("execution.cleared")
    raise AssertionError("unreachable")


def shown(muster: Muster, execution: str) -> Shown:
    """What `muster show --json` prints, with ``steps`` by path."""
    with SyncClient(muster.url) as client:
        return _by_path(client.state(execution))


def _by_path(view: ExecutionView) -> Shown:
    found: Shown = msgspec.json.decode(msgspec.json.encode(as_object(view)))
    return found | {"steps": {step["path"]: step for step in found["steps"]}}


def recorded(muster: Muster, execution: str) -> list[Recorded]:
    """The execution's events."""
    with SyncClient(muster.url) as client:
        return list(client.events(execution))


def happened(muster: Muster, execution: str) -> list[tuple[str, str | None]]:
    """The kind and the step of each of its events."""
    return [(one.event.kind, one.event.step) for one in recorded(muster, execution)]


def moments(muster: Muster, execution: str) -> list[Shown]:
    """What was shown of the execution behind each of its events."""
    view, found = ExecutionView(execution), []
    for one in recorded(muster, execution):
        view.apply(one)
        found.append(_by_path(view))
    return found


def reflected(muster: Muster) -> None:
    """Return when the view has folded what the log holds now: it is a little behind, also behind ``muster run``."""
    with SyncClient(muster.url) as client:
        *_, last = client.events()
    deadline = time.monotonic() + PATIENCE_S
    with View.open(muster.data_dir / "view.db") as view:
        while view.sequence < last.sequence:
            assert time.monotonic() < deadline, f"the view is at {view.sequence} of {last.sequence}"
            time.sleep(0.02)


def accepted(muster: Muster) -> list[str]:
    """Every execution there ever was."""
    with SyncClient(muster.url) as client:
        return [one.event.execution for one in client.events(kind="execution.queued")]


def refused(muster: Muster, *steps: dict[str, Any], **more: Any) -> list[str]:
    """The names of the errors for which these steps are refused; nothing is submitted."""
    before = accepted(muster)
    error = json.loads(muster("run", workflow(muster, *steps, **more), "--json", code=2).stderr)
    assert accepted(muster) == before
    named = re.findall(r"\[(\w+)\]", " ".join(error.get("problems", ())))
    return named or [errors.by_code()[error["code"]].__name__]
