"""Attempts as real processes: what they see, what they print, how they end, and that none stays behind."""

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muster.model.definition.workflow import Output
from muster.model.log.commands import AttemptResources
from muster_agents import removal
from muster_agents.runtimes import spawning
from tests.unit.agents.scene import TIMEOUTS, Scene, order, shell

REF = order().ref


def alive(pid: str) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def gone(pid: str) -> None:
    async with asyncio.timeout(10):
        while alive(pid):
            await asyncio.sleep(0.01)


async def test_a_command_runs(processes: Scene):
    """A command runs as a process: its lifecycle is told, and its lines are there when its end is."""
    async with processes.agent():
        await processes.start(shell("echo hello; echo oops >&2; printf end"))
        finished = await processes.until("attempt.finished")
        assert sorted(await processes.lines()) == ["end", "hello", "oops"]
    assert finished.exit_code == 0
    assert await processes.kinds() == [
        "attempt.accepted",
        "container.starting",
        "container.started",
        "attempt.started",
        "container.exited",
        "attempt.finished",
    ]


async def test_it_says_that_nothing_isolates(processes: Scene, caplog):
    """The agent says at its start, to people and in its log, that there is no isolation."""
    async with processes.agent() as agent:
        assert "nothing isolates" in await agent.is_ready()
    assert "nothing isolates" in caplog.text


async def test_inputs_come_in_and_outputs_go_out(processes: Scene):
    """The inputs are in $MUSTER_INPUT; what is written to $MUSTER_OUTPUT and stdout becomes outputs."""
    script = 'printf \'{"copy": %s}\' "$(cat "$MUSTER_INPUT")" > "$MUSTER_OUTPUT"; echo 42'
    declared = {"copy": Output(type="object"), "number": Output(type="integer", source="stdout")}
    async with processes.agent():
        await processes.start(shell(script, inputs={"a": ["ü", 1]}, outputs=declared))
        assert (await processes.until("attempt.finished")).outputs == {"copy": {"a": ["ü", 1]}, "number": 42}


async def test_the_environment_is_small(processes: Scene, monkeypatch):
    """A step sees PATH, HOME, LANG, its own variables and Muster's; nothing else of the agent's."""
    monkeypatch.setenv("SECRET", "of the agent")
    async with processes.agent():
        await processes.start(shell("env", environment={"MINE": "1"}, attempt=3))
        await processes.until("attempt.finished")
        seen = dict(line.split("=", 1) for line in await processes.lines())
    allowed = {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_", "MINE"}
    muster = {
        f"MUSTER_{name}"
        for name in ("IN", "OUT", "INPUT", "OUTPUT", "EXECUTION", "WORKFLOW", "STEP", "ATTEMPT")
    }
    assert muster <= set(seen) <= allowed | muster
    assert (seen["MUSTER_EXECUTION"], seen["MUSTER_STEP"], seen["MUSTER_ATTEMPT"]) == ("e1", "work", "3")


async def test_the_folder_is_gone_afterwards(processes: Scene, tmp_path: Path):
    """Each attempt has a folder of its own, and nothing of it stays."""
    async with processes.agent():
        await processes.start(shell("mkdir -p a/b; touch a/b/c; pwd"))
        await processes.until("attempt.finished")
        [place] = await processes.lines()
        assert Path(place).is_relative_to(tmp_path)
    assert not Path(place).exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["no-such-program"], "not found"),
        (["/etc/passwd"], "not executable"),
        (["./missing"], "no such file"),
        (["/"], "not executable"),
        (None, "no command"),
    ],
)
async def test_what_cannot_be_started_says_why(processes: Scene, command, words):
    """A command that is not there fails the start phase in a sentence, and is not tried again."""
    async with processes.agent():
        await processes.start(order(command=command))
        failed = await processes.until("attempt.failed")
    assert (failed.phase, failed.error.code, failed.retriable) == ("start", "container_starting", False)
    assert words in failed.error.message
    assert failed.error.remedy


