"""The fixtures other tests stand on do what they say."""

import asyncio
import contextlib
import os
import time

import docker
import nats
import pytest

from tests.fixtures.broker import Broker, BrokerCluster
from tests.fixtures.engine import Registry, remove_containers


async def test_broker_answers_with_jetstream(nc):
    """A fresh broker takes a stream, with the payload limit of nats.conf."""
    await nc.jetstream().add_stream(name="S", subjects=["s.>"])
    ack = await nc.jetstream().publish("s.a", b"1")
    assert ack.seq == 1
    assert nc.max_payload == 8 * 1024 * 1024


async def test_broker_killed_and_started_keeps_its_stream(broker: Broker, nc):
    """After SIGKILL and a new start the same port serves the same stream, and the client comes back."""
    js = nc.jetstream()
    await js.add_stream(name="S", subjects=["s.>"])
    await js.publish("s.a", b"1")
    url = broker.url
    broker.kill()
    assert not broker.running
    broker.start()
    assert broker.url == url
    # The first request may fall into the moment in which the client notices: it is lost, not queued.
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(nats.errors.TimeoutError):
                info = await nc.jetstream(timeout=0.3).stream_info("S")
                break
    assert info.state.messages == 1


async def test_broker_reset_forgets(broker: Broker):
    """A reset broker serves the same port with an empty store."""
    async with await nats.connect(broker.url) as client:
        await client.jetstream().add_stream(name="S", subjects=["s.>"])
    url = broker.reset().url
    async with await nats.connect(url) as client:
        assert await client.jetstream().streams_info() == []


def test_stopped_broker_leaves_no_process(make_broker):
    """Stopping waits for the process, so nothing of it is left, not even a zombie."""
    broker = make_broker()
    pid = broker.pid
    broker.stop()
    broker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_paused_broker_keeps_connections_and_says_nothing(broker: Broker, nc):
    """A paused broker times out instead of refusing, and goes on when it is let go."""
    js = nc.jetstream()
    await js.account_info()
    broker.pause()
    with pytest.raises(nats.errors.TimeoutError):
        await nc.jetstream(timeout=0.3).account_info()
    broker.unpause()
    await js.account_info()


def test_brokers_do_not_share_a_port(make_broker):
    """Two brokers of one test stand on ports and stores of their own."""
    first, second = make_broker(), make_broker(sync_interval="always")
    assert first.url != second.url
    assert first.store != second.store
    assert second.monitor("/varz")["jetstream"]["config"]["sync_always"] is True


@pytest.mark.slow
async def test_cluster_forms_and_survives_one_node(broker_cluster: BrokerCluster):
    """Three nodes keep a replicated stream, and go on without the one that led it."""
    async with await nats.connect(servers=broker_cluster.urls) as client:
        js = client.jetstream(timeout=10)
        await js.add_stream(name="S", subjects=["s.>"], num_replicas=3)
        await js.publish("s.a", b"1")
        leader = broker_cluster.stream_leader("S")
        assert leader is not None
        broker_cluster.node(leader).kill()
        deadline = time.monotonic() + 20
        while True:
            try:
                ack = await js.publish("s.a", b"2", timeout=1)
                break
            except (TimeoutError, nats.errors.Error):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
        assert ack.seq >= 2
        broker_cluster.node(leader).start()
        broker_cluster.wait_ready()


def test_busybox_image_runs(docker_engine: docker.DockerClient, busybox_image: str):
    """The image's shell and applets run in a container without a network."""
    script = "printf 'b\\na\\n' | sort | head -n 1 | tr a-z A-Z; echo abc | wc -c; ls -ld /tmp | cut -c1-10"
    output = docker_engine.containers.run(
        busybox_image, ["sh", "-c", script], remove=True, network_mode="none"
    )
    assert output.decode().split() == ["A", "4", "drwxrwxrwt"]


def test_registry_pushes_and_pulls(
    docker_engine: docker.DockerClient, busybox_image: str, registry: Registry
):
    """What was pushed can be forgotten by the engine, pulled again, and run."""
    name = registry.push(busybox_image)
    registry.forget(name)
    pulled = docker_engine.images.pull(name)
    assert name in pulled.tags
    assert registry.digest(name).startswith("sha256:")
    assert (
        docker_engine.containers.run(name, ["echo", "hello"], remove=True, network_mode="none") == b"hello\n"
    )


def test_published_image_is_really_downloaded(docker_engine: docker.DockerClient, registry: Registry):
    """A published image is unknown to the engine, so that pulling it shows its download."""
    name = registry.publish(size=300_000)
    with pytest.raises(docker.errors.ImageNotFound):
        docker_engine.images.get(name)
    statuses = {line.get("status") for line in docker_engine.api.pull(name, stream=True, decode=True)}
    assert "Download complete" in statuses
    assert "Pull complete" in statuses


def test_stopped_registry_refuses_and_comes_back(docker_engine: docker.DockerClient, registry: Registry):
    """A pull from a stopped registry fails, and works once it is back on the same port."""
    name = registry.publish("muster-test/back:1", size=1000)
    registry.stop()
    with pytest.raises(docker.errors.APIError):
        docker_engine.images.pull(name)
    registry.start()
    assert docker_engine.images.pull(name).tags == [name]


def test_labelled_containers_go(docker_engine: docker.DockerClient, busybox_image: str):
    """Containers are removed by their label, running or not, and others stay."""
    labels = [f"io.muster.test.cleanup={os.getpid()}-{number}" for number in range(2)]
    containers = [
        docker_engine.containers.create(
            busybox_image, ["sleep", "600"], labels=dict([label.split("=")]), network_mode="none"
        )
        for label in labels
    ]
    containers[0].start()
    remove_containers(docker_engine, labels[0])
    with pytest.raises(docker.errors.NotFound):
        containers[0].reload()
    containers[1].reload()
    remove_containers(docker_engine, labels[1])
