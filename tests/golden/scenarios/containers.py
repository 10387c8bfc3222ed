"""Real containers: pulls, limits, and every error that only an engine can give."""

from __future__ import annotations

import asyncio
import socket

from tests.golden.scenario import in_docker, retry, shell
from tests.golden.stage import Stage

GATE = "until [ -e /go ]; do sleep 0.05; done"
DEAF = "trap '' TERM; while :; do sleep 0.1; done"


async def _start(stage: Stage) -> None:
    await stage.leader()
    await stage.machine(runtime="docker")


def _open(container: object) -> None:
    container.exec_run(["touch", "/go"], detach=True)  # type: ignore[attr-defined]


@in_docker
async def container_hello(stage: Stage) -> None:
    """A container from an image that is there: its facts, what it printed and what it wrote."""
    await _start(stage)
    outputs = {"said": {"type": "string", "source": "stdout"}, "n": {"type": "integer"}}
    script = """echo hello; echo '{"n": 3}' > $MUSTER_OUTPUT"""
    assert await stage.run("container-1", shell("it", stage.busybox, script, outputs=outputs)) == "succeeded"


@in_docker
async def image_pulled(stage: Stage) -> None:
    """An image is pulled from a registry, with its progress; the second step finds it there."""
    await _start(stage)
    image = stage.pulled_image(32 << 20)
    steps = [shell("first", image, "true"), shell("second", image, "true", needs=["first"])]
    assert await stage.run("pulled-1", *steps) == "succeeded"


@in_docker
async def image_known(stage: Stage) -> None:
    """Of two machines that have room the one that has the image is chosen, though it is not the first by name."""
    await stage.leader()
    await stage.machine("m1", runtime="docker")
    await stage.machine("m2", runtime="docker")
    first = shell("first", stage.busybox, "true", machine="m2")
    second = shell("second", stage.busybox, "true", needs=["first"])
    assert await stage.run("known-1", first, second) == "succeeded"


@in_docker
async def image_unknown(stage: Stage) -> None:
    """ImagePullError that no retry can mend: the registry has no such tag."""
    await _start(stage)
    image = f"{stage.registry.address}/muster-test/fresh:none"
    assert await stage.run("unknown-1", shell("it", image, "true", retry=retry(3))) == "failed"


@in_docker
async def pull_budget(stage: Stage) -> None:
    """The pull phase has a budget of its own: the registry is down for as many tries as that has."""
    await _start(stage)
    image = f"{stage.registry.address}/muster-test/gone:1"
    stage.registry.stop()
    assert await stage.run("pull-1", shell("it", image, "true", retry=retry(1, pull=2))) == "failed"


@in_docker
async def pull_timeout(stage: Stage) -> None:
    """StepTimeoutError in the pull phase: the registry takes the connection and never answers."""
    await _start(stage)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"127.0.0.1:{silent.getsockname()[1]}/far:1"
        assert await stage.run("far-1", shell("it", image, "true", timeouts={"pull": "500ms"})) == "failed"


@in_docker
async def container_cannot_start(stage: Stage) -> None:
    """ContainerStartingError: the image has no such program."""
    await _start(stage)
    it = {"id": "it", "image": stage.busybox, "command": ["/no/such/program"]}
    assert await stage.run("start-1", it) == "failed"


@in_docker
async def container_exit_code(stage: Stage) -> None:
    """ExecutionError: the container ends with a code that is not 0."""
    await _start(stage)
    assert await stage.run("exit-1", shell("it", stage.busybox, "echo broken >&2; exit 7")) == "failed"


@in_docker
async def out_of_memory(stage: Stage) -> None:
    """OutOfMemoryError: the kernel kills what wants more than its limit; one that stays below it goes on."""
    await _start(stage)
    steps = [
        shell("below", stage.busybox, "true", resources={"memory": "24Mi", "cpus": 0.5}),
        shell("above", stage.busybox, "exec tail /dev/zero", resources={"memory": "16Mi"}, needs=["below"]),
    ]
    assert await stage.run("memory-1", *steps) == "failed"


