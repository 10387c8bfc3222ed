"""What a function prints, logs and forks never stands between the lines for Muster."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.agents.harness.conversation import Talk

APP = """\
import ctypes, logging, multiprocessing, os, subprocess, sys, threading

print("imported")
log = logging.getLogger("app.deep")

def prints():
    print("python")
    sys.stdout.write("an unended line")
    ctypes.CDLL(None).puts(b"from C")
    os.system("echo from a shell")
    subprocess.run(["echo", "from a process"])
    sys.__stdout__.buffer.write(b"bytes \\xff\\n")
    return "done"

def reads():
    try:
        return input()
    except EOFError:
        return sys.stdin.read() + subprocess.run(["cat"], stdout=subprocess.PIPE).stdout.decode()

def closes():
    sys.stdout.close()
    sys.stderr.close()
    return "done"

def logs(level: str = ""):
    if level:
        logging.basicConfig(level=level)
    log.debug("d")
    log.info("i %d", 1)
    log.warning("w")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("e")
    logging.critical("c")
    threading.Thread(target=log.info, args=("from a thread",)).start()

def logs_beside(n: int):
    log.info(str(n))
logs_beside.concurrency = 2

def logs_to(place: str):
    logging.basicConfig(filename=place, level=logging.INFO, format="%(levelname)s %(message)s")
    log.info("kept")

def logs_much():
    log.info("x" * 100000)
    log.info("\\ud800")

def forks(muster):
    child = os.fork()
    if child == 0:
        muster.progress(1)
        log.warning("from the child")
        return "the child's"
    return os.WEXITSTATUS(os.waitpid(child, 0)[1])

def fork_raises():
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    return os.WEXITSTATUS(os.waitpid(child, 0)[1])

def fork_exits():
    child = os.fork()
    if child == 0:
        sys.exit(3)
    return os.WEXITSTATUS(os.waitpid(child, 0)[1])

def fork_waits():
    import signal, time
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    return os.WTERMSIG(os.waitpid(child, 0)[1])

def double(n):
    return 2 * n

def pools(how: str):
    with multiprocessing.get_context(how).Pool(2) as pool:
        return pool.map(double, [1, 2])
"""


@pytest.fixture
def app() -> str:
    """The functions above."""
    return APP


def logged(told: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Level, text and logger of what was logged."""
    found = [one["params"] for one in told if one["method"] == "log"]
    return [(one["level"], one["text"], one["logger"]) for one in found]


def test_what_is_printed_ends_with_a_mark(talk: Talk):
    """From Python, C and other processes, all before the mark of the call; what was printed while it loaded before."""
    it = talk()
    it.load("prints")
    assert it.value(id_="e/s/7") == "done"
    printed = it.printed("\0e/s/7\n")
    for words in ("python", "an unended line", "from C", "from a shell", "from a process", "bytes \\xff"):
        assert words in printed
    assert printed.startswith("imported\n")
    assert printed.endswith("\0e/s/7\n")
    assert it.told == []


@pytest.mark.parametrize("function", ["reads", "closes"])
def test_its_streams_are_not_musters(talk: Talk, function: str):
    """Stdin is empty to it and to what it starts; it may close what it was given."""
    it = talk()
    it.load(function)
    for at in range(2):
        assert it.value(id_=f"e/s/{at}") == ("" if function == "reads" else "done")


def test_records_have_their_level(talk: Talk):
    """From info on, with the logger's name and the call, and the traceback where there is one."""
    it = talk()
    it.load("logs")
    it.call(id_="e/s/1")
    found = logged([*it.told, it.receive()] if len(it.told) < 5 else it.told)
    assert found[:2] == [("info", "i 1", "app.deep"), ("warning", "w", "app.deep")]
    assert found[2][0] == "error"
    assert found[2][1].startswith("e\nTraceback")
    assert "ZeroDivisionError" in found[2][1]
    assert found[3:] == [("critical", "c", "root"), ("info", "from a thread", "app.deep")]
    assert {one["params"]["id"] for one in it.told[:4]} == {"e/s/1"}
    assert "i 1" not in it.printed("\0e/s/1\n")


@pytest.mark.parametrize(("level", "first"), [("DEBUG", "d"), ("INFO", "i 1"), ("WARNING", "w")])
def test_basic_config_sets_the_level(talk: Talk, level: str, first: str):
    """As it does where nobody has a handler yet; no record comes twice."""
    it = talk()
    it.load("logs")
    it.call({"level": level})
    texts = [text for _, text, _ in logged(it.told)]
    assert texts[0] == first
    assert len(texts) == len(set(texts))
    assert "WARNING" not in it.printed("\0e/s/1\n")


def test_other_handlers_work(talk: Talk, tmp_path: Any):
    """What the function wants in a file is there, and with Muster."""
    it = talk()
    it.load("logs_to")
    it.call({"place": str(tmp_path / "app.log")})
    assert (tmp_path / "app.log").read_text() == "INFO kept\n"
    assert logged(it.told) == [("info", "kept", "app.deep")]


def test_records_know_their_call(talk: Talk):
    """Also where several run at once."""
    it = talk()
    it.load("logs_beside")
    for n in range(4):
        it.call({"n": n}, id_=f"e/s/{n}")
    assert [(one["params"]["id"], one["params"]["text"]) for one in it.told] == [
        (f"e/s/{n}", str(n)) for n in range(4)
    ]


def test_a_record_may_be_anything(talk: Talk):
    """A very long one is cut, one that is no text is told all the same."""
    it = talk()
    it.load("logs_much")
    it.call()
    first, second = (text for _, text, _ in logged(it.told))
    assert 16_000 < len(first) < 17_000
    assert second == "\\ud800"


@pytest.mark.parametrize(
    ("function", "value", "printed"),
    [
        ("forks", 0, "from the child"),
        ("fork_raises", 1, "ValueError: in the child"),
        ("fork_exits", 3, ""),
        ("fork_waits", 15, ""),
    ],
)
def test_a_forked_child_never_speaks(talk: Talk, function: str, value: int, printed: str):
    """It ends where it comes back from the function, and only its parent answers."""
    it = talk()
    it.load(function)
    assert it.value(id_="e/s/1") == value
    assert it.told == []
    assert printed in it.printed("\0e/s/1\n")
    assert it.value(id_="e/s/2") == value


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_pool_of_processes(talk: Talk, how: str):
    """However its processes are started."""
    it = talk()
    it.load("pools")
    assert it.value({"how": how}) == [2, 4]
