"""Attempts in real containers: phases, limits, hardening, outputs, stops, and that nothing stays behind."""

import asyncio
from pathlib import Path

import docker
import msgspec
import pytest
import requests.exceptions

from muster.model.definition.workflow import Output
from muster.model.errors import ContainerStartingError
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import AttemptResources
from muster_agents.runtimes.docker_engine import Engine
from tests.fixtures.engine import BUSYBOX
from tests.fixtures.sockets import sockets
from tests.integration.agents.served import soon
from tests.unit.agents.scene import TIMEOUTS, Scene, order

pytestmark = pytest.mark.docker

REF = order().ref


def shell(script: str, step: str = "work", **rest):
    return order(step, image=BUSYBOX, command=["/bin/sh", "-c", script], **rest)


async def printed(scene: Scene, text: str) -> None:
    """Wait until a line with ``text`` was printed."""
    async with asyncio.timeout(30):
        async for _, _, line in scene.broker.lines.read("e1", follow=True):
            if text in line.text:
                return


def mine(engine: docker.DockerClient, scene: Scene):
    """This agent's containers."""
    label = f"io.muster.machine={scene.name}"
    return engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)


async def test_a_container_runs(containers: Scene, docker_engine):
    """A container goes through its phases, is told by Hyko's words, prints lines, and leaves nothing."""
    async with containers.agent() as agent:
        assert "docker" in await agent.is_ready()
        await containers.start(shell("echo hello; echo oops >&2; printf end"))
        finished = await containers.until("attempt.finished")
        assert sorted(await containers.lines()) == ["end", "hello", "oops"]
    assert await containers.kinds() == [
        "attempt.accepted",
        "image.pulling",
        "image.pulled",
        "container.starting",
        "container.started",
        "attempt.started",
        "container.exited",
        "attempt.finished",
    ]
    assert list(finished.seconds) == ["pull", "start", "run"]
    assert not mine(docker_engine, containers)


async def test_the_last_words_are_never_missed(containers: Scene):
    """Output without a line end, printed just before the end, is there every time."""
    async with containers.agent(slots=4):
        await containers.start(
            *(
                shell("printf last", f"s{number}", outputs={"o": Output(type="string", source="stdout")})
                for number in range(4)
            )
        )
        for number in range(1, 5):
            assert (await containers.until("attempt.finished", count=number)).outputs == {"o": "last"}


async def test_inputs_come_in_and_outputs_go_out(containers: Scene, docker_engine):
    """Files and stdout become outputs, on a read-only root, for a user that is not root; the volume goes with it."""
    script = (
        "echo up >&2; while [ ! -e /muster/out/go ]; do sleep 0.05; done; "
        'echo "{\\"copy\\": $(cat $MUSTER_INPUT)}" > $MUSTER_OUTPUT; id -u; touch /here 2>/dev/null || true'
    )
    declared = {"copy": Output(type="object"), "user": Output(type="integer", source="stdout")}
    async with containers.agent():
        await containers.start(
            shell(script, inputs={"a": ["ü", 1]}, outputs=declared, user="1000:1000", read_only=True)
        )
        await printed(containers, "up")
        [container] = mine(docker_engine, containers)
        had = {mount["Name"] for mount in container.attrs["Mounts"]}
        container.exec_run(["touch", "/muster/out/go"], detach=True)
        finished = await containers.until("attempt.finished")
    assert finished.outputs == {"copy": {"a": ["ü", 1]}, "user": 1000}
    assert had
    assert not had & {volume.id for volume in docker_engine.volumes.list()}