@in_docker
async def container_killed(stage: Stage) -> None:
    """ExecutionError: somebody kills the container; 137 alone is no lack of memory."""
    await _start(stage)
    await stage.submit("killed-1", shell("it", stage.busybox, GATE))
    await stage.log.until("attempt.started")
    (await stage.container("killed-1")).kill()
    assert await stage.log.ended("killed-1") == ["failed"]


@in_docker
async def container_removed(stage: Stage) -> None:
    """AttemptLostError: the container is removed while its agent is dead; the next says so; another try."""
    await stage.leader()
    agent = await stage.machine(runtime="docker", interval_s=5.0)
    script = f'test "$MUSTER_ATTEMPT" = 2 || {{ {GATE}; }}'
    await stage.submit("removed-1", shell("it", stage.busybox, script))
    await stage.log.until("attempt.started")
    agent.kill()
    (await stage.container("removed-1")).remove(force=True)
    agent.launch()
    assert await stage.log.ended("removed-1") == ["succeeded"]


@in_docker
async def container_timeout(stage: Stage) -> None:
    """StepTimeoutError: the container runs too long and is stopped."""
    await _start(stage)
    it = shell("it", stage.busybox, "exec sleep 60", timeouts={"run": "500ms"}, stop_grace_period="1s")
    assert await stage.run("timeout-1", it) == "failed"


@in_docker
async def container_deaf(stage: Stage) -> None:
    """Cancelled: a container that does not listen to SIGTERM is killed after its grace period."""
    await _start(stage)
    await stage.submit("deaf-1", shell("it", stage.busybox, DEAF, stop_grace_period="1s"))
    await stage.log.until("attempt.started")
    await stage.client.cancel("deaf-1")
    assert await stage.log.ended("deaf-1") == ["cancelled"]


@in_docker
async def container_adopted(stage: Stage) -> None:
    """An agent is killed and started again: it goes on with its running container, and no second attempt is made."""
    await stage.leader()
    agent = await stage.machine(runtime="docker", interval_s=5.0)
    outputs = {"said": {"type": "string", "source": "stdout"}}
    await stage.submit("adopted-1", shell("it", stage.busybox, f"{GATE}; echo on", outputs=outputs))
    await stage.log.until("attempt.started")
    agent.kill()
    agent.launch()
    await stage.log.until("machine.connected", count=2)
    _open(await stage.container("adopted-1"))
    assert await stage.log.ended("adopted-1") == ["succeeded"]


@in_docker
async def container_adopted_in_less_room(stage: Stage) -> None:
    """An agent comes back with less room than what it goes on with takes: nothing new until there is some again."""
    await stage.leader()
    agent = await stage.machine(runtime="docker", interval_s=5.0, slots=2)
    gated = [shell(name, stage.busybox, GATE) for name in ("a", "b")]
    await stage.submit("room-1", *gated)
    await stage.log.until("attempt.started", count=2)
    agent.kill()
    smaller = await stage.machine(runtime="docker", interval_s=5.0, slots=1)
    await stage.submit("room-2", shell("c", stage.busybox, "true"))
    await stage.log.until("execution.started", execution="room-2")
    for container in stage.docker.containers.list(
        filters={"label": "io.muster.execution=room-1"}, ignore_removed=True
    ):
        _open(container)
    assert await stage.log.ended("room-1", "room-2") == ["succeeded"] * 2
    assert smaller.running


@in_docker
async def container_superseded(stage: Stage) -> None:
    """The container of a lost machine goes on beside the second one; when its agent is back it is removed."""
    await stage.leader()
    away = await stage.machine("m1", runtime="docker")
    await stage.submit("superseded-1", shell("it", stage.busybox, GATE, stop_grace_period="1s"))
    await stage.log.until("attempt.started")
    await stage.machine("m2", runtime="docker")
    away.kill()
    await stage.log.until("attempt.started", count=2)
    _open(await stage.container("superseded-1", 2))
    assert await stage.log.ended("superseded-1") == ["succeeded"]
    away.launch()
    await stage.log.until("attempt.stopped", "attempt.failed", machine="m1")
    await asyncio.sleep(0.5)  # for the removal
