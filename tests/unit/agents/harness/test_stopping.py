"""Calls that are cancelled, and functions that are told to end."""

from __future__ import annotations

import json
import signal

import pytest

from tests.unit.agents.harness.conversation import Conversation, Talk

APP = """\
import asyncio, os, signal, sys, threading, time

def sleeps(long: float = 60):
    try:
        print("began", flush=True)
        time.sleep(long)
    finally:
        print("cleaned up")
    return "slept"

async def asleeps(long: float = 60):
    try:
        print("began", flush=True)
        await asyncio.sleep(long)
    finally:
        await asyncio.sleep(0.01)
        print("cleaned up")
    return "slept"

def holds():
    print("began", flush=True)
    while not os.path.exists("go"):
        time.sleep(0.005)
    return "held"

def begins_late(muster):
    signal.pthread_sigmask(signal.SIG_BLOCK, set(range(signal.SIGRTMIN, signal.SIGRTMAX)))
    print("not yet", flush=True)
    while not muster.cancelled:
        time.sleep(0.001)
    return asleeps()

async def asleeps_beside(long: float = 60):
    return await asleeps(long)
asleeps_beside.concurrency = 2

def spins(long: float = 60):
    end = time.monotonic() + long
    try:
        print("began", flush=True)
        while time.monotonic() < end:
            time.sleep(0.001)  # Python 3.13 leaves the jump of an empty loop out of its try
    finally:
        print("cleaned up")
    return "slept"
spins.concurrency = 2

def raises_then(long: float = 60):
    try:
        print("began", flush=True)
        time.sleep(long)
    except BaseException:
        print("cleaned up")
        raise RuntimeError("while it cleaned up")
    return "slept"

def talks(long: float = 60, muster=None):
    print("began", flush=True)
    end = time.monotonic() + long
    while time.monotonic() < end:
        muster.progress(1, message="x" * 9000)
    return "slept"

def waits(long: float = 60):
    print("began", flush=True)
    threading.Event().wait(long)
    return "slept"

class Deaf:
    def execute(self):
        while True:
            try:
                print("began", flush=True)
                time.sleep(60)
            except BaseException:
                print("no")
    def shutdown(self):
        print("shut down")

class Slow:
    def load(self):
        print("began", flush=True)
        time.sleep(60)
    def execute(self):
        return None

class Leaves:
    def execute(self):
        threading.Thread(target=time.sleep, args=(600,)).start()
        return "done"
    def shutdown(self):
        raise RuntimeError("too late to matter")

class Kind:
    def execute(self):
        print("began", flush=True)
        time.sleep(60)
    def shutdown(self):
        print("shut down", flush=True)
"""
KINDS = ["sleeps", "asleeps", "asleeps_beside", "spins", "raises_then"]


@pytest.fixture
def app() -> str:
    """The functions above."""
    return APP


def cancel(it: Conversation, id_: str) -> None:
    """Say it."""
    it.send("cancel", id=id_)


@pytest.mark.parametrize("function", [*KINDS, "waits"])
def test_a_call_is_cancelled(talk: Talk, function: str):
    """Whatever it does, it cleans up, is answered so, and the next call runs to its end."""
    it = talk()
    it.load(function)
    it.execute("e/s/1")
    it.printed("began")
    assert it.calls() == ["e/s/1"]
    cancel(it, "e/s/1")
    assert it.answer("e/s/1")["error"]["code"] == -32800
    if function != "waits":
        it.printed("cleaned up")
    assert it.value({"long": 0.05}, id_="e/s/2") == "slept"
    assert it.end() == 0


@pytest.mark.parametrize("function", [*KINDS, "waits"])
def test_a_cancel_that_comes_with_its_call(talk: Talk, function: str):
    """Wherever on its way to the first line of the function the call is then, it is cancelled, and answered once."""
    it = talk()
    it.load(function)
    for at in range(20):
        order = {"jsonrpc": "2.0", "id": f"e/s/{at}", "method": "execute", "params": {"inputs": {}}}
        stop = {"jsonrpc": "2.0", "method": "cancel", "params": {"id": f"e/s/{at}"}}
        it.write(f"{json.dumps(order)}\n{json.dumps(stop)}".encode())
        assert it.answer(f"e/s/{at}")["error"]["code"] == -32800
    assert it.value({"long": 0.05}, id_="e/s/last") == "slept"
    assert it.calls() == []


