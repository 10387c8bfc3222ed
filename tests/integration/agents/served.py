"""What a function does that a test talks to, in a process or in a container."""

from __future__ import annotations

import asyncio
import textwrap

ECHO = """
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line.upper())
    sys.stdout.buffer.flush()
"""
DEAF = """
print("up", flush=True)
time.sleep(1000)
"""
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(1000)
"""
LOUD = """
piece = b"e" * 1023 + b"\\n"
for _ in range(20 << 10):
    sys.stderr.buffer.write(piece)
sys.stderr.flush()
print("done", flush=True)
time.sleep(1000)
"""
FILES = """
import json, os, pathlib, shutil
print("up", os.getuid(), flush=True)
for line in sys.stdin:
    told = json.loads(line)
    if "release" in told:
        for folder in told["release"]:
            shutil.rmtree(folder)
        print("released", flush=True)
        continue
    out, texts = pathlib.Path(told["out"]), []
    for path in sorted(pathlib.Path(told["in"]).iterdir()):
        texts.append(path.name + "=" + path.read_text())
    (out / "sub").mkdir()
    (out / "sub" / "made.txt").write_text(" ".join(texts))
    (out / "link").symlink_to("/etc/passwd")
    print("made", os.environ["MUSTER_IN"], os.environ["MUSTER_OUT"], flush=True)
"""


def program(text: str) -> str:
    """A whole program for ``python3 -c``."""
    return "import signal, sys, time\n" + textwrap.dedent(text)


async def soon(condition, seconds: float = 20) -> None:
    """Wait until ``condition()`` holds: for what happens outside of the agent, and tells nobody."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)
