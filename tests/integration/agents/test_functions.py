"""Functions in real processes, with the real harness, called by a real agent."""

from __future__ import annotations

import asyncio
import os
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muster.model.definition.workflow import Output
from muster.model.log.commands import AttemptOrder
from tests.integration.agents.test_files import given, stored
from tests.integration.agents.test_process import gone
from tests.unit.agents.scene import TIMEOUTS, Scene, order

APP = """
import logging, os, subprocess, sys, time
import muster_function

print("imported")

class Model:
    concurrency = 2

    def load(self, size=1):
        self.size, self.calls = size, 0

    def execute(self, n):
        self.calls += 1
        return {"n": n, "size": self.size, "calls": self.calls, "pid": os.getpid()}

def speak(text):
    print("print", text)
    sys.stdout.write("no end " + text)
    subprocess.run(["echo", "child " + text], check=True)
    logging.getLogger("app").warning("careful " + text)
    return text

def sleep(seconds):
    try:
        open("began", "w").close()  # who sees it may stop the call at once
        time.sleep(seconds)
    finally:
        open("cleaned", "w").close()

def spin():
    open("began", "w").close()
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def crash(code=7):
    print("about to crash", flush=True)
    os._exit(code)

def large():
    return "x" * 2_000_000

def copied(given, muster):
    with open(given) as source, open(os.path.join(muster.out, "copy.txt"), "w") as target:
        target.write(source.read().upper())
    return os.path.dirname(given)

def pages(n):
    for at in range(n):
        yield muster_function.Progress(at + 1, n, "page")
    return n
"""
SHELL = """
while read -r line; do
    id=$(printf '%s' "$line" | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')
    case "$line" in
        *'"method":"load"'*) printf '{"jsonrpc":"2.0","id":"%s","result":{"protocol":1,"name":"sh"}}\\n' "$id";;
        *'"method":"execute"'*) echo working >&2
            printf '{"jsonrpc":"2.0","id":"%s","result":{"$returned":"by a shell"}}\\n' "$id";;
        *'"method":"ping"'*) printf '{"jsonrpc":"2.0","id":"%s","result":{}}\\n' "$id";;
        *'"method":"shutdown"'*) printf '{"jsonrpc":"2.0","id":"%s","result":null}\\n' "$id"; exit 0;;
    esac
done
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The folder with the functions."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "app.py").write_text(textwrap.dedent(APP))
    return folder


def call(app: Path, number: int, function: str, inputs: dict[str, Any], **rest: Any) -> AttemptOrder:
    """One call."""
    return order(
        execution=f"e{number}", function=f"app:{function}", working_dir=str(app), inputs=inputs, **rest
    )


async def finished(scene: Scene, wanted: AttemptOrder) -> Any:
    """What came of it."""
    await scene.start(wanted)
    return await scene.until("attempt.finished", execution=wanted.execution)


async def failed(scene: Scene, wanted: AttemptOrder) -> Any:
    """Why nothing came of it."""
    await scene.start(wanted)
    return await scene.until("attempt.failed", execution=wanted.execution)


async def until_there(path: Path) -> None:
    """The function says that it began."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(path.exists):
            await asyncio.sleep(0.01)


async def test_loaded_once_and_called_many_times(processes: Scene, app: Path):
    """One process for all calls, its state kept; it ends with its agent."""
    async with processes.agent():
        outputs = [
            (await finished(processes, call(app, n, "Model", {"n": n}, params={"size": 5}))).outputs
            for n in range(20)
        ]
        kinds = [recorded.event.kind for recorded in await processes.events()]
    assert [(one["n"], one["size"], one["calls"]) for one in outputs] == [(n, 5, n + 1) for n in range(20)]
    assert len({one["pid"] for one in outputs}) == 1
    counted = [kinds.count(kind) for kind in ("function.loading", "function.loaded", "attempt.finished")]
    assert counted == [1, 1, 20]
    assert (await processes.until("function.unloaded")).calls == 20
    await gone(str(outputs[0]["pid"]))


async def test_each_call_has_its_own_lines(processes: Scene, app: Path):
    """Prints, those of its children, and logging with its level; each line with the call that it belongs to."""
    async with processes.agent():
        for number, text in enumerate(["one", "two"]):
            await finished(processes, call(app, number, "speak", {"text": text}))
        first, second = await processes.lines(execution="e0"), await processes.lines(execution="e1")
    assert sorted(first) == sorted(
        ["imported", "print one", "no end child one", "WARNING app: careful one"]
    ) or (
        sorted(first)
        == sorted(["imported", "print one", "child one", "no end one", "WARNING app: careful one"])
    )
    assert "imported" not in second
    assert "print two" in second
    assert not any("one" in line for line in second)


async def test_a_crash_takes_the_next_call_to_another_process(processes: Scene, app: Path):
    """The call failed with exit code and last lines; the next one is served."""
    async with processes.agent():
        error = (await failed(processes, call(app, 1, "crash", {}))).error
        assert (error.code, error.details["exit_code"]) == ("function_crashed", 7)
        assert "about to crash" in error.details["tail"]
        assert (await processes.until("function.unloaded")).reason == "crashed"
        assert (await failed(processes, call(app, 2, "crash", {}))).error.code == "function_crashed"


