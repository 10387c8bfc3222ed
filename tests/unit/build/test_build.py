"""Workflows built in Python are the same structs as those in files."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from msgspec import UNSET

from muster import (
    Backoff,
    Cache,
    Case,
    Concurrency,
    Input,
    Limits,
    MachineSelector,
    Output,
    Port,
    Resources,
    Retry,
    Step,
    Timeouts,
    Workflow,
    call,
    case,
    cel,
    chain,
    default,
    error,
    fail,
    for_each,
    get,
    group,
    if_,
    inputs,
    item,
    log,
    machine,
    map_each,
    parallel,
    return_,
    serialize,
    set_,
    sleep,
    sleep_until,
    step,
    steps,
    switch,
    to_yaml,
    variables,
    wait_for_input,
    workflow,
    workflow_of,
)
from muster.model.definition.document import parse
from muster.model.definition.validation import load
from muster.model.errors import InvalidArgumentError, WorkflowInvalidError
from tests.fixtures.constructs import workflows

RUN = "{id: r, image: b}"
INNER = workflow("inner", step("r", "b"), inputs={"x": "integer"})
run = step("r", "b")

FORMS: dict[str, tuple[str, Step]] = {
    "a container with every key": (
        """
        id: all
        description: Everything.
        image: busybox:1
        entrypoint: [sh, -c]
        command: ["echo ${{ inputs.n }}", "on ${{ machine.name }}"]
        environment: {A: "${{ inputs.n }}", B: 1, C: true, D: null}
        working_dir: /tmp
        user: "1000"
        network_mode: bridge
        read_only: true
        pull_policy: always
        stop_grace_period: 5s
        inputs: {list: ["${{ inputs.n }}", {deep: "${{ inputs.n + 1 }}"}]}
        accepts:
          list: {type: array, items: any}
          who: {type: object, properties: {name: {type: string}}, required: false}
          mode: {type: string}
        outputs: {text: {type: string, source: stdout}, count: {type: integer}}
        gives_result: true
        needs: [r]
        always: true
        if: ["${{ inputs.n > 1 }}", inputs.n < 9, true]
        retry: {max_attempts: 3, backoff: {initial: 2s}}
        timeouts: {run: 1h}
        machine: {labels: {gpu: "true"}}
        resources: {cpus: 0.5, memory: 64Mi}
        tags: [gpu]
        priority: 5
        concurrency: {key: "${{ inputs.n }}", limit: 2}
        on_failure: [{id: tell, log: "${{ error.message }}"}]
        """,
        step(
            "all",
            "busybox:1",
            tags=("gpu",),
            priority=5,
            concurrency=Concurrency(key=f"{inputs.n}", limit=2),
            description="Everything.",
            entrypoint=["sh", "-c"],
            command=[f"echo {inputs.n}", f"on {machine.name}"],
            environment={"A": inputs.n, "B": 1, "C": True, "D": None},
            working_dir="/tmp",
            user="1000",
            network_mode="bridge",
            read_only=True,
            pull_policy="always",
            stop_grace_period="5s",
            inputs={"list": [inputs.n, {"deep": inputs.n + 1}]},
            accepts={
                "list": Input(type="array", items="any"),
                "who": Input(type="object", properties={"name": Port(type="string")}, required=False),
                "mode": "string",
            },
            outputs={"text": Output(type="string", source="stdout"), "count": "integer"},
            gives_result=True,
            needs=[run],
            always=True,
            if_=[inputs.n > 1, "inputs.n < 9", True],
            retry=Retry(max_attempts=3, backoff=Backoff(initial="2s")),
            timeouts=Timeouts(run="1h"),
            machine=MachineSelector(labels={"gpu": "true"}),
            resources=Resources(cpus=0.5, memory="64Mi"),
            on_failure=[log("tell", error.message)],
        ),
    ),
    "short forms": (
        "{id: x, image: b, retry: {max_attempts: 3}, outputs: {a: {}, b: {}}, machine: m1, needs: [r, q]}",
        step("x", "b", retry=3, outputs=["a", "b"], machine="m1", needs=[run, "q"]),
    ),
    "a function": (
        "{id: x, image: b, function: 'app.text:shout', inputs: {text: hi}}",
        step("x", "b", function="app.text:shout", inputs={"text": "hi"}),
    ),
    "a function with what it is loaded with": (
        "{id: x, image: b, function: f, params: {a: '${{ inputs.n }}', b: [1]}, isolation: execution, command: [c]}",
        step("x", "b", function="f", params={"a": inputs.n, "b": [1]}, isolation="execution", command=["c"]),
    ),
    "if, then and else": (
        f"{{id: x, if: '${{{{ inputs.n == 1 }}}}', then: [{RUN}], else: [{{id: s, log: no}}]}}",
        if_("x", inputs.n == 1, run, else_=[log("s", "no")]),
    ),
    "then alone": (f"{{id: x, if: 'inputs.ok', then: [{RUN}]}}", if_("x", "inputs.ok", run)),
    "switch": (
        f"{{id: x, switch: [{{case: '${{{{ inputs.n > 1 }}}}', name: big, then: [{RUN}]}}, {{then: []}}]}}",
        switch("x", case(inputs.n > 1, run, name="big"), default()),
    ),
    "for_each": (
        f"{{id: x, for_each: {{in: '${{{{ inputs.all }}}}', max_parallel: 5, on_failure: continue, steps: [{RUN}]}}}}",
        for_each("x", inputs.all, run, max_parallel=5, failed_item="continue"),
    ),
    "map": (
        """
        id: x
        map:
          over: {a: 1}
          steps: [{id: s, log: "${{ item.key }}"}]
          reduce: "${{ item.result + item.value.message }}"
          initial: ""
        """,
        map_each("x", {"a": 1}, log("s", item.key), reduce=item.result + item.value.message, initial=""),
    ),
    "cache": (
        "{id: x, image: b, cache: {key: ['${{ inputs.n }}', 1], max_age: 7d, scope: global}}",
        step("x", "b", cache=Cache(key=[inputs.n, 1], max_age="7d", scope="global")),
    ),
    "cached for a while": ("{id: x, image: b, cache: {max_age: 7d}}", step("x", "b", cache="7d")),
    "cached call": ("{id: x, workflow: inner, cache: {}}", call("x", "inner", cache=Cache())),
    "chain": (f"{{id: x, needs: [q], chain: [{RUN}]}}", chain(run, id_="x", needs=["q"])),
    "chain without id": (f"{{chain: [{RUN}, {{group: []}}]}}", chain(run, group())),
    "group": (f"{{if: true, id: x, group: [{RUN}]}}", group(run, id_="x", if_=True)),
    "parallel": (f"{{id: x, parallel: [{RUN}]}}", parallel(run, id_="x")),
    "wait_for_input": (
        "{id: x, wait_for_input: {prompt: 'Send ${{ inputs.n }}?', schema: {type: object}, timeout: 1h}}",
        wait_for_input("x", f"Send {inputs.n}?", schema={"type": "object"}, timeout="1h"),
    ),
    "sleep": ("{id: x, sleep: 1.5}", sleep("x", 1.5)),
    "sleep_until": (
        "{id: x, sleep_until: '2026-11-21T18:00:00+00:00'}",
        sleep_until("x", datetime(2026, 11, 21, 18, tzinfo=UTC)),
    ),
    "workflow": (
        "{id: x, workflow: inner, inputs: {x: '${{ inputs.n }}'}}",
        call("x", INNER, inputs={"x": inputs.n}),
    ),
    "set": ("{id: x, set: {a: 1, b: '${{ vars.a }}'}}", set_("x", {"a": 1, "b": variables.a})),
    "get": ("{id: x, get: a}", get("x", "a")),
    "return": ("{id: x, return: {a: '${{ steps.r.outputs.n }}'}}", return_("x", {"a": steps.r.outputs.n})),
    "return nothing": ("{id: x, return: null}", return_("x")),
    "error": ("{id: x, error: 'no ${{ inputs.n }}'}", fail("x", f"no {inputs.n}")),
    "log": ("{id: x, log: '${{ size(inputs.all) }}'}", log("x", cel("size({})", inputs.all))),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_step_that_is_built_equals_the_one_in_a_file(form: str):
    """Each construct, in its full and in its short form."""
    text, built = FORMS[form]
    assert msgspec.convert(parse(text.encode(), name=form).data, Step) == built


def test_every_key_of_a_step_can_be_built():
    """A key that is new in files is missing here until it is built too."""
    found = {
        name
        for _, built in FORMS.values()
        for name, value in msgspec.structs.asdict(built).items()
        if value != getattr(Step(), name)
    }
    assert found >= set(Step.__struct_fields__)


def test_a_workflow_that_is_built_equals_the_one_in_a_file():
    """With inputs, outputs, handlers and the workflows it calls."""
    words = step("words", "b", outputs=["count"])
    built = workflow(
        "w",
        chain(words, call("c", INNER, inputs={"x": words.output.count})),
        description="Counts.",
        inputs=["text"],
        outputs={"n": words.output.count, "all": [words.output["my-count"], steps.c.outputs]},
        on_failure="continue",
        on_finish=[log("tidy", error.message)],
        workflows=[INNER],
        concurrency=Concurrency(key=f"{inputs.text}", limit=2),
        limits=Limits(steps=10, functions={"b": 2}),
        priority=-5,
        timeout="1h",
        tags=("gpu",),
        labels={"team": "a"},
        metadata={"owner": {"name": "Ada"}},
    )
    text = """
    name: w
    concurrency: {key: "${{ inputs.text }}", limit: 2}
    limits: {steps: 10, functions: {b: 2}}
    priority: -5
    timeout: 1h
    tags: [gpu]
    labels: {team: a}
    metadata: {owner: {name: Ada}}
    description: Counts.
    inputs: {text: {}}
    steps:
      - chain:
          - {id: words, image: b, outputs: {count: {}}}
          - {id: c, workflow: inner, inputs: {x: "${{ steps.words.outputs.count }}"}}
    outputs:
      n: ${{ steps.words.outputs.count }}
      all: ['${{ steps.words.outputs["my-count"] }}', "${{ steps.c.outputs }}"]
    on_failure: continue
    on_finish: [{id: tidy, log: "${{ error.message }}"}]
    workflows: {inner: {name: inner, inputs: {x: {type: integer}}, steps: [{id: r, image: b}]}}
    """
    assert msgspec.convert(parse(text.encode(), name="w").data, Workflow) == built
    with pytest.raises(WorkflowInvalidError, match="does not declare"):
        workflow_of(built)


def test_the_struct_itself_takes_terms_too():
    """What is given to Workflow and Step by their own names is written out when it is sent."""
    greet = Step(id="greet", image="b", outputs={"text": Output()})
    built = Workflow(name="w", steps=[greet], outputs={"text": greet.output.text})
    assert serialize(built)["outputs"] == {"text": "${{ steps.greet.outputs.text }}"}
    assert workflow_of(built).outputs == {"text": "${{ steps.greet.outputs.text }}"}
    assert load(to_yaml(built).encode(), name="w.yaml") == workflow_of(built)
    with pytest.raises(TypeError):
        serialize(Workflow(name="w", steps=[], outputs={"x": cast("Any", object())}))


@settings(deadline=None)  # the first example loads the expression library
@given(workflows(8))
def test_any_workflow_can_be_written_and_built_again(definition: dict[str, Any]):
    """The text of a file, the struct and what the builder makes are one."""
    found = workflow_of(definition)
    assert load(to_yaml(found).encode(), name="w.yaml") == found
    assert rebuilt(found) == found


def rebuilt(found: Workflow) -> Workflow:
    """The workflow, made anew by the functions people call."""
    return workflow(
        found.name,
        *map(again, found.steps),
        inputs=found.inputs,
        outputs=found.outputs,
        on_failure=found.on_failure,
        on_finish=[again(one) for one in found.on_finish],
        workflows={name: rebuilt(one) for name, one in found.workflows.items()},
    )


def again(one: Step) -> Step:
    """The step, made anew."""
    common: dict[str, Any] = {"needs": one.needs, "always": one.always}
    common["on_failure"] = [again(inner) for inner in one.on_failure]
    if one.if_ is not None and one.then is None and one.else_ is None:
        common["if_"] = one.if_
    if one.image is not None:
        return step(one.id, one.image, command=one.command, inputs=one.inputs, accepts=one.accepts,
                    outputs=one.outputs, retry=one.retry,
                    resources=one.resources, gives_result=one.gives_result, environment=one.environment,
                    machine=one.machine, timeouts=one.timeouts, function=one.function,
                    params=one.params, isolation=one.isolation, **common)  # fmt: skip
    return holding(one, common) or plain(one, common)


def holding(one: Step, common: dict[str, Any]) -> Step | None:
    """A step that holds others."""
    if one.then is not None or one.else_ is not None:
        otherwise = None if one.else_ is None else [again(inner) for inner in one.else_]
        assert one.if_ is not None
        return if_(one.id, one.if_, *map(again, one.then or []), else_=otherwise, **common)
    if one.switch is not None:
        return switch(one.id, *map(branch, one.switch), **common)
    for kind in (chain, group, parallel):
        if (elements := getattr(one, kind.__name__)) is not None:
            return kind(*map(again, elements), id_=one.id, **common)
    if (loop := one.for_each) is not None:
        more: dict[str, Any] = {"max_parallel": loop.max_parallel, "failed_item": loop.on_failure} | common
        return for_each(one.id, loop.in_, *map(again, loop.steps), **more)
    if (each := one.map) is not None:
        more = {"max_parallel": each.max_parallel, "failed_item": each.on_failure} | common
        more |= {"reduce": each.reduce, "initial": each.initial}
        return map_each(one.id, each.over, *map(again, each.steps), **more)
    return None


def branch(found: Case) -> Case:
    """A branch of a switch, made anew."""
    then = [again(inner) for inner in found.then]
    if found.case is UNSET:
        return default(*then, name=found.name)
    return case(cast("Any", found.case), *then, name=found.name)


def plain(one: Step, common: dict[str, Any]) -> Step:
    """A step that holds no others."""
    if (asked := one.wait_for_input) is not None:
        return wait_for_input(one.id, asked.prompt, schema=asked.schema, timeout=asked.timeout, **common)
    if one.workflow is not None:
        return call(one.id, one.workflow, inputs=one.inputs, **common)
    makers: dict[str, Any] = {
        "sleep": sleep, "sleep_until": sleep_until, "set": set_, "get": get, "error": fail, "log": log,
    }  # fmt: skip
    for name, maker in makers.items():
        if (value := getattr(one, name)) is not None:
            return cast("Step", maker(one.id, value, **common))
    return return_(one.id, one.return_, **common)


def test_a_function_is_named_by_where_it_stands():
    """As text, or itself: functions, classes, methods."""
    assert step("s", "i", function="app.text:shout").function == "app.text:shout"
    assert step("s", "i", function=parse).function == "muster.model.definition.document:parse"
    assert step("s", "i", function=Workflow).function == "muster.model.definition.workflow:Workflow"
    assert step("s", "i", function=Reader.read).function == f"{__name__}:Reader.read"


def test_a_function_that_no_image_could_import():
    """Lambdas, functions inside functions, what stands in the program itself, and objects are refused with words."""

    def inner() -> None: ...

    main = type("Main", (), {"__module__": "__main__"})
    for function, words in ((lambda: None, "a lambda"), (inner, "inner stands inside"), (main, "being run")):
        with pytest.raises(InvalidArgumentError, match=words):
            step("s", "i", function=function)
    with pytest.raises(InvalidArgumentError, match="has no name"):
        step("s", "i", function=functools.partial(print))


class Reader:
    """Has a method."""

    def read(self) -> None:
        """Nothing."""
