"""The programs that run inside a container what another system ran in its own process.

Each reads ``$MUSTER_INPUT`` and writes ``$MUSTER_OUTPUT``; results that are neither success nor failure are said by
``$result``. They run on any Python from 3.8 on and need nothing but the system they come from.
"""

from __future__ import annotations

from typing import Final

HYMIR: Final = """\
import importlib, inspect, json, os, types, typing

given = json.load(open(os.environ["MUSTER_INPUT"]))
module, _, name = given["job"].rpartition(".")
function = getattr(importlib.import_module(module), name)
function = getattr(function, "__wrapped__", function)
parameters = inspect.signature(function).parameters
arguments = dict(given.get("kwargs", {}))
for name, values in given.get("bound", {}).items():
    kind = parameters[name].annotation if name in parameters else None
    if typing.get_origin(kind) is list or kind is list:
        arguments.setdefault(name, values)
    elif len(values) == 1:
        arguments.setdefault(name, values[0])
    else:
        raise ValueError("expected a single value for the input %s" % name)
context = os.environ.get("MUSTER_CONTEXT")
known = {
    "workflow_id": os.environ["MUSTER_EXECUTION"],
    "job_id": os.environ["MUSTER_STEP"],
    "job_state": types.SimpleNamespace(
        context=json.load(open(context)) if context else {}, retries=int(os.environ["MUSTER_ATTEMPT"]) - 1
    ),
}
for name in given.get("reserved", []):
    arguments[name] = known[name]
found = function(*given.get("args", []), **arguments)
kind = type(found).__name__
if found is None or kind == "Success":
    output = given.get("output")
    said = {output: getattr(found, "result", None)} if output else {}
elif kind == "Failure":
    said = {"$result": "failure", "reason": "the job said Failure", "value": found.result}
elif kind == "Retry":
    said = {"$result": "retry", "wait_min": found.wait_min, "wait_max": found.wait_max}
    said["max_retries"] = found.max_retries
elif kind == "CheckLater":
    said = {"$result": "check_later", "wait_for": found.wait_for, "context": found.context}
else:
    raise TypeError("the job returned %r, which is no result" % (found,))
with open(os.environ["MUSTER_OUTPUT"], "w") as file:
    json.dump({key: value for key, value in said.items() if value is not None or key == given.get("output")}, file)
"""

PYCONDUIT: Final = """\
import asyncio, importlib, json, os
from pyconduit import Conduit

given = json.load(open(os.environ["MUSTER_INPUT"]))
for module in given.get("modules", []):
    importlib.import_module(module)
job = Conduit(tags=given.get("tags", []))
try:
    job.create_step(given["action"], parameters=given.get("parameters", {}), id="step")
except StopIteration:  # what pyconduit raises where it should say BLOCK_NOT_FOUND
    said = {"$result": "failure", "reason": "BLOCK_NOT_FOUND: no block is called %s" % given["action"]}
else:
    asyncio.run(job.run())
    step = job.get_step("step")
    if step.status.value == 0:
        said = {"result": step.return_value}
    else:
        said = {"$result": "failure", "reason": "%s: %s" % (step.status.name, step.return_value)}
with open(os.environ["MUSTER_OUTPUT"], "w") as file:
    json.dump(said, file)
"""
