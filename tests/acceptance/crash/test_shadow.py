"""A shadow beside a whole Muster, as an operator runs it before an upgrade."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from muster.identity import uuid7
from tests.acceptance.crash.plays import BROKEN, DIAMOND, lone
from tests.fixtures.processes import LAUNCHER, QUICK_SCHEDULER, ROOT, Command, Installation, Program

pytestmark = [pytest.mark.slow]

QUICK = ("quiet_s=0.5", "patience_s=3s", "silent_s=1s", "tick_s=0.1")
"""The scheduler of these tests beats every 0.2 s; three seconds are long for it."""


def shadow(site: Installation, *arguments: str, name: str = "shadow") -> Program:
    """A shadow as a command, which tells everything as JSON."""
    limits = [part for limit in QUICK for part in ("--set", limit)]
    return site.muster(name, "scheduler", "--shadow", "--json", *limits, *arguments)


def told(program: Program, *kinds: str) -> list[dict[str, Any]]:
    """What it told, of these kinds."""
    lines = [json.loads(line) for line in program.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["kind"] in kinds]


async def read(site: Installation, program: Program, execution: str) -> dict[str, Any]:
    """The summary of a shadow that is interrupted once it had the time to read everything."""
    assert await site.log.ended(execution)
    await asyncio.sleep(1.0)  # more than its quiet time: the newest round is compared too
    await program.end(signal.SIGINT)
    (summary,) = told(program, "summary")
    assert summary["sequence"] >= site.log.about(execution)[-1].sequence
    return summary


@pytest.mark.timeout(180)
async def test_nothing_disagrees_under_load_kills_and_failover(site: Installation) -> None:
    """Beside its own version a shadow reports nothing, though agents and leaders are killed while work is going on."""
    schedulers = [site.scheduler(name).launch() for name in ("first", "second")]
    agents = [site.agent(name).launch() for name in ("m1", "m2")]
    await site.log.until("machine.connected", count=2)
    beside = await shadow(site).launch().says("caught_up")
    executions: list[str] = []

    async def load() -> None:
        async with asyncio.TaskGroup() as submits:
            for number in range(24):
                executions.append(uuid7())
                workflow = DIAMOND if number % 3 else BROKEN
                submits.create_task(site.client.submit(workflow, execution=executions[-1]))
                await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load())
        for agent in agents:
            await site.log.until(
                "attempt.started", machine=agent.name.rpartition("-")[2], after=site.log.last
            )
            agent.kill()
            agent.launch()
        for _ in range(2):
            name = site.log.state.leader_name
            (leader,) = (each for each in schedulers if each.name.endswith(name))
            leader.kill()
            await site.log.until("leader.elected", after=site.log.last)
            leader.launch()
    await site.log.ended(*executions)
    last = await site.client.submit(DIAMOND)
    summary = await read(site, beside, last)
    assert told(beside, "decided", "owed", "failed") == []
    (caught_up,) = told(beside, "caught_up")
    elected = site.log.of("leader.elected", after=caught_up["sequence"])
    # Two died; one that gets no turn for a second is succeeded as well.
    assert 2 <= len(told(beside, "leads")) <= len(elected)
    assert summary["decisions"] > 200
    assert await beside.exits() == 0

    whole = await asyncio.to_thread(_whole, site)
    assert whole["disagreements"] == 0
    assert whole["rounds"] >= summary["rounds"]


def _whole(site: Installation) -> dict[str, Any]:
    """What a shadow says that reads everything once and ends by itself."""
    program = shadow(site, "--for", "0s", name="whole").launch()
    asyncio.run(program.exits())
    assert program._process is not None
    assert program._process.returncode == 0, program.log
    (summary,) = told(program, "summary")
    assert summary["caught_up"]
    return summary


class Planted:
    """A scheduler of another version: a copy of the source with one line changed."""

    def __init__(self, site: Installation, folder: Path, old: str, new: str) -> None:
        shutil.copytree(ROOT / "core", folder / "core", ignore=shutil.ignore_patterns("__pycache__"))
        file = folder / "core" / "muster" / "model" / "engine" / "decide.py"
        text = file.read_text()
        assert text.count(old) == 1, f"decide.py has {text.count(old)} times: {old}"
        file.write_text(text.replace(old, new))
        environment = {
            "MUSTER_URL": site.settings.url,
            "MUSTER_DATA_DIR": str(site.settings.data_dir),
            "PYTHONPATH": os.pathsep.join(str(part) for part in (folder / "core", ROOT)),
        }
        options = json.dumps({"name": "old"} | QUICK_SCHEDULER)
        command = [sys.executable, "-P", str(LAUNCHER), "scheduler", options]
        self.program = Command(site.folder / "planted", command, environment)
        site.programs.append(self.program)
        site.log.replays = lambda: None  # type: ignore[method-assign]


async def test_a_leader_that_decides_otherwise_is_found_out(site: Installation, tmp_path: Path) -> None:
    """Beside a leader of another version each decision that this one would make differently is shown; the exit is 1."""
    old = "cause = execution.latest_id or execution.queued_id"
    Planted(site, tmp_path / "copy", old, "cause = execution.queued_id").program.launch()
    site.agent().launch()
    await site.log.until("machine.connected")
    before = await site.client.submit(DIAMOND)
    await site.log.ended(before)
    beside = await shadow(site).launch().says("caught_up")
    people = await site.muster("people", "scheduler", "--shadow").launch().says("DISAGREEMENT")
    after = await site.client.submit(DIAMOND)
    await site.log.ended(after)
    await people.says(after)
    summary = await read(site, beside, after)
    found = told(beside, "decided")
    assert [each["then"]["execution"] for each in found] == [before, after]
    for each in found:
        assert each["then"]["kind"] == each["now"]["kind"] == "execution.succeeded"
        assert each["then"]["cause"] == f"{each['then']['execution']}:1"
        assert each["now"]["cause"] != each["then"]["cause"]
        assert each["grounds"]["execution"]["steps without outcome"] > 0
        assert each["leader"] == "old"
    assert summary["disagreements"] == 2
    assert await beside.exits() == 1
    assert await people.end(signal.SIGINT) == 1
    assert f"execution.succeeded of {after} comes out differently" in people.log
    assert "2 disagreements in" in people.log


async def test_a_leader_that_omits_a_decision_owes_it(site: Installation, tmp_path: Path) -> None:
    """A leader that beats and never decides what is due is found out, though it records nothing that differs."""
    old = "        _ended(round_, execution, step, attempt)\n"
    Planted(site, tmp_path / "copy", old, "        pass\n").program.launch()
    site.agent().launch()
    await site.log.until("machine.connected")
    beside = await shadow(site).launch().says("caught_up")
    execution = await site.client.submit(lone("true"))
    await site.log.until("attempt.finished", execution=execution)
    await beside.says('"owed"')
    (found,) = told(beside, "owed")
    assert found["then"] is None
    assert found["now"]["kind"] == "step.succeeded"
    assert found["now"]["execution"] == execution
    assert found["grounds"]["step"]["attempt"]["ended"] == "finished"
    assert await beside.end(signal.SIGINT) == 1


async def test_a_leader_that_is_stopped_is_not_judged(site: Installation) -> None:
    """A leader that does not run is said not to answer; what it did not decide meanwhile it does not owe."""
    leader = site.scheduler().launch()
    site.agent().launch()
    await site.log.until("machine.connected")
    beside = await shadow(site).launch().says("caught_up")
    execution = await site.client.submit(lone("sleep 1"))
    await site.log.until("step.started", execution=execution)
    leader.pause()
    await site.log.until("attempt.finished", execution=execution)
    await beside.says('"silent"')
    await asyncio.sleep(5.0)  # that nothing is claimed after more than its patience is what is tested
    leader.unpause()
    await beside.says('"answers"')
    summary = await read(site, beside, execution)
    assert told(beside, "decided", "owed", "failed") == []
    assert summary["unanswered_s"] > 4.0
    assert await beside.exits() == 0


async def test_what_is_for_a_leader_is_refused_to_a_shadow(site: Installation) -> None:
    """Options that a shadow cannot follow are refused before anything is read, with what to do."""
    for arguments, sentence in (
        (("--shadow", "--name", "a"), "leave --name out"),
        (("--shadow", "--set", "lost_max=5"), "decides by the policy the leader was elected with"),
        (("--shadow", "--set", "sweep_s=5"), "leads nobody"),
        (("--for", "10m"), "add --shadow"),
        (("--set", "patience_s=5s"), "add --shadow"),
        (("--shadow", "--for", "soon"), "is no duration"),
    ):
        program = site.muster("refused", "scheduler", *arguments).launch()
        assert await program.exits() == 2
        assert sentence in program.log
