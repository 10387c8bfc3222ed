"""Lines for Muster, one JSON object each. Whole ones: no other thread, signal or forked child gets between."""

from __future__ import annotations

import errno
import json
import os
import threading

from .raising import TEXT_MAX, Stopped, Wrong, raised, shortened, words

PROTOCOL = 1
BYTES_MAX = 1 << 20  # until ``load`` says how large a line may be
BYTES_MIN = 4096  # or no error could be told
LOG_TEXT_MAX = 16 << 10  # characters of one record: a longer one is nothing to read in a log

PARSE, REQUEST, METHOD, PARAMS = -32700, -32600, -32601, -32602
RAISED, UNFIT, TOO_LARGE, FIND, LOAD, VERSION, CANCELLED = (
    -32000,
    -32001,
    -32002,
    -32010,
    -32011,
    -32012,
    -32800,
)
# Made here: functions put others in the place of json.dumps.
_strict = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_loose = json.JSONEncoder(default=str, skipkeys=True).encode
_CODES = {"find": FIND, "load": LOAD, "bind": PARAMS, "call": RAISED, "result": UNFIT}


class Wire:
    """Where the lines go. ``brake`` keeps signals from breaking one."""

    def __init__(self, number, brake):
        self.bytes_max = BYTES_MAX
        self._number = number
        self._brake = brake
        self._lock = threading.Lock()

    def notify(self, method, **params):
        """Something happened; one that would be too large is left out."""
        line = _line({"method": method, "params": params})
        if len(line) <= self.bytes_max:
            self._send(line)

    def answer(self, request, line):
        """What ``result`` or ``error`` made, to the request of this id."""
        self._send(b'{"jsonrpc":"2.0","id":%s,%s' % (_bytes(request), line))

    def result(self, value):
        """The rest of an answer. Raises Wrong where the value cannot travel."""
        try:
            line = b'"result":%s}\n' % _bytes(value)
        except Stopped:
            raise
        except BaseException as error:  # the value may have code of its own, or change meanwhile
            text = words(error) if isinstance(error, (TypeError, ValueError, RecursionError)) else ""
            text = (text or raised("result", error).report["message"]).rstrip(".")
            raise Wrong("result", "what it gave cannot be written as JSON: %s." % text) from error
        if len(line) > self.bytes_max:
            text = "what it gave is larger than %d bytes: give a file." % self.bytes_max
            raise Wrong("result", text, code=TOO_LARGE)
        return line

    def error(self, code, message, data=None):
        """As ``result``, and always small enough."""
        for most in (TEXT_MAX, self.bytes_max // 64, 100):
            told = {"code": code, "message": shortened(message, most)}
            if data:
                told["data"] = _short(data, most)
            line = b'"error":%s}\n' % _bytes(told)
            if len(line) <= self.bytes_max:
                break
        return line

    def wrong(self, wrong):
        """As ``error``."""
        report = dict(wrong.report)
        code = report.pop("code", None) or _CODES[report["where"]]
        return self.error(code, report.pop("message"), report)

    def _send(self, line):
        with self._brake.held():
            with self._lock:
                rest = memoryview(line)
                while rest and self._number is not None:
                    try:
                        rest = rest[os.write(self._number, rest) :]
                    except OSError as error:
                        if error.errno == errno.EBADF:
                            _unheard()
                        return  # nobody reads any more; what is to be done then, the end of stdin says

    def close(self):
        """In a forked child: from now on there is nobody to tell."""
        self._number = None
        self._lock = threading.Lock()  # the one of before may be held for ever

    @property
    def closed(self):
        return self._number is None


def _unheard():
    """The function closed what is not its own: it could never be answered for, and Muster would wait in vain."""
    os.write(2, b"the function closed the descriptor on which Muster is answered; its process ends\n")
    os._exit(70)


def _bytes(value):
    return _strict(value).encode("utf-8")


def _line(content):
    try:
        return _bytes(dict({"jsonrpc": "2.0"}, **content)) + b"\n"
    except (TypeError, ValueError, RecursionError):  # half a surrogate, or a number that is none
        return _loose(dict({"jsonrpc": "2.0"}, **content)).encode("utf-8") + b"\n"


def _short(data, most):
    return {
        name: shortened(value, most)
        if isinstance(value, str)
        else value[:100]
        if isinstance(value, list)
        else value
        for name, value in data.items()
    }
