"""Blocks of pyconduit, as its importer carries them over: ``function: muster_function.pyconduit:run``.

The image must hold pyconduit and the modules that make the blocks.
"""

from __future__ import annotations

import asyncio
import importlib

from .answers import Failure


def run(action, parameters=None, tags=(), modules=()):
    """What the block returned, as ``result``; a status other than DONE is a failure that begins with its name."""
    from pyconduit import Conduit

    for module in modules:
        importlib.import_module(module)
    job = Conduit(tags=list(tags))
    try:
        job.create_step(action, parameters=parameters or {}, id="step")
    except StopIteration:  # what pyconduit raises where it should say BLOCK_NOT_FOUND
        return Failure(None, "BLOCK_NOT_FOUND: no block is called %s" % action)
    asyncio.run(job.run())
    step = job.get_step("step")
    if step.status.value == 0:
        return {"result": step.return_value}
    return Failure(None, "%s: %s" % (step.status.name, step.return_value))
