"""What is told to Muster while the function runs."""

from __future__ import annotations

import json
import os
import sys


class Wire:
    """What stdout was: from now on only Muster reads it, and what the function prints goes to stderr."""

    def __init__(self):
        sys.stdout.flush()
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")

    def tell(self, method, **params):
        """One notification."""
        self._file.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}) + "\n")
        self._file.flush()


class Call:
    """What a parameter called ``muster`` is given: where the function is, and how to say how far it has come."""

    def __init__(self, wire, context):
        self._wire = wire
        self.context = context
        self.execution = os.environ.get("MUSTER_EXECUTION", "")
        self.workflow = os.environ.get("MUSTER_WORKFLOW", "")
        self.step = os.environ.get("MUSTER_STEP", "")
        self.out = os.path.dirname(os.environ.get("MUSTER_OUTPUT", ""))  # where outputs with a path are looked for
        self.attempt = int(os.environ.get("MUSTER_ATTEMPT") or 1)

    def progress(self, current, total=None, message="", unit=""):
        """So much of the total is done."""
        self._wire.tell("progress", current=current, total=total, message=message, unit=unit)