async def test_a_missing_working_dir_says_so(processes: Scene):
    """A working directory that does not exist is named."""
    async with processes.agent():
        await processes.start(order(command=["/bin/true"], working_dir="/no/such/folder"))
        assert "/no/such/folder" in (await processes.until("attempt.failed")).error.message


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)])
async def test_exit_codes_are_the_shells(processes: Scene, script: str, code: int):
    """An exit code is itself; a signal is 128 and its number."""
    async with processes.agent():
        await processes.start(shell(script))
        assert (await processes.until("attempt.failed")).exit_code == code


@pytest.mark.parametrize("short", ["files for its pipes", "a file for its end"])
async def test_a_machine_without_open_files(processes: Scene, monkeypatch: pytest.MonkeyPatch, short: str):
    """Where a process cannot be begun for want of files the attempt may be tried again, and nothing of it is left."""
    made: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def begin(*given: Any, **options: Any) -> subprocess.Popen[bytes]:
        made.append(popen(*given, **options))
        return made[-1]

    async with processes.agent():
        with monkeypatch.context() as shortage:
            if short == "a file for its end":
                shortage.setattr(os, "pidfd_open", refuse)
                shortage.setattr(subprocess, "Popen", begin)
            else:
                shortage.setattr(subprocess, "Popen", refuse)
            await processes.start(shell("sleep 1000", "bad"))
            failed = await processes.until("attempt.failed")
        await processes.start(shell("true", "later"))
        await processes.until("attempt.finished")
    assert (failed.error.code, failed.phase, failed.retriable) == ("agent_failed", "start", True)
    assert "Too many open files" in failed.error.message
    assert [process.returncode for process in made] == (
        [] if short.startswith("files") else [-signal.SIGKILL]
    )


