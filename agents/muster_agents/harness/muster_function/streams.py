"""The three descriptors of the process: two for Muster, the third for everybody else.

From here on stdin is empty to the function, and what it prints on stdout goes to stderr, also from C and from the
processes it starts. What Muster reads and writes has other numbers, which no process it starts inherits.
"""

from __future__ import annotations

import os
import sys

LINE_BUFFERED = 1  # _IOLBF of every C library there is


class Streams:
    """Takes them. ``heard`` is where Muster's lines come from, ``told`` where those for Muster go."""

    def __init__(self):
        sys.stdout.flush()
        self.heard, self.told = os.dup(0), os.dup(1)
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
        os.dup2(2, 1)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
        self._flush_c = _c_output()
        _tell_faults()

    def flush(self):
        """What was printed, and waits in a buffer, goes out."""
        for flush in (lambda: sys.stdout.flush(), lambda: sys.stderr.flush(), self._flush_c):
            try:
                flush()
            except Exception:  # the function may have closed or replaced them
                pass

    def mark(self, name):
        """After all that was printed until now: the end of what this call printed."""
        self.flush()
        try:
            os.write(2, b"\0" + name.encode("utf-8", "replace") + b"\n")
        except OSError:
            pass

    def close(self):
        """In a child that the function forked: it is none of Muster's."""
        numbers, self.heard, self.told = (self.heard, self.told), None, None
        for number in numbers:
            if number is not None:  # by now it may be another file's: children fork, too
                os.close(number)


def _tell_faults():
    """Where Python itself crashes, the last lines say where that was."""
    try:
        import faulthandler

        faulthandler.enable(2, all_threads=False)
    except Exception:  # a Python without it
        pass


def _c_output():
    """Makes the stdout of C end its lines as Python's does, and gives what flushes it."""
    try:
        import ctypes

        library = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(library, "__stdoutp" if sys.platform == "darwin" else "stdout")
        library.setvbuf(stdout, None, LINE_BUFFERED, ctypes.c_size_t(0))
        return lambda: library.fflush(stdout)
    except Exception:  # a Python without ctypes: what C printed comes when the process ends
        return lambda: None
