"""A function in an image that has nothing of Python or Muster: checked, then called by a workflow."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
import yaml

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, until
from tests.fixtures.rootfs import add_file

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/functions-other"


@pytest.fixture(scope="module")
def counter_image(docker_engine: docker.DockerClient, busybox_image: str) -> Iterator[str]:
    """What examples/functions-other/Dockerfile makes, of the busybox that is here."""
    buffer = io.BytesIO()
    text = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8").replace("busybox:1", busybox_image)
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_file(tar, "Dockerfile", text.encode())
        add_file(tar, "count.awk", (EXAMPLES / "count.awk").read_bytes())
    buffer.seek(0)
    name = f"muster-test/counter:{uuid.uuid4().hex}"  # others may use this engine
    docker_engine.images.build(fileobj=buffer, custom_context=True, tag=name, rm=True)
    yield name
    docker_engine.images.remove(name, force=True)


def test_an_image_keeps_the_rules(stack: Stack, witness: Witness, counter_image: str):
    """The example keeps all that could be tried, and no container stays."""
    own = f"TEST={uuid.uuid4()}"
    arguments = ("--input", "text=to be or not", "--env", own, "--json")
    answer = stack.muster("function", "check", counter_image, *arguments)
    assert answer.code == 0, answer
    found = [json.loads(line) for line in answer.out.splitlines()]
    assert sorted(one["rule"] for one in found) == list(range(1, 19))
    assert {one["rule"] for one in found if one["outcome"] != "kept"} <= {10, 11, 15}
    assert not _containers(witness.engine, own)


def test_a_function_of_the_harness_keeps_the_rules(stack: Stack, witness: Witness, python_image: str):
    """In an image that has nothing but Python."""
    own = f"TEST={uuid.uuid4()}"
    arguments = ("--function", "outcomes:shout", "--input", "text=a", "--env", own, "--json")
    answer = stack.muster("function", "check", python_image, *arguments)
    assert answer.code == 0, answer
    found = [json.loads(line) for line in answer.out.splitlines()]
    assert {one["rule"] for one in found if one["outcome"] != "kept"} <= {10, 13}
    assert not _containers(witness.engine, own)


def test_an_image_that_is_no_function(stack: Stack, witness: Witness, busybox_image: str):
    """It ends with 1 and says what happened instead; an image that is not there is an error of its own."""
    own = f"TEST={uuid.uuid4()}"
    script = "read line; echo what; exit 4"
    answer = stack.muster("function", "check", busybox_image, "--env", own, "--", "sh", "-c", script)
    assert answer.code == 1, answer
    assert "ended with exit code 4" in answer.out
    assert not _containers(witness.engine, own)


def test_a_workflow_calls_it(stack: Stack, witness: Witness, counter_image: str):
    """The example's workflow: one container, loaded once, called for each line."""
    stack.agent("m1", "--slots", "1")
    definition = yaml.safe_load((EXAMPLES / "count.yaml").read_text(encoding="utf-8"))
    definition["steps"][0]["for_each"]["steps"][0]["image"] = counter_image
    file = stack.folder / "count.yaml"
    file.write_text(yaml.safe_dump(definition, sort_keys=False))
    answer = stack.muster("run", file, "--json")
    assert answer.code == 0, answer
    result = json.loads(answer.out.splitlines()[-1])
    assert result["outputs"]["counts"] == [
        {"words": 6, "longest": "not"},
        {"words": 4, "longest": "question"},
    ]
    execution = result["execution"]
    assert len(stack.events(execution, "function.loaded")) == 1
    assert len(stack.events(execution, "attempt.started")) == 2
    # Its stderr comes beside its answers, and it makes no marks: a line may come too late for its call.
    until("its lines are logged", lambda: {"counting", "counted"} <= _words(stack, execution))


def _words(stack: Stack, execution: str) -> set[str]:
    return set(stack.muster("logs", execution).out.split())


def _containers(engine: docker.DockerClient, own: str) -> list[str]:
    """Of those that are checked, the ones with this in their environment: others may check theirs."""
    found = []
    for one in engine.api.containers(all=True, filters={"label": "io.muster.machine=function"}):
        with contextlib.suppress(docker.errors.NotFound):
            if own in engine.api.inspect_container(one["Id"])["Config"]["Env"]:
                found.append(str(one["Id"]))
    return found
