"""A function that is loaded once and called many times, through the lines of its process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agents.harness.conversation import Talk

APP = """\
import asyncio, json, os, sys, threading, time
import muster_function

loads = []

def echo(text: str, muster):
    muster.progress(1, 2, "half", "pages")
    return {"text": text, "version": list(sys.version_info[:2]), "context": muster.context}

class Model:
    def __init__(self):
        loads.append(os.getpid())
    def load(self, size: int = 1):
        self.size = size
    def execute(self, n: int = 1):
        return [self.size * n, len(loads)]
    def shutdown(self):
        print("shut down")

class Made:
    def __init__(self, name: str):
        self.name = name
    def execute(self):
        return self.name

class Session:
    async def load(self):
        self.loop = asyncio.get_running_loop()
    async def execute(self):
        return asyncio.get_running_loop() is self.loop

class Sessions(Session):
    concurrency = 2

def scaled(n: int, factor: int = 1, **more):
    return [n * factor, more]

def strict(n: int):
    return n

def gives(what: str):
    return {"set": {1}, "nan": float("nan"), "deep": deep(), "large": "x" * 5000, "half": "\\ud800",
            "later": muster_function.CheckLater("1s"), "plain": {"$result": "skip"}}[what]

def deep():
    found = []
    for _ in range(100000):
        found = [found]
    return found

class Loud(Exception):
    pass

def chained():
    try:
        raise KeyError("first")
    except KeyError as error:
        raise Loud("second" * 1000) from error

together = threading.Barrier(3, timeout=15)

def meets(n: int, muster):
    together.wait()
    return [n, muster.step]
meets.concurrency = 3

arrived = []

async def ameets(n: int):
    arrived.append(n)
    while len(arrived) < 3:
        await asyncio.sleep(0.001)
    return n
ameets.concurrency = 3

async def counted(n: int):
    for at in range(n):
        yield muster_function.Progress(at + 1, n)
    yield "done"
counted.concurrency = 2

def environment(muster):
    found = {name: value for name, value in os.environ.items() if name.startswith("MUSTER_")}
    open(os.path.join(muster.out, "made.txt"), "w").close()
    return found

def environments(muster):
    return environment(muster)
environments.concurrency = 2

