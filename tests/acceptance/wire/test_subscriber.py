"""A subscriber that imports nothing but a NATS client, is killed in the middle, and misses nothing."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from cloudevents.core.formats.json import JSONFormat

from muster.identity import uuid7
from tests.acceptance.docker.leftovers import GATE, Witness
from tests.acceptance.docker.stack import Stack, kind, shell, until

PROGRAM = Path(__file__).with_name("subscriber.py")
STREAM = "MUSTER_EVENTS"
SUBJECTS: dict[str, Callable[[str], str]] = {
    "everything about one execution": lambda execution: f"muster.events.*.{execution}.>",
    "everything one machine did": lambda _: "muster.events.gpu-1.>",
    "every failed step anywhere": lambda _: "muster.events.*.*.step.failed",
    "every image pull": lambda _: "muster.events.*.*.image.*",
    "all decisions": lambda _: "muster.events.scheduler.>",
}

Line = tuple[int, bytes]


class Run(msgspec.Struct):
    """What one subscriber wrote before it was killed and when it had come back, and what the stream holds."""

    subject: str
    before: list[Line]
    after: list[Line]
    stream: list[Line]


def written(file: Path) -> list[Line]:
    """The whole lines of a subscriber's file."""
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [(int(number), event) for number, _, event in (line.partition(b" ") for line in lines)]


def subscribe(stack: Stack, subject: str, file: Path) -> subprocess.Popen[bytes]:
    """Start a subscriber; -I keeps it from everything that lies beside it and in PYTHONPATH."""
    return subprocess.Popen([sys.executable, "-I", PROGRAM, stack.broker.url, subject, str(file)])


async def held(url: str, subject: str) -> list[Line]:
    """What the stream holds of a subject, asked for message by message; the broker's own count must agree."""
    async with await nats.connect(url) as client:
        stream = client.jetstream()
        info = await stream.stream_info(STREAM, subjects_filter=subject)
        subjects = info.state.subjects or {}
        found = []
        for sequence in range(1, info.state.last_seq + 1):
            message = await stream.get_msg(STREAM, sequence)
            if message.subject in subjects:
                assert message.data is not None
                found.append((sequence, message.data))
        assert len(found) == sum(subjects.values())
        return found


def steps(image: str) -> list[dict[str, Any]]:
    """Something of everything: a step that ends well, one that fails, and one that waits to be let go."""
    return [
        shell("good", image, "echo good", outputs={"said": {"type": "string", "source": "stdout"}}),
        shell("bad", image, "exit 3"),
        shell("held", image, GATE),
    ]


@pytest.fixture(scope="module")
def runs(
    stack: Stack, witness: Witness, busybox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run]:
    """All five subscribers at once: killed while an execution is held, started again while the next one runs."""
    stack.agent("gpu-1", "--slots", "4")
    folder, execution = tmp_path_factory.mktemp("subscribers"), uuid7()
    subjects = {name: of(execution) for name, of in SUBJECTS.items()}
    files = {name: folder / f"{number}.log" for number, name in enumerate(subjects)}

    first = {name: subscribe(stack, subject, files[name]) for name, subject in subjects.items()}
    try:
        submitted = stack.muster("submit", stack.file(*steps(busybox_image)), "--id", execution)
        assert submitted.code == 0, submitted
        container = witness.running(execution=execution, step="held")
        stack.event(execution, "step.failed")
        for name, file in files.items():
            until(f"an event for {name}", lambda file=file: written(file))
    finally:
        for process in first.values():
            process.kill()
            process.wait()
    before = {name: written(file) for name, file in files.items()}

    witness.open_gate(container)
    stack.event(execution, "execution.failed")
    second = stack.submit(*steps(busybox_image)[:2])
    again = {name: subscribe(stack, subject, files[name]) for name, subject in subjects.items()}
    try:
        stack.event(second, "execution.failed")
        stream = {name: asyncio.run(held(stack.broker.url, subject)) for name, subject in subjects.items()}
        for name, file in files.items():
            last = stream[name][-1][0]
            until(
                f"the end of the stream for {name}",
                lambda f=file, end=last: (written(f) or [(0, b"")])[-1][0] >= end,
            )
    finally:
        for process in again.values():
            process.terminate()
            process.wait()
    return {
        name: Run(subject=subject, before=before[name], after=written(files[name]), stream=stream[name])
        for name, subject in subjects.items()
    }


def test_the_subscriber_knows_nothing_of_muster():
    """It imports nats and the standard library, and no other package."""
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(ast.parse(PROGRAM.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) == {"nats"}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_killed_subscriber_resumes_by_sequence_and_misses_nothing(name: str, runs: dict[str, Run]) -> None:
    """Killed with events still to come, it ends with every event of its subject, once each, in order."""
    run = runs[name]
    assert 0 < len(run.before) < len(run.stream), "it was killed in the middle"
    assert run.after[: len(run.before)] == run.before
    assert [sequence for sequence, _ in run.after] == [sequence for sequence, _ in run.stream]
    assert run.after == run.stream


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_event_is_a_cloudevent(name: str, runs: dict[str, Run]) -> None:
    """The CloudEvents SDK reads each one, finds what is required, and writes it back with the same content."""
    reader = JSONFormat()
    for _, line in runs[name].after:
        event = reader.read(None, line)
        assert event.get_specversion() == "1.0"
        assert event.get_type().startswith("io.muster.")
        assert event.get_source().startswith("/muster/")
        assert event.get_datacontenttype() == "application/json"
        assert event.get_time().astimezone(UTC).year >= 2024
        assert isinstance(event.get_data(), dict)
        assert set(event.get_attributes()) >= {"id", "source", "specversion", "type"}
        again = msgspec.json.decode(reader.write(event))
        assert again | {"time": None} == msgspec.json.decode(line) | {"time": None}


def test_each_subject_brings_what_its_name_says(runs: dict[str, Run]) -> None:
    """The five subjects bring one execution, one machine, one outcome, one noun, one writer, and nothing else."""
    seen = {name: [msgspec.json.decode(line) for _, line in run.after] for name, run in runs.items()}
    kinds = {name: {kind(event) for event in events} for name, events in seen.items()}
    assert len({event["execution"] for event in seen["everything about one execution"]}) == 1
    assert {event["source"] for event in seen["everything one machine did"]} == {"/muster/machines/gpu-1"}
    assert kinds["every failed step anywhere"] == {"step.failed"}
    assert len(seen["every failed step anywhere"]) == 2
    assert kinds["every image pull"] == {"image.pulling", "image.pulled"}
    assert {event["source"] for event in seen["all decisions"]} == {"/muster/scheduler"}
    assert kinds["everything one machine did"] >= {"machine.connected", "container.started", "attempt.failed"}
    assert kinds["everything about one execution"] >= {"execution.queued", "attempt.finished", "step.failed"}
