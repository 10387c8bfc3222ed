"""``python trial.py FOLDER``: hold every history against the copy of Muster in FOLDER.

Prints one line of JSON: the first history that does not come out again, and why. Ends with 3 where it is not the
copy that was imported.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import muster
import muster_projections
from muster.model.proof.replay import replay
from tests.golden import expected, proof
from tests.golden.store import names


def failing() -> dict[str, str]:
    """The first history that does not come out again, with what is wrong; nothing where all do."""
    seen: dict[str, proof.Views] = {}
    # Decisions first, of all: views take longer.
    for look in (_decisions, _rows):
        for name in names():
            try:
                if not look(name, seen):
                    return {name: "another outcome"}
            except Exception as error:  # whatever it is, somebody noticed
                return {name: f"{type(error).__name__}: {error}"}
    return {}


def _decisions(name: str, seen: dict[str, proof.Views]) -> bool:
    found, seen[name] = proof.decided(expected.lines(name))
    return found == {key: value for key, value in expected.read(name).items() if key != "view"}


def _rows(name: str, seen: dict[str, proof.Views]) -> bool:
    return proof.viewed(expected.lines(name), seen[name]) == expected.read(name)["view"]


if __name__ == "__main__":
    copy = Path(sys.argv[1]).resolve()
    imported = [muster.__file__, muster_projections.__file__, sys.modules[replay.__module__].__file__]
    if not all(Path(file or "").resolve().is_relative_to(copy) for file in imported):
        print(f"imported from elsewhere: {imported}", file=sys.stderr)
        sys.exit(3)
    print(json.dumps(failing()))
