"""Pulling from a real registry: digests, progress, what can be tried again and what cannot."""

import asyncio

import pytest

from tests.unit.agents.scene import Scene, order

pytestmark = pytest.mark.docker


async def test_an_image_is_pulled(containers: Scene, registry, docker_engine):
    """A pull tells how far it has come, and then the registry's digest and the size; it is not cached."""
    image = registry.publish("muster-test/pulled:1", size=8 << 20)
    async with containers.agent():
        await containers.start(order(image=image, command=["/payload"]))
        pulled = await containers.until("image.pulled")
        await containers.until("attempt.failed")  # the image holds no program
        kinds = await containers.kinds()
    assert kinds[:2] == ["attempt.accepted", "image.pulling"]
    assert kinds.count("attempt.progress") >= 1
    assert (pulled.image, pulled.digest, pulled.cached) == (image, registry.digest(image), False)
    assert pulled.size >= 8 << 20
    assert pulled.seconds > 0


async def test_progress_is_bytes_of_bytes(containers: Scene, registry):
    """Progress names its phase, its unit, and grows towards its total."""
    image = registry.publish("muster-test/large:1", size=64 << 20)
    async with containers.agent():
        await containers.start(order(image=image, command=["/payload"]))
        progress = await containers.until("attempt.progress")
        await containers.until("image.pulled")
    assert (progress.phase, progress.unit) == ("pull", "bytes")
    assert 0 < progress.current <= progress.total


async def test_an_image_that_is_here_is_cached(containers: Scene, registry, busybox_image):
    """Nothing is pulled that is here; always asks the registry all the same, and has nothing to fetch."""
    image = registry.push(busybox_image)
    async with containers.agent():
        for number, policy in enumerate(("missing", "always", "never"), 1):
            await containers.start(order(policy, image=image, command=["true"], pull_policy=policy))
            pulled = await containers.until("image.pulled", count=number)
            assert (pulled.cached, pulled.digest) == (True, registry.digest(image))
        await containers.until("attempt.finished", count=3)


async def test_an_image_without_a_registry_has_its_id(containers: Scene, busybox_image, docker_engine):
    """An image that was never in a registry is named by its own id."""
    async with containers.agent():
        await containers.start(order(image=busybox_image, command=["true"]))
        pulled = await containers.until("image.pulled")
    assert pulled.digest.startswith("sha256:")


@pytest.mark.parametrize("image", ["muster-test/busybox:no-such-tag", "muster-test/no-such-image:1"])
async def test_an_unknown_image_is_not_tried_again(containers: Scene, registry, image: str):
    """A registry that says there is no such thing is believed."""
    async with containers.agent():
        await containers.start(order(image=f"{registry.address}/{image}"))
        failed = await containers.until("attempt.failed")
    assert (failed.phase, failed.error.code, failed.retriable) == ("pull", "image_pull", False)
    assert image in failed.error.message


async def test_a_bad_name_is_not_tried_again(containers: Scene):
    """A name no image can have fails for good."""
    async with containers.agent():
        await containers.start(order(image="No Such:::Name"))
        failed = await containers.until("attempt.failed")
    assert (failed.error.code, failed.retriable) == ("image_pull", False)


async def test_a_registry_that_is_down_may_come_back(containers: Scene, registry):
    """A registry that cannot be reached may be tried again."""
    image = registry.publish("muster-test/away:1")
    await asyncio.to_thread(registry.stop)
    try:
        async with containers.agent():
            await containers.start(order(image=image))
            failed = await containers.until("attempt.failed")
    finally:
        registry.start()
    assert (failed.error.code, failed.retriable) == ("image_pull", True)


async def test_never_means_never(containers: Scene, registry):
    """With pull_policy never an image that is not here fails at once, and says what to do."""
    image = registry.publish("muster-test/never:1")
    async with containers.agent():
        await containers.start(order(image=image, pull_policy="never"))
        failed = await containers.until("attempt.failed")
    assert (failed.error.code, failed.retriable) == ("image_pull", False)
    assert "pull_policy" in failed.error.message


async def test_a_pull_can_be_stopped(containers: Scene, registry):
    """A stop during a pull ends the attempt at once; the agent goes on."""
    image = registry.publish("muster-test/stopped:1", size=32 << 20)
    registry.pause()
    try:
        async with containers.agent():
            await containers.start(order(image=image))
            await containers.until("image.pulling")
            await containers.stop(order().ref)
            await containers.until("attempt.stopped")
            registry.unpause()
            await containers.start(order("next", image=image, pull_policy="never"))
            await containers.until("attempt.failed")
    finally:
        registry.unpause()