async def test_what_it_left_goes_when_there_is_a_file_to_open(
    processes: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The machine had no file left to look into its folder with: the end is told, and the folder goes later."""
    monkeypatch.setattr(removal, "REMOVE_AGAIN_S", 0.02)
    folder, tries = tmp_path / "agents/m1/work/e1.work.1", asyncio.Queue[None]()
    loop = asyncio.get_running_loop()

    def refuse(*_: object, **options: object) -> None:
        loop.call_soon_threadsafe(tries.put_nowait, None)
        if not options:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with processes.agent():
        with monkeypatch.context() as shortage:
            shortage.setattr(shutil, "rmtree", refuse)
            await processes.start(shell("true"))
            await processes.until("attempt.finished")
            for _ in range(3):
                await tries.get()
            assert await asyncio.to_thread(folder.exists)
        async with asyncio.timeout(20):
            while await asyncio.to_thread(folder.exists):
                await asyncio.sleep(0.02)


async def test_a_timeout_kills_the_whole_group(processes: Scene):
    """A run that takes too long is ended with its children."""
    timeouts = msgspec.structs.replace(TIMEOUTS, run=3, grace=0.2)
    async with processes.agent():
        await processes.start(shell("sleep 1000 & echo $!; wait", timeouts=timeouts))
        failed = await processes.until("attempt.failed")
        [child] = await processes.lines()
        assert failed.reason == "timeout"
        await gone(child)


async def test_a_stop_asks_before_it_kills(processes: Scene):
    """A process may end in its own way within the grace; only then it is killed."""
    async with processes.agent():
        await processes.start(shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done"))
        await printed(processes, "up")
        await processes.stop(REF)
        await processes.until("attempt.stopped")
        assert (await processes.lines())[-1] == "bye"


async def test_a_stop_kills_what_does_not_listen(processes: Scene):
    """A process that ignores the signal is killed after the grace."""
    timeouts = msgspec.structs.replace(TIMEOUTS, grace=0.2)
    async with processes.agent():
        await processes.start(shell("trap '' TERM; echo $$; while :; do sleep 0.02; done", timeouts=timeouts))
        await printed(processes, "")
        [pid] = await processes.lines()
        await processes.stop(REF)
        await processes.until("attempt.stopped")
        assert not alive(pid)


async def test_children_end_with_the_first_process(processes: Scene):
    """As in a container: when the command has ended, what it left in the background ends too."""
    async with processes.agent():
        await processes.start(shell("sleep 1000 & echo $!"))
        await processes.until("attempt.finished")
        [child] = await processes.lines()
        await gone(child)


@pytest.mark.parametrize("launcher", ["setpriv", "fork"])
async def test_processes_die_with_an_agent_that_is_killed(tmp_path: Path, launcher: str):
    """Kill -9 of the agent takes its processes with it, with setpriv and without."""
    program = tmp_path / "parent.py"
    program.write_text(
        "import sys, time, pathlib\n"
        "from muster_agents.runtimes import spawning\n"
        f"if {launcher!r} == 'fork': spawning._setpriv = lambda: []\n"
        "child = spawning.spawn(['sleep', '1000'], {'PATH': '/usr/bin:/bin'}, pathlib.Path('/'), 0)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = (await parent.stdout.readline()).decode().strip()
    # For a moment of its beginning a program has no words yet: those of sleep come when setpriv has done its work.
    while not Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep\0"):
        await asyncio.sleep(0.001)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.communicate()
    await gone(child)


async def test_strays_are_killed_at_the_next_start(processes: Scene, tmp_path: Path):
    """A process that outlived its agent all the same is killed by the next one."""
    mark = f"{tmp_path}/agents/m1/work/e1.work.1"
    stray = await asyncio.create_subprocess_exec(
        "sleep", "1000", env={"MUSTER_INPUT": f"{mark}/in/inputs.json"}
    )
    served = f"{tmp_path}/agents/m1/work/function..i1"
    function = await asyncio.create_subprocess_exec("sleep", "1000", env={"MUSTER_IN": f"{served}/in"})
    other = await asyncio.create_subprocess_exec("sleep", "1000", env={"MUSTER_INPUT": "/elsewhere"})
    async with processes.agent():
        assert await stray.wait() == -signal.SIGKILL
        assert await function.wait() == -signal.SIGKILL
        assert other.returncode is None
    other.kill()
    await other.wait()


async def test_memory_is_bounded_where_it_is_asked(processes: Scene):
    """resources.memory bounds the address space; without it there is no bound."""
    wanted = AttemptResources(memory=300 << 20)
    async with processes.agent(memory=1 << 40):
        await processes.start(
            order("bound", command=["/bin/sh", "-c", "ulimit -v"], resources=wanted),
            order("free", command=["/bin/sh", "-c", "ulimit -v"]),
        )
        await processes.until("attempt.finished", count=2)
        assert await processes.lines("bound") == [str(300 << 10)]
        assert await processes.lines("free") == ["unlimited"]


async def test_a_killed_agents_attempt_is_lost(processes: Scene):
    """Processes are never adopted: the next agent says that the attempt is lost, and cleans up."""
    async with processes.agent() as first:
        await processes.start(shell("echo $$; sleep 1000"))
        await printed(processes, "")
        await first.die()
        [pid] = await processes.lines()
        await gone(pid)
    async with processes.agent():
        assert (await processes.until("attempt.failed")).reason == "lost"


async def test_many_at_once(processes: Scene):
    """Forty processes at once all end well, and no file stays open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with processes.agent(slots=40):
        await processes.start(*(shell(f"echo {number}", f"s{number}") for number in range(40)))
        await processes.until("attempt.finished", count=40)
        for number in range(40):
            assert await processes.lines(f"s{number}") == [str(number)]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_the_check_finds_what_a_shell_would(tmp_path: Path):
    """A program is looked for on the step's own PATH and in the step's own folder."""
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    spawning.check("tool", str(tmp_path), Path("/"))
    spawning.check("./tool", "", tmp_path)


async def printed(scene: Scene, text: str) -> None:
    """Wait until a line with ``text`` was printed."""
    async with asyncio.timeout(20):
        async for _, _, line in scene.broker.lines.read("e1", follow=True):
            if text in line.text:
                return
