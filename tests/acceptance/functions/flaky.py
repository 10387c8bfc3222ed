"""Functions that fail in one phase so many times; tries are counted in a file, for the process does not last."""

# mypy: ignore-errors

import os
from pathlib import Path


def tries(folder: str, what: str) -> int:
    place = Path(folder, what)
    with place.open("a") as file:
        file.write("x")
    return place.stat().st_size


class Loads:
    """Cannot be loaded the first two times."""

    def load(self, folder: str = ""):
        folder = folder or os.environ["TRIES"]
        if tries(folder, os.environ.get("NAME", "load")) < 3:
            raise RuntimeError("the weights are not there yet")

    def execute(self, n: int) -> int:
        return 2 * n


def runs(folder: str, name: str, well: int) -> int:
    tried = tries(folder, name)
    if tried < well:
        raise RuntimeError(f"try {tried} is not the one")
    return tried


def hangs(folder: str, name: str) -> int:
    import time

    tried = tries(folder, name)
    if tried < 2:
        time.sleep(60)
    return tried
