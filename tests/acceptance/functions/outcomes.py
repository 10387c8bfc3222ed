"""Functions with every outcome there is; the tests of processes and of containers call the same."""

# mypy: ignore-errors

import asyncio
import os
import time
from typing import Any, Dict, List, Optional  # noqa: UP035 - it also runs on Python 3.8

from muster_function import CheckLater, Failure, Progress, Retry, Skip

LOUD = True


class Overloaded(Exception):  # noqa: N818
    """Not one of Python's own."""


def shout(text: str, times: int = 1) -> Dict[str, Any]:  # noqa: UP006
    print(f"shouting {text}")
    loud = text.upper() * times
    return {"loud": loud, "length": len(loud)}


def loud(text: str) -> Dict[str, str]:  # noqa: UP006
    return {"loud": text.upper()}


def double(n: int) -> int:
    return 2 * n


async def wait_and_double(n: int) -> int:
    await asyncio.sleep(0.01)
    return 2 * n


def count(n: int):
    found = []
    for at in range(n):
        found.append(at)
        yield found


def works(n: int):
    for at in range(n):
        yield Progress(at + 1, n, f"page {at + 1}")
        time.sleep(0.2)
    return "done"


class Scale:
    def load(self):
        self.factor = 10

    def execute(self, n: int) -> int:
        return self.factor * n

    @staticmethod
    def named(name: str) -> str:
        return f"scale {name}"


class Heavy:
    def load(self):
        raise MemoryError("80 GB")

    def execute(self):
        return None


class Slow:
    def load(self):
        time.sleep(60)

    def execute(self):
        return None


def nothing():
    return None


def where(muster):
    return {"step": muster.step, "attempt": muster.attempt, "workflow": muster.workflow}


def joined(*words: str) -> str:
    return " ".join(words)


def total(numbers: List[float], unit: Optional[str] = None):  # noqa: UP006, UP045
    return {"total": sum(numbers), "unit": unit}


def refuses():
    raise ValueError("the text is empty")


def adds():
    return 1 + "two"


def asserts():
    assert 2 == 1, "two is not one"  # noqa: PLR0133


def looks_up():
    return {}["nobody"]


def own():
    raise Overloaded("come back")


def leaves():
    raise SystemExit(3)


def crashes():
    print("about to crash", flush=True)
    os._exit(7)


def a_set():
    return {1, 2}


def not_a_number():
    return float("nan")


def busy(how: str):
    asked = Retry(wait_min=0.01, wait_max=0.05, max_retries=2, reason="busy")
    if how == "raised":
        raise asked
    if how == "plain":
        return {
            "$result": "retry",
            "wait_min": "10ms",
            "wait_max": "50ms",
            "max_retries": 2,
            "reason": "busy",
        }
    return asked


def busy_by_default():
    return Retry()


def third_time(folder: str, muster):
    if muster.attempt < 3:
        raise Retry("10ms", "20ms")
    return "at last"


def polls(context: Optional[Dict[str, int]] = None):  # noqa: UP006, UP045
    if context is None:
        return CheckLater("300ms", {"job": 17, "polls": 0})
    if context["polls"] == 0:
        return CheckLater("300ms", {"job": context["job"], "polls": 1})
    if context["polls"] == 1 and not os.environ["MUSTER_ATTEMPT"] == "4":
        raise CheckLater("300ms")
    return {"value": {"job": context["job"], "polls": context["polls"] + 1}}


def idle(how: str):
    if how == "raised":
        raise Skip("nothing new")
    return Skip("nothing new")


def no_such_user(how: str):
    found = Failure({"code": 4}, "no such user")
    if how == "raised":
        raise found
    return found


def long(folder: str):
    try:
        with open(os.path.join(folder, "long.began"), "w"):  # noqa: PTH118, PTH123
            time.sleep(60)
    finally:
        with open(os.path.join(folder, "long.cleaned"), "w") as file:  # noqa: PTH118, PTH123
            file.write("cleaned")


class Gated:
    """Waits in load for /tmp/load, and in the call for /tmp/go, which the test makes."""

    def load(self):
        _until("/tmp/load")

    def execute(self):
        print("in the call", flush=True)
        _until("/tmp/go")
        return os.getpid()


def gated():
    _until("/tmp/go")
    return "through"


def cleans_up():
    try:
        print("waiting", flush=True)
        _until("/tmp/never")
    finally:
        print("cleaned up", flush=True)


def whoami():
    return {"uid": os.getuid(), "folder": os.getcwd()}  # noqa: PTH109


def _until(place):
    while not os.path.exists(place):  # noqa: PTH110
        time.sleep(0.02)


def copied(given: str, muster):
    with open(given, "rb") as source, open(os.path.join(muster.out, "copy.txt"), "wb") as target:  # noqa: PTH118, PTH123
        target.write(source.read().upper())
    return {"name": os.path.basename(given)}  # noqa: PTH119
