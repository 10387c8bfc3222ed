"""One call: what Muster said of it, and what the function is given as ``muster``."""

from __future__ import annotations

import contextvars
import math
import os
import shutil

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
        self._made = []

    def progress(self, current, total=None, message="", unit=""):
        """So much of the total is done."""
        current, total, texts = _number(current), _number(total), (str(unit)[:100], str(message)[:10000])
        if current is not None:
            self._wire.notify(
                "progress", id=self.id, current=current, total=total, unit=texts[0], message=texts[1]
            )

    def settle(self):
        """Its folders are there, whether or not Muster put something into them; where not, they are the function's."""
        for folder in (self.folder, self.out):
            if folder:
                try:
                    os.mkdir(folder)
                    self._made.append(folder)
                except OSError:  # it is there, or cannot be: then the function will see
                    pass

    def expose(self):
        """In the environment; only where there is one call at a time."""
        told = {"ATTEMPT": str(self.attempt), "IN": self.folder, "OUT": self.out}
        told.update({name.upper(): getattr(self, name) for name in _TEXTS})
        os.environ.update({"MUSTER_" + name: value for name, value in told.items() if value})

    def left(self):
        """The folders of which Muster will say when it has taken the files."""
        folders = [one for one in (self.folder, self.out) if one and one not in self._made]
        return [one for one in folders if os.path.isdir(one)]

    def clear(self):
        """What ``settle`` made goes. Nobody waits for it."""
        if self._made:
            remove(self._made)


def remove(folders):
    """And what is in them."""
    for folder in folders:
        try:
            os.rmdir(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


def _number(value):
    """What JSON can say of it; None where that is nothing."""
    if value is None or type(value) is int:
        return value
    value = float(value)
    return value if math.isfinite(value) else None