async def test_a_cancelled_call_leaves_its_process_warm(processes: Scene, app: Path):
    """It cleans up within its grace time, and the same process takes the next call."""
    async with processes.agent():
        await processes.start(call(app, 1, "sleep", {"seconds": 60}))
        await until_there(app / "began")
        await processes.stop(call(app, 1, "sleep", {}).ref)
        await processes.until("attempt.stopped")
        assert (app / "cleaned").exists()
        await finished(processes, call(app, 2, "sleep", {"seconds": 0}))
        assert (await processes.until("attempt.started", execution="e2")).warm


async def test_a_call_that_does_not_end_is_killed(processes: Scene, app: Path):
    """After the grace time, by a timeout as by a stop."""
    timeouts = msgspec.structs.replace(TIMEOUTS, run=3, grace=0.5)
    async with processes.agent():
        await processes.start(call(app, 1, "spin", {}, timeouts=timeouts))
        await until_there(app / "began")
        error = (await processes.until("attempt.failed")).error
        container = (await processes.until("attempt.started")).container
        assert (error.code, error.phase) == ("step_timeout", "run")
        await gone(container)
        assert (await processes.until("function.unloaded")).reason == "stopped"


async def test_what_is_too_large_says_to_write_a_file(processes: Scene, app: Path):
    """The process goes on and takes the next call."""
    async with processes.agent():
        error = (await failed(processes, call(app, 1, "large", {}))).error
        assert error.code == "output"
        assert "file" in f"{error.message} {error.remedy}"
        assert (await finished(processes, call(app, 2, "pages", {"n": 3}))).outputs == {"value": 3}


async def test_progress_comes_from_a_generator(processes: Scene, app: Path):
    """What it yields on the way is told."""
    async with processes.agent():
        await finished(processes, call(app, 1, "pages", {"n": 3}))
        progress = await processes.until("attempt.progress")
    assert (progress.phase, progress.total, progress.message) == ("run", 3, "page")


async def test_files_have_folders_of_their_call(processes: Scene, app: Path, tmp_path: Path):
    """Two calls in one process get files of the same name and make files of the same name; neither sees the other's."""
    declared = {"copy": Output(type="file", path="copy.txt"), "value": Output(type="string")}
    made = []
    async with processes.agent():
        for number, text in enumerate([b"first", b"second"]):
            artifact = await given(processes, tmp_path, text, "given.txt")
            wanted = call(app, number, "copied", {"given": "/muster/in/given.txt"}, outputs=declared)
            wanted = msgspec.structs.replace(wanted, files={"given.txt": artifact})
            outputs = (await finished(processes, wanted)).outputs
            made.append((await stored(processes, outputs["copy"]), outputs["value"]))
        assert (await processes.until("attempt.started", execution="e1")).warm
        assert not await asyncio.to_thread(Path(made[0][1]).exists)
    assert [text for text, _ in made] == [b"FIRST", b"SECOND"]
    assert made[0][1] != made[1][1]


async def test_a_program_that_speaks_the_protocol_itself(processes: Scene, app: Path):
    """A shell is enough; it is called twice, in one process."""
    wanted = [
        order(execution=f"e{n}", function="anything", command=["/bin/sh", "-c", SHELL], inputs={"n": n})
        for n in range(2)
    ]
    async with processes.agent():
        for one in wanted:
            assert (await finished(processes, one)).outputs == {"value": "by a shell"}
            assert await processes.lines(execution=one.execution) == ["working"]
        assert (await processes.until("attempt.started", execution="e1")).warm


async def test_one_that_closes_its_stdin_and_goes_on(processes: Scene):
    """Nobody waits for its answer as long as a call may take: it is said that it does not read, and it is removed."""
    script = SHELL.replace("load\"'*) ", "load\"'*) exec 0<&-; ").replace("\ndone\n", "\ndone\nsleep 600\n")
    timeouts = msgspec.structs.replace(TIMEOUTS, run=600, grace=0.2)
    async with processes.agent():
        ended = await failed(
            processes, order(function="x", command=["/bin/sh", "-c", script], timeouts=timeouts)
        )
        assert (ended.phase, ended.error.code) == ("run", "attempt_lost")
        assert "closed its stdin" in ended.error.message
        await gone((await processes.until("attempt.started")).container)


async def test_what_speaks_no_protocol(processes: Scene, app: Path):
    """A program that ends, and one that prints and never answers, fail in the load phase with what they printed."""
    async with processes.agent():
        for number, script in enumerate(["echo hello; exit 3", "echo hello; sleep 60"]):
            timeouts = msgspec.structs.replace(TIMEOUTS, load=(30, 3)[number], grace=0.2)
            wanted = order(
                execution=f"e{number}", function="x", command=["/bin/sh", "-c", script], timeouts=timeouts
            )
            ended = await failed(processes, wanted)
            assert ended.phase == "load"
            assert await processes.lines(execution=f"e{number}") == ["hello"]
            assert ended.error.code == ("function_load", "step_timeout")[number]


async def test_a_killed_process_in_idle_time_is_replaced(processes: Scene, app: Path):
    """The next call does not notice."""
    async with processes.agent():
        first = (await finished(processes, call(app, 1, "Model", {"n": 1}))).outputs["pid"]
        os.kill(first, 9)
        await processes.until("function.unloaded")
        assert (await finished(processes, call(app, 2, "Model", {"n": 1}))).outputs["pid"] != first
