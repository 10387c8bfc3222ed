"""A diamond of containers over two machines, as a person sees it."""

from __future__ import annotations

import io
import random
import re
import tarfile
import uuid
from typing import Any

import docker
import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, shell
from tests.fixtures.engine import Registry, import_image
from tests.fixtures.rootfs import add_file, busybox_rootfs, static_busybox

LIFECYCLE = ["Pulling Image", "Image Pulled", "Starting Container", "Execution Started", "Execution Finished"]
LINE = re.compile(r"^ *\+\S+ +(?P<step>\S+) +(?P<label>\S.*?)  +(?P<machine>north|south)\b")
ROW = re.compile(
    r"^(?P<number>\d+) +\+\S+ +(?P<type>[a-z]+) +(?P<states>[a-z ]*?) *(?P<step>top|left|right|bottom)?$"
)
PAYLOAD = 4 << 20


@pytest.fixture(scope="module")
def image(registry: Registry, busybox_image: str, docker_engine: docker.DockerClient) -> str:
    """An image with a shell whose only layer the engine has never seen: it must be pulled."""
    busybox = static_busybox()
    assert busybox is not None
    buffer = io.BytesIO(busybox_rootfs(busybox))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        add_file(tar, "payload", random.randbytes(PAYLOAD))
    local = f"muster-test/diamond:{uuid.uuid4().hex}"
    import_image(docker_engine, buffer.getvalue(), local, "ENV PATH=/bin")
    name = registry.push(local)
    registry.forget(name)
    docker_engine.images.remove(local)
    return name


def diamond(image: str) -> list[dict[str, Any]]:
    """The two in the middle run at the same time and take a slot each: two machines of one slot must share them."""
    return [
        shell("top", image, "echo top", machine="north"),
        shell("left", image, "sleep 0.5", needs=["top"]),
        shell("right", image, "sleep 0.5", needs=["top"]),
        shell("bottom", image, "echo bottom", needs=["left", "right"], machine="south"),
    ]


def test_a_diamond_uses_both_machines_and_show_tells_all_of_it(
    stack: Stack, witness: Witness, registry: Registry, image: str
) -> None:
    """Each step is shown with its machine and its lifecycle by Hyko's names, the execution with its transitions."""
    for name in ("north", "south"):
        stack.agent(name, "--slots", "1")
    digest = registry.digest(image)
    id_, ran = stack.run(*diamond(image))
    assert ran.code == 0, ran
    printed = stack.muster("show", id_)
    assert printed.code == 0, printed
    shown = stack.show(id_)

    machines = {step["path"]: step["machine"] for step in shown["steps"]}
    assert (machines["top"], machines["bottom"]) == ("north", "south")
    assert {machines["left"], machines["right"]} == {"north", "south"}

    told: dict[str, list[str]] = {}
    for found in filter(None, map(LINE.match, printed.out.splitlines())):
        assert found["machine"] == machines[found["step"]]
        told.setdefault(found["step"], []).append(found["label"].removesuffix(" (cached)"))
    assert told == dict.fromkeys(machines, LIFECYCLE)

    rows = [row for line in printed.out.splitlines() if (row := ROW.match(line.rstrip()))]
    assert [row["type"] for row in rows] == ["init", "start", "step", "step", "step", "step", "finish"]
    assert [row["states"].split() for row in rows] == [
        ["queued"],
        ["queued", "starting"],
        ["starting", "running"],
        *[["running", "running"]] * 3,
        ["running", "succeeded"],
    ]
    assert {row["step"] for row in rows} == {*machines, None}

    pulled = {event["step"]: event["data"] for event in stack.events(id_, "image.pulled")}
    assert not pulled["top"].get("cached"), "the first machine pulls it from the registry"
    assert pulled["top"]["digest"] == digest
    assert pulled["top"]["size"] > PAYLOAD
    assert all(pulled[step]["cached"] for step in ("left", "right", "bottom")), (
        "one engine serves both machines"
    )
    assert "Image Pulled (cached)" in printed.out
    assert len(witness.when("create", execution=id_)) == 4
