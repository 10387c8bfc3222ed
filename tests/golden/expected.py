"""``python -m tests.golden.expected [NAME…]``: write down anew what comes of histories; without a name, of all.

For when an expectation was changed on purpose: another version of a projection, another field of an error. The
histories themselves stay. Look at ``git diff`` before committing: each line that changed is a change of behaviour.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.golden import proof
from tests.golden.store import expectation, history, names


def lines(name: str) -> list[bytes]:
    """The lines of the history."""
    return history(name).read_bytes().splitlines()


def come_out(name: str) -> dict[str, Any]:
    """What comes of the history now, as it would be written down."""
    return proof.prove(lines(name))


def read(name: str) -> dict[str, Any]:
    """What is expected of it."""
    found: dict[str, Any] = json.loads(expectation(name).read_text())
    return found


def write(name: str) -> None:
    """Expect from now on what comes out now."""
    text = json.dumps(come_out(name), indent=1, ensure_ascii=False, sort_keys=False)
    expectation(name).write_text(text + "\n")


if __name__ == "__main__":
    for each in sys.argv[1:] or names():
        write(each)
