"""What can go wrong, and how it is told."""

from __future__ import annotations

import importlib
import os
import traceback

TEXT_MAX = 20000  # characters of a message or a traceback: both stand in events
HERE = os.path.dirname(__file__) + os.sep


class Wrong(Exception):
    """The call came to nothing at ``where``: find, load, bind, call or result."""

    def __init__(self, where, message, error=None, **data):
        super().__init__(message)
        self.report = dict(data, where=where, message=cut(message))
        if error is not None:
            kinds = [kind.__name__ for kind in type(error).__mro__ if kind not in (BaseException, object)]
            self.report.update(
                {"class": _qualified(type(error)), "bases": kinds, "traceback": _traced(error)}
            )


class Stopped(BaseException):
    """Muster asked the function to end: the call that runs, or all of it."""


def raised(where, error):
    text, name = words(error), type(error).__name__
    return Wrong(where, "%s: %s" % (name, text) if text else name, error)


def wrong(where, error):
    """It as it is, if it is a Wrong, else as one."""
    return error if isinstance(error, Wrong) else raised(where, error)


def words(error):
    """What it says of itself."""
    try:
        return str(error)
    except Stopped:
        raise
    except BaseException:  # it runs the function's own code
        return "its message cannot be shown"


def complain():
    """On stderr, of the exception at hand, which is nobody's answer; the function may have closed or replaced it."""
    try:
        traceback.print_exc()
    except Exception:
        pass


def _qualified(kind):
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__main__") else "%s.%s" % (module, kind.__qualname__)


def cut(text):
    return shortened(text, TEXT_MAX)


def shortened(text, most):
    """Its beginning and its end, with nothing in it that cannot travel."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    half = most // 2
    return text if len(text) <= most else "%s\n ... \n%s" % (text[:half], text[-half:])


def _traced(error):
    """Its traceback; an exception may be made so that there is none to show."""
    for show in (_cleaned, lambda error: "".join(traceback.format_tb(error.__traceback__))):
        try:
            return cut(show(error))
        except Stopped:
            raise
        except BaseException:
            continue
    return "its traceback cannot be shown"


def _cleaned(error):
    """Without the frames of this file and of the import machinery."""
    whole = traceback.TracebackException.from_exception(error)
    seen, waiting = set(), [whole]
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        kept = [frame for frame in part.stack if not _internal(frame.filename)]
        part.stack = traceback.StackSummary.from_list(kept)
        waiting += [part.__cause__, part.__context__]
    return "".join(whole.format())


def _internal(filename):
    return filename.startswith(("<frozen importlib", HERE)) or filename == importlib.__file__
