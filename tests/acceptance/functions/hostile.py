"""Functions that do what no function should; one function, so that calls of all of it share a container."""

# mypy: ignore-errors

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time

WORDS = []
FORGED = b'{"jsonrpc":"2.0","id":"%s","result":{"$returned":"forged"}}\n'


class Rude(BaseException):
    """No Exception at all."""


class Mute(Exception):  # noqa: N818
    """Says nothing of itself."""

    def __str__(self):
        raise RuntimeError("no message either")


def act(what: str, muster, n: int = 0):
    return ACTS[what](muster, n)


def well(muster, n):
    """What comes after: the right answer shows that nothing of the call before is left in the way."""
    return {"n": n, "pid": os.getpid(), "argv": sys.argv}


def million_lines(muster, n):
    for at in range(1_000_000):
        print("line", at)
    return "all said"


def writes_binary(muster, n):
    forged = FORGED % f"{muster.execution}/{muster.step}/{muster.attempt}".encode()
    os.write(1, bytes(range(256)) + b"\n" + forged)
    sys.stdout.buffer.write(b"\xff\xfe\0" + forged)
    subprocess.run(["python3", "-c", f"import os; os.write(1, {forged!r})"], check=True)
    return "mine"


def answers_much(muster, n):
    return "x" * 100_000_000


def forks_and_returns(muster, n):
    os.fork()
    return "from both"


def forks_and_raises(muster, n):
    child = os.fork()
    if child == 0:
        raise RuntimeError("in the child")
    os.waitpid(child, 0)
    return "from the parent"


def forks_and_stays(muster, n):
    for _ in range(3):
        if os.fork() == 0:
            time.sleep(3600)
    subprocess.Popen(["python3", "-c", "import time; time.sleep(3600)"])
    return "children stay"


def exits(muster, n):
    sys.exit(3)


def ends_the_process(muster, n):
    print("the last words", flush=True)
    os._exit(7)


def faults(muster, n):
    print("before the fault", flush=True)
    ctypes.string_at(0)


def kills_itself(muster, n):
    os.kill(os.getpid(), signal.SIGKILL)


def memory_error(muster, n):
    return bytearray(1 << 60)


def eats_memory(muster, n):
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20)))


def closes_stdout(muster, n):
    sys.stdout.close()
    os.close(1)
    return "said without stdout"


def closes_everything(muster, n):
    os.closerange(3, 256)
    return "nobody hears this"


def recurses(muster, n):
    return recurses(muster, n)


def nests(muster, n):
    found = []
    for _ in range(100_000):
        found = [found]
    return found


def not_a_number(muster, n):
    return {"n": float("nan")}


def a_set(muster, n):
    return {1, 2}


def some_bytes(muster, n):
    return b"\0\xff"


def half_a_surrogate(muster, n):
    return "\ud800"


def rude(muster, n):
    raise Rude("out of the way")


def interrupts(muster, n):
    raise KeyboardInterrupt


def cancels_itself(muster, n):
    raise asyncio.CancelledError


def mute(muster, n):
    raise Mute


def leaves_threads(muster, n):
    for _ in range(5):
        threading.Thread(target=time.sleep, args=(3600,)).start()
    return threading.active_count() > 5


def moves(muster, n):
    os.chdir("/tmp")
    os.environ["MOOD"] = "changed"
    WORDS.append("kept")
    return "moved"


def looks_around(muster, n):
    return {"folder": os.getcwd(), "mood": os.environ.get("MOOD"), "words": WORDS}  # noqa: PTH109


def asks(muster, n):
    return input("anybody? ")


def reads_stdin(muster, n):
    child = subprocess.run(["cat"], check=False, capture_output=True) if os.path.exists("/bin/cat") else None  # noqa: PTH110
    return {
        "own": sys.stdin.read(),
        "raw": os.read(0, 100).decode(),
        "child": child and child.stdout.decode(),
    }


def takes_signals(muster, n):
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    return "deaf"


def breaks_streams(muster, n):
    class Broken:
        def write(self, text):
            raise OSError("broken")

        def flush(self):
            raise OSError("broken")

    sys.stdout = sys.stderr = Broken()
    raise LookupError("said all the same")


def no_streams(muster, n):
    sys.stdout = sys.stderr = sys.stdin = None
    return "none"


# ---- what does not want to end: each says when it is under way


def begun():
    print("under way", flush=True)


def busy(muster, n):
    begun()
    while True:
        n += 1


def sleeps(muster, n):
    begun()
    time.sleep(3600)


async def _sleeps():
    try:
        begun()
        await asyncio.sleep(3600)
    finally:
        print("cleaned up", flush=True)


def awaits(muster, n):
    return _sleeps()


def yields(muster, n):
    def endless():
        try:
            begun()
            while True:
                yield n
                time.sleep(0.01)
        finally:
            print("cleaned up", flush=True)

    return endless()


def matches(muster, n):
    """One call of C that takes years, and looks at signals, but lets no other thread hear of a cancel."""
    begun()
    return re.match(r"(a*)*b", "a" * 64)


def deaf(muster, n):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            begun()  # in here: a cancel that comes right after it is not heeded either
            time.sleep(3600)
        except BaseException:
            print("no", flush=True)


def waits_for_child(muster, n):
    subprocess.run(
        ["python3", "-c", "import time; print('under way', flush=True); time.sleep(3600)"], check=True
    )


def sums(muster, n):
    """One call of C that takes years and looks at no signal."""
    begun()
    return sum(range(10**15))


def deaf_and_busy(muster, n):
    takes_signals(muster, n)
    return busy(muster, n)


class Counted:
    """Says how often it was loaded and called in this container. Each call waits until /tmp/go is there."""

    def load(self):
        with open("/tmp/loads", "a") as file:  # noqa: PTH123
            file.write("loaded\n")
        self.calls = 0

    def execute(self):
        self.calls += 1
        print("in call", self.calls, flush=True)
        while not os.path.exists("/tmp/go"):  # noqa: PTH110
            time.sleep(0.02)
        with open("/tmp/loads") as file:  # noqa: PTH123
            return {"loads": len(file.readlines()), "calls": self.calls}


class Together:
    """Two calls at once in one process."""

    concurrency = 2

    def execute(self, what: str):
        there = False
        while what == "deaf" or not os.path.exists("/tmp/go"):  # noqa: PTH110
            try:
                if not there:
                    print(what, "is there", flush=True)
                    there = True
                time.sleep(0.05)
            except BaseException:
                print("no", flush=True)
        if what == "crashes":
            os._exit(9)
        time.sleep(60)


ACTS = {name: found for name, found in list(globals().items()) if callable(found) and found is not act}
