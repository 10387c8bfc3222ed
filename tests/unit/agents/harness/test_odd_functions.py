"""Whatever a function gives, raises or leaves behind, its call is answered, and so is the next one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.agents.harness.conversation import Talk

APP = """\
import asyncio, json, os, signal, sys, _thread

went_on = []

class Changing(dict):
    def items(self):
        raise RuntimeError("it changed")

class Greedy(dict):
    def items(self):
        raise MemoryError

class Closed(dict):
    def __contains__(self, name):
        raise LookupError("closed")

class Rude(Exception):
    def __str__(self):
        raise SystemExit("not even that")

def changing(): return Changing(a=1)
def greedy(): return Greedy(a=1)
def closed(): return Closed(a=1)
def rude(): raise Rude
def no_text(): raise SyntaxError("odd", ("a.py", "line", "column", 5))
def no_traceback(): raise type("Odd", (Exception,), {"__traceback__": 5})("odd")

def speechless():
    os.close(2)
    raise ValueError("not printed")

def patches():
    json.dumps = json.loads = lambda *args, **more: 1 / 0
    return "patched"

def times_out_later():
    def ring(*_):
        raise TimeoutError("too late")
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    return "begun"

def well(n: int = 0): return n

async def exits(): sys.exit(3)
async def interrupted(): raise KeyboardInterrupt
async def stops():
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
    await asyncio.sleep(0.05)
async def interrupts():
    asyncio.get_running_loop().call_later(0.01, _thread.interrupt_main)
    await asyncio.sleep(0.05)
    went_on.append("to its end")
    return "done"
async def looks():
    await asyncio.sleep(0.2)
    return went_on
async def forks():
    if os.fork() == 0:
        raise ValueError("in the child")
    await asyncio.sleep(0)
    return "parent"
async def fine(): return "fine"

async def act(what): return await globals()[what]()

class Acts:
    def execute(self, what): return globals()[what]()
    def shutdown(self):
        print("leaving", flush=True)
        sys.exit(5)

class Many(Acts):
    concurrency = 2

class Closes:
    async def load(self): pass
    def execute(self, what):
        return fine() if what == "fine" else asyncio.get_event_loop().close()

class Lazy:
    def __getattr__(self, name): raise ImportError("its part is not there")
lazy = Lazy()
"""


@pytest.fixture
def app() -> str:
    """What the harness runs."""
    return APP


@pytest.mark.parametrize("function", ["Acts", "Many"])
@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("changing", -32001, "what it gave cannot be written as JSON: RuntimeError: it changed."),
        ("greedy", -32001, "what it gave cannot be written as JSON: MemoryError."),
        ("closed", -32000, "LookupError: closed"),
        ("rude", -32000, "Rude: its message cannot be shown"),
        ("no_text", -32000, "SyntaxError: odd"),
        ("no_traceback", -32000, "Odd: odd"),
        ("speechless", -32000, "ValueError: not printed"),
    ],
)
def test_code_of_its_own_in_what_it_gives_or_raises(
    talk: Talk, function: str, what: str, code: int, words: str
):
    """It may raise anything: the call fails with that, and the next one is served by the same process."""
    talking = talk()
    talking.load(function)
    error = talking.call({"what": what})["error"]
    assert error["code"] == code
    assert error["message"].startswith(words)
    assert talking.value({"what": "well"}) == 0


def test_another_encoder_is_the_functions_own(talk: Talk):
    """A function that replaces parts of json has its answer, which is the harness's to write."""
    talking = talk()
    talking.load("Acts")
    assert talking.value({"what": "patches"}) == "patched"
    assert talking.value({"what": "well"}) == 0


def test_an_alarm_that_rings_between_two_calls(talk: Talk):
    """It ends nothing: the next call is served by the same process."""
    talking = talk()
    talking.load("Acts")
    assert talking.value({"what": "times_out_later"}) == "begun"
    talking.printed("TimeoutError: too late")
    assert talking.value({"what": "well"}) == 0


@pytest.mark.parametrize(
    ("what", "fails"), [("exits", "SystemExit: 3"), ("interrupted", "KeyboardInterrupt"), ("stops", None)]
)
def test_a_coroutine_beside_others_that_wants_to_end_all(talk: Talk, what: str, fails: str | None):
    """It ends itself alone, though all share a loop: its call is answered, and so is the next one."""
    talking = talk()
    talking.load("Many")
    answer = talking.call({"what": what})
    assert answer.get("error", {}).get("message") == fails
    assert talking.value({"what": "fine"}) == "fine"


def test_an_interrupt_of_the_main_thread_beside_several_calls(talk: Talk):
    """No answer is lost where the main thread waited for the next one."""
    talking = talk()
    talking.load("Many")
    assert talking.value({"what": "interrupts"}) == "done"
    assert talking.value({"what": "well"}) == 0


@pytest.mark.parametrize("function", ["act", "Many"])
def test_a_fork_in_a_coroutine(talk: Talk, function: str):
    """The child ends where its coroutine does, and takes nothing of the loop with it."""
    talking = talk()
    talking.load(function)
    assert talking.value({"what": "forks"}) == "parent"
    talking.printed("ValueError: in the child")
    for _ in range(3):
        assert talking.value({"what": "fine"}) == "fine"


def test_a_loop_that_was_closed(talk: Talk):
    """A function that closes the loop of its load, as old programs do, has another one for its next call."""
    talking = talk()
    talking.load("Closes")
    for _ in range(2):
        assert talking.value({"what": "close"}) is None
        assert talking.value({"what": "fine"}) == "fine"


def test_an_interrupt_ends_the_coroutine_for_good(talk: Talk):
    """What raised in the middle of the loop ended the call: its coroutine does not go on in the next one."""
    talking = talk()
    talking.load("Acts")
    assert talking.call({"what": "interrupts"})["error"]["message"] == "KeyboardInterrupt"
    assert talking.value({"what": "looks"}) == []


def test_a_module_that_will_not_be_looked_into(talk: Talk):
    """What its attributes raise is why it could not be loaded."""
    error = talk().load("lazy.part")["error"]
    assert (error["code"], error["message"]) == (-32011, "ImportError: its part is not there")
    assert "in __getattr__" in error["data"]["traceback"]


@pytest.mark.parametrize("name", ["²", "①"])
def test_an_input_that_is_nearly_a_number(talk: Talk, name: str):
    """It is the name of an argument, which the function does not have."""
    talking = talk()
    talking.load("well")
    error: Any = talking.call({name: 1})["error"]
    assert (error["code"], name in error["message"]) == (-32602, True)


def test_a_shutdown_that_exits(talk: Talk):
    """It is answered all the same."""
    talking = talk()
    talking.load("Acts")
    talking.send("shutdown", "shutdown")
    assert talking.answer("shutdown")["result"] is None
    assert talking.process.wait(20) == 0
