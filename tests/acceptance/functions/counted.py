"""Functions that say which container they are in, and how often that loaded them."""

# mypy: ignore-errors

import socket
from pathlib import Path

LOADS = Path("/tmp/counted-loads")


class Counted:
    """Of the container, not of the process: a second process in it would count on."""

    def load(self):
        with LOADS.open("a") as file:
            file.write("loaded\n")
        self.calls = 0

    def execute(self, n: int):
        self.calls += 1
        loads = len(LOADS.read_text().splitlines())
        return {
            "square": n * n,
            "container": socket.gethostname(),
            "loads": loads,
            "call": self.calls,
        }
