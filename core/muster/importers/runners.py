"""The programs that run inside a container what another system ran in its own process.

Each reads ``$MUSTER_INPUT`` and writes ``$MUSTER_OUTPUT``; results that are neither success nor failure are said by
``$result``. They run on any Python from 3.8 on and need nothing but the system they come from.
"""

from __future__ import annotations

from typing import Final

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
