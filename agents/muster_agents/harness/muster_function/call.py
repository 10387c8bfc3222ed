"""One call: what Muster said of it, and what the function is given as ``muster``."""

from __future__ import annotations

import contextvars
import math
import os

CURRENT = contextvars.ContextVar(
    "muster_call", default=None
)  # of this thread or task, where several run at once
_TEXTS = ("execution", "workflow", "step")


class Call:
    """What a parameter called ``muster`` is given: where the function is, and how to say how far it has come.

    ``cancelled`` turns true when the call shall end. Muster interrupts it then; a thread may have to look for itself.
    """

    def __init__(self, wire, id, params):
        self._wire = wire
        self.id = id
        self.inputs = params.get("inputs") or {}
        self.context = params.get("context")
        self.execution, self.workflow, self.step = (str(params.get(name) or "") for name in _TEXTS)
        self.attempt = int(params.get("attempt") or 1)
        self.folder = params.get("in") or ""  # where files among the inputs stand
        self.out = params.get("out") or ""  # where outputs with a path are looked for
        self.cancelled = False
        self.task = self.thread = None  # what it runs in, where several do at once

    def progress(self, current, total=None, message="", unit=""):
        """So much of the total is done."""
        current, total, texts = _number(current), _number(total), (str(unit)[:100], str(message)[:10000])
        if current is not None:
            self._wire.notify(
                "progress", id=self.id, current=current, total=total, unit=texts[0], message=texts[1]
            )

    def expose(self):
        """In the environment; only where there is one call at a time."""
        told = {"ATTEMPT": str(self.attempt), "IN": self.folder, "OUT": self.out}
        told.update({name.upper(): getattr(self, name) for name in _TEXTS})
        os.environ.update({"MUSTER_" + name: value for name, value in told.items() if value})


def _number(value):
    """What JSON can say of it; None where that is nothing."""
    if value is None or type(value) is int:
        return value
    value = float(value)
    return value if math.isfinite(value) else None