async def test_a_root_that_is_read_only_is_read_only(containers: Scene):
    """read_only means that nothing but /muster can be written."""
    async with containers.agent():
        await containers.start(shell("touch /here", read_only=True))
        failed = await containers.until("attempt.failed")
    assert "Read-only file system" in " ".join(failed.error.details["tail"])


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("head -c 2000 /dev/zero > $MUSTER_OUTPUT", "larger"),
        ("mkdir $MUSTER_OUTPUT", "not a plain file"),
        ("ln -s /etc/passwd $MUSTER_OUTPUT", "not a plain file"),
        ("echo nonsense > $MUSTER_OUTPUT", ""),
    ],
)
async def test_outputs_that_are_none_are_refused(containers: Scene, script: str, words: str):
    """A file that is too large, none, or no JSON fails the attempt in a sentence."""
    async with containers.agent(output_bytes=1000):
        await containers.start(shell(script, outputs={"a": Output()}))
        failed = await containers.until("attempt.failed")
    assert failed.error.code == "output"
    assert words in failed.error.message


async def test_an_exit_code_fails_the_attempt(containers: Scene):
    """The code and the last lines are in the error."""
    async with containers.agent():
        await containers.start(shell("echo first; echo the reason >&2; exit 42"))
        failed = await containers.until("attempt.failed")
    assert (failed.exit_code, failed.error.code, failed.phase) == (42, "execution", "run")
    assert "the reason" in failed.error.details["tail"]


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"command": ["no-such-program"]}, "executable file not found"),
        ({"command": ["/etc/passwd"]}, "permission denied"),
        ({"command": ["/bin/true"], "user": "nobody-here"}, "unable to find user"),
    ],
)
async def test_what_cannot_be_started_says_why(containers: Scene, docker_engine, container, words):
    """A start that fails the same way every time says so, and its container is removed."""
    async with containers.agent():
        await containers.start(order(image=BUSYBOX, **container))
        failed = await containers.until("attempt.failed")
    assert (failed.phase, failed.error.code, failed.retriable) == ("start", "container_starting", False)
    assert words in failed.error.message
    assert not mine(docker_engine, containers)


async def test_memory_is_limited(containers: Scene):
    """A container that takes more memory than it may is killed, and the error says so."""
    async with containers.agent():
        await containers.start(
            shell("tail /dev/zero", resources=AttemptResources(memory=16 << 20), outputs={})
        )
        failed = await containers.until("attempt.failed")
    assert (failed.error.code, failed.exit_code) == ("out_of_memory", 137)


async def test_a_run_that_takes_too_long_is_stopped(containers: Scene, docker_engine):
    """The run timeout ends the container; what it printed is kept."""
    timeouts = msgspec.structs.replace(TIMEOUTS, run=3.0, grace=0.0)
    async with containers.agent():
        await containers.start(shell("echo working; sleep 1000", timeouts=timeouts))
        failed = await containers.until("attempt.failed")
        assert await containers.lines() == ["working"]
    assert (failed.reason, failed.phase) == ("timeout", "run")
    assert not mine(docker_engine, containers)


async def test_a_start_that_takes_too_long_leaves_nothing(containers: Scene, docker_engine):
    """A start whose time is over while the engine still works on it is undone."""
    timeouts = msgspec.structs.replace(TIMEOUTS, start=0.05, grace=0.0)
    async with containers.agent():
        await containers.start(shell("sleep 1000", timeouts=timeouts))
        failed = await containers.until("attempt.failed")
    assert (failed.reason, failed.phase) == ("timeout", "start")
    assert not mine(docker_engine, containers)


