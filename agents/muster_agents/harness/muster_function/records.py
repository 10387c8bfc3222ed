"""What the function logs goes to Muster with its level, beside what it prints.

The root logger has a handler from the beginning, which would make ``logging.basicConfig`` do nothing. So that does
here what is meant by it: it sets the level; only where it is given a file, handlers or another stream it adds those.
"""

from __future__ import annotations

import logging
import sys

from .call import CURRENT
from .wire import LOG_TEXT_MAX
from .raising import shortened

_LEVELS = ((logging.CRITICAL, "critical"), (logging.ERROR, "error"), (logging.WARNING, "warning"))


class Records(logging.Handler):
    """``current`` gives the id of the call that runs where there is one at a time."""

    def __init__(self, wire, current):
        super().__init__()
        self._wire = wire
        self._current = current
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record):
        try:
            text = self.format(record)
            if self._wire.closed:  # a forked child: as without Muster
                print(text, file=sys.stderr)
                return
            call = CURRENT.get()
            self._wire.notify(
                "log",
                id=self._current() if call is None else call.id,
                level=_level(record.levelno),
                text=shortened(text, LOG_TEXT_MAX),
                logger=record.name,
            )
        except Exception:
            self.handleError(record)


def listen(wire, current):
    """From now on."""
    root, given = logging.getLogger(), logging.basicConfig
    records = Records(wire, current)
    root.addHandler(records)
    root.setLevel(logging.INFO)

    def basic_config(**options):
        stream = options.get("stream")
        elsewhere = options.get("filename") or options.get("handlers") or options.get("force")
        if elsewhere or stream not in (None, sys.stdout, sys.stderr):
            root.removeHandler(records)
            try:
                given(**options)
            finally:
                root.addHandler(records)
        elif options.get("level") is not None:
            root.setLevel(options["level"])

    logging.basicConfig = basic_config


def _level(number):
    for least, name in _LEVELS:
        if number >= least:
            return name
    return "info" if number >= logging.INFO else "debug"