def test_a_coroutine_that_is_cancelled_before_its_first_step(talk: Talk):
    """It never takes it, whatever the function did to keep the cancel from coming before."""
    it = talk()
    it.load("begins_late")
    it.execute("e/s/1")
    it.printed("not yet")
    cancel(it, "e/s/1")
    assert it.answer("e/s/1")["error"]["code"] == -32800
    assert "began" not in it.printed("\0e/s/1")
    assert it.calls() == []


def test_no_line_is_broken(talk: Talk):
    """A call that is cancelled while it talks to Muster says whole lines, again and again."""
    it = talk()
    it.load("talks")
    for at in range(30):
        it.execute(f"e/s/{at}")
        it.until("progress")
        cancel(it, f"e/s/{at}")
        assert it.answer(f"e/s/{at}")["error"]["code"] == -32800


def test_a_call_that_waits_is_cancelled(talk: Talk):
    """It never begins; the one before it is not touched, and an order that comes twice is one."""
    it = talk()
    it.load("holds")
    it.execute("e/s/1")
    it.execute("e/s/2")
    it.execute("e/s/2")
    it.printed("began")
    cancel(it, "e/s/2")
    cancel(it, "e/s/2")
    assert it.calls() == ["e/s/1", "e/s/2"]
    (it.folder / "go").touch()
    assert it.answer("e/s/1")["result"] == {"$returned": "held"}
    assert it.answer("e/s/2")["error"]["code"] == -32800
    assert it.printed("\0e/s/2").count("began") == 1
    assert it.calls() == []


def test_a_cancel_that_comes_late_means_nothing(talk: Talk):
    """Not to the next call either."""
    it = talk()
    it.load("sleeps")
    assert it.value({"long": 0}, id_="e/s/1") == "slept"
    it.execute("e/s/2", {"long": 0.3})
    it.printed("\0e/s/1\nbegan")
    cancel(it, "e/s/1")
    assert it.answer("e/s/2")["result"] == {"$returned": "slept"}


def test_a_call_that_will_not_end_is_still_under_way(talk: Talk):
    """It says so; to kill it is Muster's business."""
    it = talk()
    it.load("Deaf")
    it.execute("e/s/1")
    it.printed("began")
    cancel(it, "e/s/1")
    it.printed("no")
    assert it.calls() == ["e/s/1"]
    it.process.terminate()
    assert it.calls() == ["e/s/1"]


@pytest.mark.parametrize("function", KINDS)
def test_sigterm_ends_all(talk: Talk, function: str):
    """The call is stopped and answered, then the process ends."""
    it = talk()
    it.load(function)
    it.execute("e/s/1")
    it.printed("began")
    it.process.terminate()
    assert it.answer("e/s/1")["error"]["code"] == -32800
    assert it.process.wait(20) == 128 + signal.SIGTERM
    it.printed("cleaned up")


def test_sigterm_shuts_down(talk: Talk):
    """Also where nothing runs."""
    it = talk()
    it.load("Kind")
    it.process.terminate()
    assert it.process.wait(20) == 128 + signal.SIGTERM
    it.printed("shut down")


def test_sigterm_while_it_loads(talk: Talk):
    """Load is answered, and it ends without having been loaded."""
    it = talk()
    it.send("load", "load", protocol=1, function="app:Slow")
    it.printed("began")
    assert it.calls() == []
    it.process.terminate()
    assert it.answer("load")["error"]["code"] == -32800
    assert it.process.wait(20) == 128 + signal.SIGTERM


@pytest.mark.parametrize("function", ["sleeps", "spins"])
def test_the_end_of_stdin_waits_for_the_call(talk: Talk, function: str):
    """Its answer may still be read; what comes after is not begun."""
    it = talk()
    it.load(function)
    it.execute("e/s/1", {"long": 0.3})
    assert it.end() == 0
    assert it.answer("e/s/1")["result"] == {"$returned": "slept"}


def test_shutdown_is_answered_last(talk: Talk):
    """After the calls that were ordered before it; those after it are not heard."""
    it = talk()
    it.load("sleeps")
    it.execute("e/s/1", {"long": 0.1})
    it.send("shutdown", "shutdown")
    it.execute("e/s/2", {"long": 0.1})
    assert it.answer("e/s/1")["result"] == {"$returned": "slept"}
    assert it.answer("shutdown")["result"] is None
    assert it.process.wait(20) == 0


def test_what_is_left_does_not_keep_it(talk: Talk):
    """Neither a thread that goes on nor what shutdown raises, which is printed."""
    it = talk()
    it.load("Leaves")
    assert it.value() == "done"
    assert it.value(id_="e/s/2") == "done"
    it.send("shutdown", "shutdown")
    assert it.answer("shutdown")["result"] is None
    assert it.process.wait(20) == 0
    it.printed("too late to matter")
