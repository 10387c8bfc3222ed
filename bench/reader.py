"""Somebody who looks at a view again and again until his input ends, and tells how long the looks took.

Every second look opens the view anew, the others keep it open, as a console does.
"""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path

from muster_projections.query import View

PAUSE_S = 0.002


def look(view: View) -> None:
    """What a list of executions needs."""
    with view.snapshot():
        assert view.sequence
        view.executions(20)
        view.machines()


def main() -> None:
    """Look until stdin is closed."""
    path, times = Path(sys.argv[1]), []
    kept = View.open(path)
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        began = time.perf_counter()
        if len(times) % 2:
            look(kept)
        else:
            kept.close()
            kept = View.open(path)
            look(kept)
        times.append((time.perf_counter() - began) * 1000)
    kept.close()
    times.sort()
    print(json.dumps({"looks": len(times), "longest": times[-1], "p99": times[len(times) * 99 // 100]}))


if __name__ == "__main__":
    main()
