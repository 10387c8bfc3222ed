"""A function that is loaded once and called many times: the whole life of its process.

One thread reads what Muster says. It answers ``ping`` and does ``cancel`` and ``release`` at once, also while a call
runs, and queues ``load``, ``execute`` and ``shutdown`` for the main thread. That one does a thing at a time, and it
alone answers calls. What calls run in is decided when the function is found (``running``): the main thread itself, so
that signals and loops work as in any program, or threads, where the function says that it can take several at once.

A call is under way (in ``_calls``) from when it is read until its answer has been written. Its end is: what it
printed is flushed, the mark, the answer. SIGTERM cancels what is under way, and is then what the end of stdin is: shut
down.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from json import loads  # functions put others in its place

from . import records, wire
from .brake import Brake
from .call import Call
from .folders import Folders
from .function import Function
from .loops import Loop
from .queueing import Work
from .raising import Stopped, Wrong, complain, wrong
from .running import Alone, Many
from .streams import Streams

WAITING_MAX = 1000  # calls that wait: Muster sends no more than the function can take
READ_BYTES = 64 << 10
STOPPED = 143  # the exit code of what SIGTERM ended


class Loading:
    """What can be stopped while there is no call."""

    cancelled = False


class Server:
    """One for the process: it takes its streams and signals."""

    def __init__(self):
        loop = Loop()
        self._pid = os.getpid()
        self._folders = Folders({os.environ.get("MUSTER_IN"), os.environ.get("MUSTER_OUT")})
        self._streams = Streams()
        self._brake = Brake(loop)
        self._wire = wire.Wire(self._streams.told, self._brake)
        self._queue = Work()
        self._calls = {}
        self._answering = threading.Lock()  # whoever sees a call go has its answer already
        self._loading = Loading()
        self._loop = loop
        self._function = None
        self._runner = None
        self._leaving = False
        self._silent = os.environ.pop("MUSTER_FUNCTION_SILENT", None) is not None
        self._code = 0
        self._heard = {
            "ping": self._ping,
            "cancel": lambda id, params: self._cancel(self._calls.get(params.get("id"))),
            "release": lambda id, params: self._folders.release(params.get("id")),
            "load": lambda id, params: self._queue.put((self._load, id, params)),
            "execute": self._accept,
            "shutdown": self._shut,
        }

    def run(self):
        """Until it is over; the exit code."""
        brake = self._brake
        os.register_at_fork(before=brake.forking, after_in_parent=brake.forked, after_in_child=self._forked)
        brake.install(self._terminated)
        records.listen(self._wire, lambda: self._runner and self._runner.current)
        threading.Thread(target=self._read, name="muster-reader", daemon=True).start()
        farewell = []
        while not (self._leaving and farewell and not self._calls):
            work, id, params = self._queue.get()
            if work is None:
                farewell.append(id)
            else:
                work(id, params)
        if self._runner is not None:
            self._function.shutdown()
        self._streams.flush()
        for id in farewell:
            if id is not None:
                self._wire.answer(id, self._wire.result(None))
        return self._code

    # ---- in the thread that reads

    def _read(self):
        rest = b""
        while True:
            try:
                chunk = os.read(self._streams.heard, READ_BYTES)
            except OSError:
                chunk = b""
            if not chunk:
                break
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                if line.strip():
                    self._hear(line)
        self._shut(None, {})

    def _hear(self, line):
        try:
            message = loads(line)
        except (ValueError, RecursionError):
            return self._refuse(None, wire.PARSE, "a line is no JSON.")
        if (
            isinstance(message, dict)
            and "method" not in message
            and ("result" in message or "error" in message)
        ):
            return None
        id = message.get("id") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(id, (str, int, float, type(None))):
            return self._refuse(None, wire.REQUEST, "a line is no request.")
        method, params = message.get("method"), message.get("params", {})
        hear = self._heard.get(method) if isinstance(method, str) else None
        try:
            if hear is None:
                return self._refuse(id, wire.METHOD, "there is no method %s." % (method,), "id" in message)
            if not isinstance(params, dict):
                return self._refuse(id, wire.PARAMS, "params must be an object.", "id" in message)
            if id is not None or method in ("cancel", "release"):
                hear(id, params)
        except Exception:  # whatever it was, the next line is heard
            complain()

    def _refuse(self, id, code, message, wanted=True):
        if wanted:
            self._wire.answer(id, self._wire.error(code, message))

    def _ping(self, id, params):
        with self._answering:
            self._wire.answer(id, self._wire.result({"calls": list(self._calls)}))

    def _accept(self, id, params):
        with self._answering:
            known = id in self._calls
        if known or self._leaving:
            return
        try:
            if not isinstance(params.get("inputs", {}), dict):
                raise ValueError("inputs must be an object")
            call = Call(self._wire, id, params)
        except (TypeError, ValueError) as error:
            self._refuse(id, wire.PARAMS, "execute cannot be understood: %s." % error)
        else:
            if len(self._calls) >= WAITING_MAX:
                self._refuse(id, wire.REQUEST, "%d calls are waiting already." % WAITING_MAX)
            else:
                self._calls[id] = call
                self._queue.put((self._begin, call, None))

    def _cancel(self, call):
        if call is not None and not call.cancelled:
            call.cancelled = True
            if self._runner is not None:
                self._runner.interrupt(call)

    def _shut(self, id, params):
        self._leaving = True
        self._queue.put((None, id, None))

    # ---- in the main thread

    def _terminated(self):
        """SIGTERM: the handler runs anywhere in the main thread, and may not come back from an interrupt."""
        self._code = STOPPED
        self._shut(None, {})
        calls = list(self._calls.values())
        for one in [self._loading, *calls]:
            one.cancelled = True
        if self._runner is not None:
            for call in calls:
                self._runner.interrupt(call)

    def _load(self, id, params):
        """Import and load; what is printed meanwhile belongs to no call."""
        try:
            try:
                self._brake.begin(self._loading)
                line = self._loaded(params)
            finally:
                self._brake.end()
        except Stopped:
            line = self._wire.error(wire.CANCELLED, "stopped while it was loaded.")
        except BaseException as error:
            found = wrong("load", error)
            self._show(found)
            line = self._wire.wrong(found)
        self._part(None)
        self._streams.flush()
        self._wire.answer(id, line)

    def _loaded(self, params):
        target, given = params.get("function"), params.get("params") or {}
        if self._runner is not None:
            return self._wire.error(wire.REQUEST, "a function is loaded already.")
        if params.get("protocol") != wire.PROTOCOL:
            text = "this harness speaks version %d of the protocol." % wire.PROTOCOL
            return self._wire.error(wire.VERSION, text, {"supported": [wire.PROTOCOL]})
        if not isinstance(target, str) or not isinstance(given, dict):
            return self._wire.error(wire.PARAMS, "load wants a function, and params that are an object.")
        self._limit(params.get("limits"))
        function = Function(target)
        function.find()
        concurrency = function.concurrency
        runner = (
            Alone(self._brake, self._done)
            if concurrency == 1
            else Many(concurrency, self._done, self._queue, self._part)
        )
        function.settles = self._loop.run if concurrency == 1 else runner.settle
        function.load(given)
        self._function, self._runner = function, runner
        found = {"protocol": wire.PROTOCOL, "concurrency": concurrency, "name": target, "marks": True}
        return self._wire.result(dict(found, **function.ports()))

    def _limit(self, limits):
        told = limits.get("message_bytes") if isinstance(limits, dict) else None
        if type(told) is int and told > 0:
            self._wire.bytes_max = max(told, wire.BYTES_MIN)

    def _begin(self, call, _):
        if self._runner is None:
            self._done(call, self._wire.error(wire.REQUEST, "no function is loaded."))
            return
        self._folders.begin(call)
        self._runner.start(call, self._outcome)

    def _outcome(self, call):
        """What is to be answered."""
        try:
            found = self._function.answer(call)
            self._part(None)
            return self._wire.result(found)
        except Stopped:
            raise
        except BaseException as error:  # what is given, and its type hints, may have code of their own
            self._part(error)
            if call.cancelled:
                raise Stopped from None
            found = wrong("call", error)
            self._show(found)
            return self._wire.wrong(found)

    def _done(self, call, line):
        """Once, whoever says it how often."""
        self._part(None)
        if self._calls.get(call.id) is not call:
            return
        if line is None:
            line = self._wire.error(wire.CANCELLED, "the call was cancelled.")
        self._folders.answered(call)  # not between the two that the agent waits for
        self._streams.mark(str(call.id))
        with self._answering:
            self._wire.answer(call.id, line)
            del self._calls[call.id]
        self._folders.end(call)
        if self._runner is not None:
            self._runner.next(self._outcome)

    def _show(self, wrong):
        if not self._silent:
            _show(wrong)

    # ---- in a child that the function forked

    def _forked(self):
        self._streams.close()
        self._wire.close()
        self._brake.forget()

    def _part(self, error):
        """A forked child that comes back from the function ends here: its parent answers."""
        if os.getpid() != self._pid:
            cause = error.__cause__ if isinstance(error, Wrong) and error.__cause__ is not None else error
            code = 0 if error is None else getattr(cause, "code", 1)
            if error is not None and not isinstance(cause, SystemExit):
                _show(wrong("call", error))
            self._streams.flush()
            os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _show(wrong):
    text = (wrong.report.get("traceback") or wrong.report["message"]).rstrip("\n")
    try:
        print(text, file=sys.stderr)
    except Exception:  # the function may have closed or replaced it
        try:
            os.write(2, text.encode("utf-8", "backslashreplace") + b"\n")
        except OSError:  # or that descriptor: the traceback is in the answer, too
            pass


def main():
    """What the process does. It ends when it is told to, whatever threads the function left."""
    here = os.path.abspath(sys.path[0])  # the file that holds this package
    sys.path[0] = os.getcwd()
    sys.path.append(here)  # for the interpreters that the function starts
    code = 70
    try:
        code = Server().run()
        atexit._run_exitfuncs()
    except BaseException:
        complain()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(code)