def odd(): pass
odd.concurrency = 0
"""


@pytest.fixture
def app() -> str:
    """The functions above."""
    return APP


@pytest.mark.parametrize("name", ["python3.8", "python3.9", "python3.10", "python3.12", "python3.13"])
def test_other_pythons(talk: Talk, name: str):
    """It gives the same on every Python that this machine has."""
    found = list(Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/python3"))
    python = str(found[0]) if found else shutil.which(name)
    if python is None or (not found and "shims" in python):
        pytest.skip(f"no {name} here")
    it = talk(python=python)
    assert it.load("echo")["result"] == {
        "protocol": 1,
        "concurrency": 1,
        "name": "app:echo",
        "marks": True,
        "inputs": {"text": {"type": "string", "required": True}},
    }
    version = [3, int(name.partition(".")[2])]
    assert it.value({"text": "hä"}, context=[1]) == {"text": "hä", "version": version, "context": [1]}
    params = {"id": "e/s/1", "current": 1, "total": 2, "unit": "pages", "message": "half"}
    assert it.told == [{"jsonrpc": "2.0", "method": "progress", "params": params}]
    error = it.call({"text": 1})["error"]
    assert (error["code"], error["data"]["where"], error["data"]["expected"]) == (-32602, "bind", "str")
    assert it.end() == 0


def test_it_is_loaded_once(talk: Talk):
    """Every call finds what load made; shutdown is answered when the function has shut down."""
    it = talk()
    it.load("Model", size=5)
    assert [it.value({"n": n}) for n in range(3)] == [[0, 1], [5, 1], [10, 1]]
    it.send("shutdown", "shutdown")
    assert it.answer("shutdown")["result"] is None
    assert "shut down" in it.printed("shut down")
    assert it.process.wait(20) == 0


@pytest.mark.parametrize(
    ("function", "params", "inputs", "value"),
    [
        ("Made", {"name": "x"}, {}, "x"),
        ("scaled", {"factor": 3}, {"n": 2}, [6, {}]),
        ("scaled", {"factor": 3}, {"n": 2, "factor": 4}, [8, {}]),
        ("scaled", {"factor": 3, "other": 1}, {"n": 2, "more": 2}, [6, {"other": 1, "more": 2}]),
    ],
)
def test_params(talk: Talk, function: str, params: Any, inputs: Any, value: Any):
    """They go to load, to the class, or to every call that says nothing else."""
    it = talk()
    assert "result" in it.load(function, **params)
    assert it.value(inputs) == value


@pytest.mark.parametrize(
    ("function", "params", "code", "words"),
    [
        ("Model", {"sise": 1}, -32602, "no argument sise. Did you mean size?"),
        ("Model", {"size": "1"}, -32602, "the argument size must be int, not str"),
        ("Made", {}, -32602, "the argument name is missing"),
        ("strict", {"m": 1}, -32602, "no argument m"),
        ("strict", {"n": "1"}, -32602, "the argument n must be int"),
        ("odd", {}, -32011, "concurrency must be a whole number from 1"),
        ("ecko", {}, -32010, "Did you mean echo?"),
    ],
)
def test_what_cannot_be_loaded(talk: Talk, function: str, params: Any, code: int, words: str):
    """Each is an error of load that names what is wrong; nothing can be called then."""
    it = talk()
    error = it.load(function, **params)["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert it.call()["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("set", -32001, "cannot be written as JSON"),
        ("nan", -32001, "cannot be written as JSON"),
        ("deep", -32001, "cannot be written as JSON"),
        ("half", -32001, "cannot be written as JSON"),
        ("large", -32002, "larger than 4096 bytes"),
    ],
)
def test_what_cannot_travel(talk: Talk, what: str, code: int, words: str):
    """It is an error of its call, and the next call goes on."""
    it = talk()
    it.load("gives", message_bytes=4096)
    error = it.call({"what": what})["error"]
    assert (error["code"], error["data"]["where"]) == (code, "result")
    assert words in error["message"]
    assert it.call({"what": "plain"})["result"] == {"$result": "skip"}
    later = it.call({"what": "later"}, context=[7])["result"]
    assert later == {"$result": "check_later", "wait_for": "1s", "context": [7]}


@pytest.mark.parametrize("message_bytes", [1 << 20, 4096])
def test_what_a_function_raises(talk: Talk, message_bytes: int):
    """Its class, those above, and its own traceback with what caused it, cut to what a line may hold."""
    it = talk()
    it.load("chained", message_bytes=message_bytes)
    error = it.call()["error"]
    assert error["code"] == -32000
    assert error["message"].startswith("Loud: second")
    assert error["data"]["class"] == "app.Loud"
    assert error["data"]["bases"] == ["Loud", "Exception"]
    if message_bytes > 4096:
        assert "KeyError: 'first'" in error["data"]["traceback"]
        assert "muster_function" not in error["data"]["traceback"]
    assert "KeyError: 'first'" in it.printed("\0e/s/1\n")


@pytest.mark.parametrize("function", ["meets", "ameets"])
def test_several_at_once(talk: Talk, function: str):
    """A function that says so is called again while it runs; each call gets its own answer."""
    it = talk()
    assert it.load(function)["result"]["concurrency"] == 3
    for n in range(3):
        it.execute(f"e/s/{n}", {"n": n}, step="s")
    found = {message["id"]: message["result"]["$returned"] for message in (it.receive() for _ in range(3))}
    assert found == {f"e/s/{n}": [n, "s"] if function == "meets" else n for n in range(3)}
    assert it.calls() == []
    assert it.end() == 0


@pytest.mark.parametrize("function", ["Session", "Sessions"])
def test_the_loop_is_kept(talk: Talk, function: str):
    """What load opened on its loop can be used in every call, one at a time or several."""
    it = talk()
    assert it.load(function)["result"]["concurrency"] == (2 if function == "Sessions" else 1)
    assert it.value() is True
    assert it.value() is True


def test_progress_is_told_with_its_call(talk: Talk):
    """Also where several may run."""
    it = talk()
    it.load("counted")
    assert it.value({"n": 2}, id_="e/s/9") == "done"
    assert [one["params"]["id"] for one in it.told] == ["e/s/9"] * 2


def test_the_environment_is_that_of_the_call(talk: Talk, tmp_path: Path):
    """Its folders are there; they go with the call, or, where Muster made them, when it has taken the files."""
    roots = {"MUSTER_IN": str(tmp_path / "in"), "MUSTER_OUT": str(tmp_path / "out")}
    for root in roots.values():
        Path(root).mkdir()
    it = talk(**roots)
    it.load("environment")
    folders = {"in": f"{roots['MUSTER_IN']}/a", "out": f"{roots['MUSTER_OUT']}/a"}
    names = {"execution": "e", "workflow": "w", "step": "s/0", "attempt": 2}
    expected = {f"MUSTER_{name.upper()}": str(value) for name, value in (names | folders).items()}
    assert it.value(**folders, **names) == expected
    after = {"in": f"{roots['MUSTER_IN']}/b", "out": f"{roots['MUSTER_OUT']}/b"}
    it.value(id_="e/s/2", **after)  # they go behind the answer, and before the next call
    assert list(tmp_path.glob("*/a")) == []
    for folder in folders.values():
        Path(folder).mkdir()
    it.value(**folders, **names)
    assert (Path(folders["out"]) / "made.txt").exists()
    it.send("release", id="e/s/1")
    assert it.calls() == []
    assert list(tmp_path.glob("*/a")) == []


@pytest.mark.parametrize("function", ["environment", "environments"])
def test_a_call_in_the_folders_of_the_one_before_keeps_them(talk: Talk, tmp_path: Path, function: str):
    """Those of the call before go before it begins, also where several may run, so it never loses what it makes."""
    root = tmp_path / "out"
    root.mkdir()
    it = talk(MUSTER_OUT=str(root))
    it.load(function)
    for number in range(20):  # each is sent as soon as the one before is answered
        assert it.value(id_=f"e/s/{number}", out=str(root / "a")) is not None


def test_the_roots_are_never_removed(talk: Talk, tmp_path: Path):
    """A call may be given them instead of folders of its own."""
    root = str(tmp_path / "out")
    Path(root).mkdir()
    it = talk(MUSTER_OUT=root)
    it.load("environment")
    it.value(out=root)
    it.send("release", id="e/s/1")
    assert it.calls() == []
    assert (Path(root) / "made.txt").exists()


@pytest.mark.parametrize(
    ("line", "id_", "code"),
    [
        (b"{", None, -32700),
        (b"[" * 100_000, None, -32700),
        (b"\xff\xfe\x00", None, -32700),
        (b"[]", None, -32600),
        (b"5", None, -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', None, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"pong"}', 1, -32601),
        (b'{"jsonrpc":"2.0","id":1}', 1, -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"execute","params":[]}', 1, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"execute","params":{"inputs":5}}', 1, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"execute","params":{"attempt":"x"}}', 1, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"execute","params":{}}', 1, -32600),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"load","params":{"protocol":2,"function":"app:echo"}}',
            1,
            -32012,
        ),
        (b'{"jsonrpc":"2.0","id":1,"method":"load","params":{"protocol":1,"function":7}}', 1, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"load","params":{"protocol":1,"function":"app"}}', 1, -32010),
    ],
)
def test_what_it_cannot_do(talk: Talk, line: bytes, id_: Any, code: int):
    """Each is answered with its code, and the next line is heard."""
    it = talk()
    it.write(line)
    answer = it.answer(id_)
    assert answer["error"]["code"] == code
    if code == -32012:
        assert answer["error"]["data"] == {"supported": [1]}
    assert "result" in it.load("echo")


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"   ", b'{"jsonrpc":"2.0","id":1,"result":5}', b'{"jsonrpc":"2.0","method":"nothing"}'),
        *(b'{"jsonrpc":"2.0","method":"cancel","params":{"id":[]}}', b'{"jsonrpc":"2.0","method":"release"}'),
        *(b'{"jsonrpc":"2.0","method":"cancel","params":{"id":"none"}}', b'{"method":"execute"}'),
    ],
)
def test_what_it_says_nothing_to(talk: Talk, line: bytes):
    """Empty lines, answers, and notifications that mean nothing here."""
    it = talk()
    it.write(line)
    assert it.calls() == []


def test_it_is_loaded_only_once(talk: Talk):
    """A second load is refused; the function goes on as it is."""
    it = talk()
    it.load("Model", size=2)
    assert it.load("echo")["error"]["code"] == -32600
    assert it.value() == [2, 1]
