"""The console script: Ctrl-C ends it with 130 from the first import to the last thing Python does at its end."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from typing import Any

INTERRUPTED = 130


def main() -> None:
    """Load the command line, run one command, and leave with its exit code."""
    atexit.register(_deaf)  # the first one registered runs last
    try:
        code = _run()
        signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:
        code = INTERRUPTED
        signal.signal(signal.SIGINT, _leave)
    sys.exit(code)


def _run() -> Any:
    from muster.cli.main import main as run  # the slow part, which must not stand above

    try:
        run()
    except SystemExit as ended:
        return ended.code
    return 0


def _leave(*_: Any) -> None:
    os._exit(INTERRUPTED)  # nothing is left to do but to end, and an exception here would print a traceback


def _deaf() -> None:
    """While Python itself is torn down a signal would kill the process, and its exit code would be -2."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
