"""Jobs of hymir, as its importer carries them over: called the way hymir called them.

The input ``$hymir`` says what hymir would have known: ``bound``, the arguments that came from outputs of jobs, each a list
here, and ``output``, the name under which the result is stored.
"""

from __future__ import annotations

import inspect
import os
import types
import typing

from .answers import UNSET, CheckLater, Failure, Retry, Success
from .raising import Wrong

KEY = "$hymir"


def bare(function):
    """Calling a job makes one, it does not run it: what is to be run stands behind it."""
    inner = getattr(function, "__wrapped__", None)
    made_by = getattr(function, "__globals__", {}).get("__name__", "")
    return inner if inner is not None and made_by.split(".")[0] == "hymir" else function


def prepared(function, inputs, offered):
    """The function, its inputs and what is offered, for a job."""
    function = getattr(function, "__wrapped__", function)
    inputs = dict(inputs)
    parameters = inspect.signature(function).parameters
    for name in inputs.pop(KEY).get("bound", []):
        kind = parameters[name].annotation if name in parameters else None
        if kind is list or str(kind).startswith("list") or typing.get_origin(kind) is list:
            continue
        if len(inputs[name]) != 1:
            raise Wrong(
                "bind", "expected a single value for the input %s, not %d." % (name, len(inputs[name]))
            )
        inputs[name] = inputs[name][0]
    call = offered["muster"]
    state = types.SimpleNamespace(context=call.context or {}, retries=call.attempt - 1)
    known = {"workflow_id": call.execution, "job_id": os.environ.get("MUSTER_STEP", ""), "job_state": state}
    return function, inputs, dict(offered, **known)


def is_result(found):
    """Whether it is one of hymir's own."""
    return type(found).__module__.split(".")[0] == "hymir"


def answer(found, output):
    """What a job returned; nothing but results, or nothing, is allowed. ``output`` UNSET: the value as it is."""
    kind = type(found).__name__
    if found is None or kind == "Success":
        value = getattr(found, "result", None)
        return Success(value if output is UNSET else {} if output is None else {output: value})
    if kind == "Failure":
        return Failure(found.result, "the job said Failure")
    if kind == "Retry":
        return Retry(found.wait_min, found.wait_max, found.max_retries)
    if kind == "CheckLater":
        return CheckLater(found.wait_for, UNSET if found.context is None else found.context)
    raise TypeError("the job returned %r, which is no result" % (found,))
