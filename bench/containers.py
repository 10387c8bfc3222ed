"""A step in a container against the bare calls of the docker library that every such step needs."""

from __future__ import annotations

import io
import shutil
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import docker.errors
from plan import Plan
from stack import MACHINE, BenchError, Stack, running

NAMES = (
    "container_ratio_to_bare",
    "container_ratio_to_bare_kept",
    "container_ratio_to_bare_hardened",
    "container_ms_p50",
    "container_bare_ms_p50",
    "containers_2_at_once_per_s",
    "containers_2_at_once_bare_per_s",
)
IMAGE = "muster-bench/busybox:1"
COMMAND = ("busybox", "true")
# What the agent asks for every container, and a bare one does not get by itself: some 10 ms of a start here.
HARDENED: dict[str, Any] = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "pids_limit": 1024}
GONE_LIMIT_S = 20.0


def obstacle() -> str:
    """Why containers cannot be measured here; empty if they can."""
    if static_busybox() is None:
        return "there is no static busybox to make an image of (Debian: apt install busybox-static)"
    try:
        with closing(docker.from_env()) as engine:
            engine.ping()
    except docker.errors.DockerException as error:
        return f"no Docker engine answers: {error}"
    return ""


def measure(plan: Plan, sync: str | None) -> dict[str, float]:
    """One run on a new, empty stack: bare and through Muster in turn, so that both see the same machine."""
    found: dict[str, float] = {}
    with closing(docker.from_env()) as engine, _image(engine), running(sync, "docker", 4) as stack:
        _muster(stack, engine, 2, 1)
        _bare(engine)
        if plan.wants(*NAMES[:5]):
            pairs = [
                (
                    _muster(stack, engine, 1, 1)["runs"][0]["seconds"],
                    *_bare(engine),
                    _bare(engine, **HARDENED)[0],
                )
                for _ in range(plan.containers)
            ]
            ours, bare, kept, hardened = (
                statistics.median(seconds) * 1000 for seconds in zip(*pairs, strict=True)
            )
            found |= {
                "container_ratio_to_bare": ours / bare,
                "container_ratio_to_bare_kept": ours / kept,
                "container_ratio_to_bare_hardened": ours / hardened,
                "container_ms_p50": ours,
                "container_bare_ms_p50": bare,
            }
        if plan.wants(*NAMES[5:]):
            count = plan.containers_at_once
            found["containers_2_at_once_per_s"] = count / _muster(stack, engine, count, 2)["until_gone_s"]
            found["containers_2_at_once_bare_per_s"] = count / _timed(lambda: _bare_at_once(engine, count))
    return found


def _muster(stack: Stack, engine: docker.DockerClient, count: int, width: int) -> dict[str, Any]:
    """One-step workflows through Muster. Waits until the agent has removed the last container, which it does after
    it has told the result: nothing of it shall run while the bare sequence is timed.
    """
    began = time.perf_counter()
    answer = stack.client.ask(do="single", image=IMAGE, command=COMMAND, count=count, width=width)
    for one in answer["runs"]:
        if one["status"] != "succeeded":
            raise BenchError(f"{one['execution']} ended as {one['status']}")
    deadline = time.monotonic() + GONE_LIMIT_S
    while engine.api.containers(all=True, quiet=True, filters={"label": f"io.muster.machine={MACHINE}"}):
        if time.monotonic() > deadline:
            raise BenchError("the agent left containers behind")
        time.sleep(0.002)
    return answer | {"until_gone_s": time.perf_counter() - began}


def _bare(engine: docker.DockerClient, **options: Any) -> tuple[float, float]:
    """Create, start, wait, remove: seconds, and without the removal, for which a result of Muster does not wait."""
    began = time.perf_counter()
    container = engine.containers.create(IMAGE, list(COMMAND), network_mode="none", **options)
    container.start()
    status = container.wait()["StatusCode"]
    kept = time.perf_counter() - began
    container.remove()
    seconds = time.perf_counter() - began
    if status != 0:
        raise BenchError(f"the bare container ended with {status}")
    return seconds, kept


def _bare_at_once(engine: docker.DockerClient, count: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: _bare(engine), range(count)))


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _image(engine: docker.DockerClient) -> Iterator[None]:
    """A busybox image for the length of the block, made here and not fetched."""
    busybox = static_busybox()
    assert busybox is not None
    repository, _, tag = IMAGE.partition(":")
    engine.api.import_image_from_data(
        _rootfs(busybox), repository=repository, tag=tag, changes=["ENV PATH=/bin"]
    )
    try:
        yield
    finally:
        engine.images.remove(IMAGE, force=True)


def _rootfs(busybox: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        tar.add(busybox, "bin/busybox")
    return buffer.getvalue()


def static_busybox() -> Path | None:
    for place in ("/bin/busybox", "/usr/bin/busybox", shutil.which("busybox")):
        if place and (path := Path(place)).is_file() and b"ld-linux" not in path.read_bytes()[:4096]:
            return path
    return None
