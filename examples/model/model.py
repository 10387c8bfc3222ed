"""A function like a model: loading takes seconds and keeps 100 MB, a call takes a moment.

It needs nothing of Muster and nothing beside Python. Its "weights" are drawn by chance from a seed, so what it says of
a word means nothing; but it says the same on every machine, and cannot without the weights.
"""

import hashlib
import os
import random
import socket
import time
from pathlib import Path

MB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


class Embed:
    """Gives a vector for each word of a text: where in the weights to look is said by the word's hash."""

    def load(self, seed: int = 1, megabytes: int = 100, seconds: float = 2.0):
        """``seconds`` is how long reading a real model of this size might take: so long this takes at least."""
        began = time.monotonic()
        print(f"loading {megabytes} MB of weights")
        chance = random.Random(seed)
        self.weights = b"".join(chance.getrandbits(8 * MB).to_bytes(MB, "little") for _ in range(megabytes))
        self.calls = 0
        time.sleep(max(0.0, began + seconds - time.monotonic()))

    def execute(self, text: str, size: int = 4):
        self.calls += 1
        return {
            "vectors": {word: self._vector(word, size) for word in text.lower().split()},
            "container": socket.gethostname(),
            "call": self.calls,
            "memory": resident(),
        }

    def _vector(self, word, size):
        digest = hashlib.sha256(word.encode()).digest()
        place = int.from_bytes(digest[:8], "little") % (len(self.weights) - size)
        return [round(one / 127.5 - 1, 3) for one in self.weights[place : place + size]]


def resident():
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
