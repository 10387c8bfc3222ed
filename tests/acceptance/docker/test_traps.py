"""The trap of images that change under a name; the others are in tests/acceptance/test_traps.py."""

from __future__ import annotations

import json

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, shell
from tests.fixtures.engine import Registry


def test_trap_24_an_image_is_known_by_its_digest(
    stack: Stack, witness: Witness, registry: Registry, busybox_image: str
) -> None:
    """The log says which image a name stood for, and a step may name the digest, which is pulled and run as it is."""
    stack.agent("m1")
    name = registry.push(busybox_image)
    digest = registry.digest(name)
    by_name, ran = stack.run(shell("it", name, "echo named"))
    assert ran.code == 0, ran
    assert stack.event(by_name, "image.pulled")["data"]["digest"] == digest

    exact = f"{name.rpartition(':')[0]}@{digest}"
    registry.forget(name)
    by_digest, ran = stack.run(shell("it", exact, "echo exact"))
    assert ran.code == 0, ran
    pulled = stack.event(by_digest, "image.pulled")["data"]
    assert (pulled["image"], pulled["digest"]) == (exact, digest)
    assert digest in json.dumps(stack.show(by_digest))
