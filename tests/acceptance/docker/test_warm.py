"""Functions that stay loaded, in real containers: how often they are loaded, who shares them, what is left of them."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import docker
import pytest

from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Part, Stack, kind, until
from tests.fixtures.python_image import APP, make_python_image

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "model" / "model.py"
SLOTS = 4
CALLS = 200
HYKO = (
    *("Pulling Image", "Image Pulled", "Starting Container", "Loading Function", "Function Loaded"),
    *("Execution Started", "Execution Finished"),
)
MB = 1 << 20
SHORT = 12  # of a container's id: what engines show, and what it has as its host name


@pytest.fixture(scope="module")
def image(docker_engine: docker.DockerClient) -> str:
    """An image with Python, the functions of these tests and the example's model."""
    app = {path.name: path.read_bytes() for path in (APP / "counted.py", EXAMPLE)}
    return make_python_image(docker_engine, app)


@pytest.fixture
def m1(stack: Stack, witness: Witness) -> Part:
    """The machine, running whatever the test before did to it."""
    if "m1" in stack.agents:
        stack.agents["m1"].start()
    else:
        stack.steady_agent("m1", slots=SLOTS)
    return stack.agents["m1"]


@pytest.fixture(scope="module")
def model() -> ModuleType:
    """The example as Python sees it."""
    spec = importlib.util.spec_from_file_location("model", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def each(members: Any, step: dict[str, Any], parallel: int = SLOTS) -> dict[str, Any]:
    """A step for each member, so many at a time."""
    return {"id": "each", "for_each": {"in": members, "max_parallel": parallel, "steps": [step]}}


def counted(image: str, **more: Any) -> dict[str, Any]:
    """A call that says where it is and how often that was loaded."""
    step = {"id": "call", "image": image, "function": "counted:Counted", "inputs": {"n": "${{ item }}"}}
    return step | {"outputs": {name: {} for name in ("square", "container", "loads", "call")}} | more


def containers(events: list[dict[str, Any]]) -> Counter[str]:
    """How many of these events each container has."""
    return Counter(event["data"]["container"] for event in events)


def results(stack: Stack, execution: str) -> list[dict[str, Any]]:
    """What each member gave, in order."""
    found: list[dict[str, Any]] = next(
        step["outputs"]["items"] for step in stack.show(execution)["steps"] if step["path"] == "each"
    )
    return found


def test_two_hundred_calls_load_once_for_each_container(stack: Stack, witness: Witness, m1: Part, image: str):
    """One load for each container, whoever counts: the log, the engine, the container itself; and nothing is left."""
    execution, ran = stack.run(each(list(range(CALLS)), counted(image)))
    assert ran.code == 0, ran
    found = results(stack, execution)
    assert [one["square"] for one in found] == [n * n for n in range(CALLS)]
    loading = containers(stack.events(execution, "function.loading"))
    loaded = containers(stack.events(execution, "function.loaded"))
    started = containers(stack.events(execution, "attempt.started"))
    assert len(loaded) <= SLOTS
    assert set(loading.values()) == set(loaded.values()) == {1}
    assert loading.keys() == loaded.keys() == started.keys()
    assert started.total() == len(stack.events(execution, "attempt.finished")) == CALLS
    assert Counter(one["container"] for one in found) == {
        container[:SHORT]: count for container, count in started.items()
    }
    assert {one["loads"] for one in found} == {1}
    for container in started:
        calls = sorted(one["call"] for one in found if container.startswith(one["container"]))
        assert calls == list(range(1, started[container] + 1))
    made = [attributes["id"] for _, action, attributes in witness.happened if action == "create"]
    assert set(started) <= set(made)
    _lifecycle(stack, execution, len(loaded))
    m1.stop()
    witness.nothing_left()


def _lifecycle(stack: Stack, execution: str, loads: int) -> None:
    """All seven by Hyko's names: of the calls one each, of the loads one for each container."""
    told = stack.muster("events", "--execution", execution).out
    assert [told.count(name) for name in HYKO[3:]] == [loads, loads, CALLS, CALLS]
    shown = Counter(one["label"] for one in stack.show(execution)["timeline"])
    cold = {name: loads for name in HYKO if name.startswith(("Starting", "Loading", "Function"))}
    assert {name: shown[name] for name in cold} == cold
    assert shown["Execution Started"] == shown["Execution Finished"] == CALLS
    assert all(any(name in label for label in shown) for name in HYKO)


def test_a_model_is_loaded_once_and_its_memory_stays(
    stack: Stack, witness: Witness, m1: Part, image: str, model: ModuleType
):
    """Fifty calls by five executions at once: each container loads its 100 MB once, and grows by nothing after that."""
    texts = [f"to be or not to be {number} {chr(97 + number)}" for number in range(10)]
    call = {
        "id": "embed",
        "image": image,
        "function": "model:Embed",
        "params": {"megabytes": 100, "seconds": 2},
        "inputs": {"text": "${{ item }}"},
    }
    call["outputs"] = {name: {} for name in ("vectors", "container", "call", "memory")}
    executions = [stack.submit(each(texts, call)) for _ in range(5)]
    for execution in executions:
        stack.event(execution, "execution.succeeded")
    loaded = [one for execution in executions for one in stack.events(execution, "function.loaded")]
    started = [one for execution in executions for one in stack.events(execution, "attempt.started")]
    assert len(started) == 50
    assert len(loaded) <= SLOTS
    assert set(containers(loaded).values()) == {1}
    assert containers(loaded).keys() == containers(started).keys()
    assert all(one["data"]["seconds"] >= 2 for one in loaded)
    calls = [one for execution in executions for one in results(stack, execution)]
    _says_what_it_says_here(model, texts, calls)
    _stays_as_large(calls, len(loaded))
    m1.stop()
    witness.nothing_left()


def _says_what_it_says_here(model: ModuleType, texts: list[str], calls: list[dict[str, Any]]) -> None:
    here = model.Embed()
    here.load(seconds=0)
    expected = [here.execute(text)["vectors"] for text in texts]
    assert [one["vectors"] for one in calls] == expected * 5


def _stays_as_large(calls: list[dict[str, Any]], containers: int) -> None:
    memory: dict[str, dict[int, int]] = defaultdict(dict)
    for one in calls:
        memory[one["container"]][one["call"]] = one["memory"]
    assert len(memory) == containers
    for by_call in memory.values():
        assert sorted(by_call) == list(range(1, len(by_call) + 1))  # nobody loaded it anew
        first, last = by_call[1], by_call[len(by_call)]
        assert first > 100 * MB
        assert last - first < 4 * MB


def test_the_example_is_what_it_says(stack: Stack, witness: Witness, m1: Part, image: str, model: ModuleType):
    """The workflow beside the model runs as it stands, and gives what the model gives."""
    file = EXAMPLE.with_name("model.yaml")
    ran = stack.muster("run", file, "--input", f"image={image}", "--json")
    assert ran.code == 0, ran
    outputs = json.loads(ran.out.splitlines()[-1])["outputs"]
    here = model.Embed()
    here.load(seconds=0)
    texts = ["to be or not to be", "that is the question", "whether tis nobler in the mind"]
    assert outputs["vectors"] == [here.execute(text)["vectors"] for text in texts]
    assert len(set(outputs["containers"])) <= 2
    m1.stop()
    witness.nothing_left()


def test_a_container_of_an_execution_is_never_shared(stack: Stack, witness: Witness, m1: Part, image: str):
    """With `isolation: execution` each has its own, and calls it again and again."""
    call = counted(image, isolation="execution")
    executions = [stack.submit(each([1, 2, 3], call, 1)) for _ in range(3)]
    served = {}
    for execution in executions:
        stack.event(execution, "execution.succeeded")
        served[execution] = {one["container"] for one in results(stack, execution)}
        assert {one["loads"] for one in results(stack, execution)} == {1}
        assert len(stack.events(execution, "attempt.started")) == 3
        assert kind(stack.events(execution)[-1]) == "execution.succeeded"
    assert [len(each) for each in served.values()] == [1, 1, 1]
    assert len(set.union(*served.values())) == 3
    m1.stop()
    witness.nothing_left()


def test_a_container_for_one_call_goes_with_it(stack: Stack, witness: Witness, m1: Part, image: str):
    """With `isolation: call` each call has a container of its own, and none of them stays."""
    execution, ran = stack.run(each([1, 2, 3], counted(image, isolation="call"), 1))
    assert ran.code == 0, ran
    found = results(stack, execution)
    assert len({one["container"] for one in found}) == 3
    assert {one["call"] for one in found} == {1}
    until("none of them stays", lambda: not witness.present())
