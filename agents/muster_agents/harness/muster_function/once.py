"""One call in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import traceback

from .answers import Answer
from .function import Function
from .raising import Stopped, Wrong
from .talking import Call, Wire


def once(target, wire):
    """Load, call, shut down; what is to be said of it."""
    function = Function(target)
    try:
        context = _read("MUSTER_CONTEXT", None)
        call = Call(wire, context)
        offered = {"context": context, "muster": call}
        function.load()
        wire.tell("loaded")
        try:
            return _said(function.call(_read("MUSTER_INPUT", {}), offered), context)
        except Answer as answer:
            return _said(answer, context)
        finally:
            function.shutdown()
    except Wrong as wrong:
        print(wrong.report.get("traceback") or wrong.report["message"], file=sys.stderr)
        return json.dumps({"$raised": wrong.report})


def _read(variable, otherwise):
    place = os.environ.get(variable)
    if not place or not os.path.exists(place):
        return otherwise
    with open(place, encoding="utf-8") as file:
        return json.load(file)


def _said(found, context):
    """It as JSON text."""
    try:
        if isinstance(found, Answer):
            document = found.said(context)
        else:
            document = found if isinstance(found, dict) and "$result" in found else {"$returned": found}
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Wrong("result", "what it gave cannot be written as JSON: %s." % error) from error


def _write(text):
    place = os.environ["MUSTER_OUTPUT"]
    with open(place + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(place + ".new", place)


def _stop(number, frame):
    raise Stopped


def main():
    """What the process does. It ends when the call has, whatever threads the function left."""
    sys.path[0] = os.getcwd()  # it was the file that holds this package
    signal.signal(signal.SIGTERM, _stop)
    code = 143
    try:
        text = once(sys.argv[1], Wire())
        _write(text)
        code = 1 if text.startswith('{"$raised"') else 0
        atexit._run_exitfuncs()
    except Stopped:
        pass
    except BaseException:
        traceback.print_exc()
        code = code if code == 1 else 70
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(code)