async def test_a_stop_asks_before_it_kills(containers: Scene):
    """A container may end in its own way within the grace, and its last words are kept."""
    async with containers.agent():
        await containers.start(shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"))
        await printed(containers, "up")
        await containers.stop(REF)
        await containers.until("attempt.stopped")
        assert await containers.lines() == ["up", "bye"]


async def test_a_stop_kills_what_does_not_listen(containers: Scene, docker_engine):
    """A container that ignores the signal is killed after the grace; it is gone when that is told."""
    timeouts = msgspec.structs.replace(TIMEOUTS, grace=1.0)
    async with containers.agent():
        await containers.start(shell("trap '' TERM; echo up; while :; do sleep 1; done", timeouts=timeouts))
        await printed(containers, "up")
        await containers.stop(REF)
        await containers.until("attempt.stopped")
        label = f"io.muster.machine={containers.name}"
        assert not docker_engine.api.containers(filters={"label": label})


async def test_containers_are_hardened(containers: Scene, docker_engine):
    """The container itself shows every restriction, the limits, the labels, and the image by its id."""
    wanted = AttemptResources(cpus=0.5, memory=64 << 20)
    async with containers.agent(pids=77):
        await containers.start(
            shell("echo up; sleep 1000", resources=wanted, working_dir="/tmp", read_only=True)
        )
        await printed(containers, "up")
        [container] = mine(docker_engine, containers)
        seen = docker_engine.api.inspect_container(container.id)
        await containers.stop(REF)
    host, config = seen["HostConfig"], seen["Config"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["CapDrop"], host["Privileged"], host["NetworkMode"]) == (["ALL"], False, "none")
    assert (host["PidsLimit"], host["ReadonlyRootfs"]) == (77, True)
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
    assert host["NanoCpus"] == 500_000_000
    assert config["Labels"]["io.muster.execution"] == "e1"
    assert config["Labels"]["io.muster.step"] == "work"
    assert config["Labels"]["io.muster.attempt"] == "1"
    assert config["Image"].startswith("sha256:")
    assert not config["OpenStdin"]
    assert not seen["Mounts"], "a step without files has no volume"


async def test_restrictions_are_felt_inside(containers: Scene):
    """Inside there is no network, no capability, and no way to more privileges."""
    script = "ls /sys/class/net; grep -E 'CapEff|NoNewPrivs' /proc/self/status | tr -d '\\t'"
    async with containers.agent():
        await containers.start(shell(script))
        await containers.until("attempt.finished")
        assert await containers.lines() == ["lo", "CapEff:0000000000000000", "NoNewPrivs:1"]


async def test_the_image_decides_what_the_step_does_not(containers: Scene):
    """Without a command the image's own runs; with an entrypoint the command is its arguments."""
    async with containers.agent():
        await containers.start(
            order("own", image=BUSYBOX),
            order("both", image=BUSYBOX, entrypoint=["/bin/echo", "a"], command=["b"]),
        )
        await containers.until("attempt.finished", count=2)
        assert await containers.lines("both") == ["a b"]


async def test_the_end_of_the_agent_ends_its_containers(containers: Scene, docker_engine):
    """An agent that is asked to end stops and removes what runs, and says so."""
    timeouts = msgspec.structs.replace(TIMEOUTS, grace=0.0)
    async with containers.agent(slots=3):
        for step in ("a", "each/1/b", "c"):
            await containers.start(shell("echo up; sleep 1000", step, timeouts=timeouts))
        await containers.until("attempt.started", count=3)
    assert (await containers.kinds()).count("attempt.stopped") == 3
    assert not mine(docker_engine, containers)


# ---- an agent that was killed


async def test_a_running_container_is_adopted(containers: Scene, docker_engine):
    """The next agent goes on with the container: its lines, its outputs and its end arrive, nothing twice."""
    script = "printf from; while [ ! -e /tmp/go ]; do sleep 0.05; done; printf ' start to end'"
    async with containers.agent() as first:
        await containers.start(shell(script, outputs={"o": Output(type="string", source="stdout")}))
        await containers.until("attempt.started")
        await first.die()
    [container] = mine(docker_engine, containers)
    assert container.status == "running"
    async with containers.agent():
        assert (await containers.connection()).attempts == [REF]
        container.exec_run(["touch", "/tmp/go"])
        finished = await containers.until("attempt.finished")
        assert finished.outputs == {"o": "from start to end"}
    kinds = await containers.kinds()
    assert all(kinds.count(kind) == 1 for kind in kinds), kinds
    assert not mine(docker_engine, containers)


async def test_a_container_that_ended_meanwhile_is_reported(containers: Scene, docker_engine):
    """What ended while no agent was there is told from its exit state and its log."""
    async with containers.agent() as first:
        await containers.start(shell("while [ ! -e /tmp/go ]; do sleep 0.05; done; printf why; exit 9"))
        await containers.until("attempt.started")
        await first.die()
    [container] = mine(docker_engine, containers)
    container.exec_run(["touch", "/tmp/go"])
    container.wait()
    async with containers.agent():
        failed = await containers.until("attempt.failed")
    assert (failed.exit_code, failed.error.details["tail"]) == (9, ["why"])
    assert not mine(docker_engine, containers)


async def test_orphans_and_half_made_containers_are_removed(containers: Scene, docker_engine, tmp_path):
    """Containers of this machine that nobody answers for go; those of another cluster on this engine stay."""
    other = Scene(type(containers.broker)(), tmp_path / "other", runtime="docker", name=containers.name)
    async with containers.agent() as first:
        await containers.start(shell("sleep 1000"))
        await containers.until("attempt.started")
        await first.die()
    async with other.agent():
        pass
    assert len(mine(docker_engine, containers)) == 1
    for file in (tmp_path / "agents" / containers.name).glob("journal.*"):
        file.unlink()
    async with containers.agent():
        pass
    assert not mine(docker_engine, containers)


async def test_a_container_that_was_taken_away_is_a_failure(containers: Scene, docker_engine):
    """Somebody who removes a container by hand ends the attempt, and the agent says what happened."""
    async with containers.agent():
        await containers.start(shell("echo up; sleep 1000"))
        await printed(containers, "up")
        [container] = mine(docker_engine, containers)
        container.remove(force=True)
        failed = await containers.until("attempt.failed")
    assert failed.error.code in {"attempt_lost", "execution"}


async def test_connections_and_threads_do_not_pile_up(containers: Scene, docker_engine):
    """Ten attempts after ten others leave no more files open than the first ten."""

    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with containers.agent(slots=10):
        counts = []
        for turn in (1, 2):
            await containers.start(*(shell("echo hi", f"t{turn}-{n}") for n in range(10)))
            await containers.until("attempt.finished", count=10 * turn)
            await soon(lambda: not mine(docker_engine, containers))
            counts.append(files())
        await soon(lambda: files() <= counts[0] + 2)  # a connection may be closed behind the removal


async def test_no_engine_is_said_in_a_sentence(tmp_path: Path, monkeypatch):
    """Without an engine a docker agent does not start, and says what to do; auto falls back to processes."""
    from muster.broker.memory import MemoryBroker

    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    scene = Scene(MemoryBroker(), tmp_path, runtime="docker")
    with pytest.raises(ContainerStartingError, match=r"No container engine answers: .*\. Start Docker"):
        async with scene.agent():
            pass
    async with scene.agent(runtime="auto") as agent:
        assert "nothing isolates" in await agent.is_ready()


async def test_references_are_refs():
    """The labels of a container name its attempt, paths included."""
    from muster_agents.runtimes.docker import _found

    labels = {"io.muster.execution": "e", "io.muster.step": "each/1/b", "io.muster.attempt": "2"}
    found = _found({"Id": "c", "State": "exited", "Labels": labels})
    assert found is not None
    assert (found.ref, found.running, found.started) == (AttemptRef("e", "each/1/b", 2), False, True)
    assert _found({"Id": "c", "State": "running", "Labels": {"io.muster.step": "x"}}) is None


def test_a_client_that_was_closed_opens_nothing_any_more(docker_engine: docker.DockerClient):
    """A thread that still asks is told that no engine answers, and so is one that would open it only now."""
    there = sockets()
    engine, late = Engine(2), Engine(2)
    engine.open()
    engine.close()
    with pytest.raises(requests.exceptions.ConnectionError):
        engine.facts()
    late.close()
    with pytest.raises(ContainerStartingError):
        late.open()
    assert sockets() <= there
