"""Values on their way from port to port: cut, completed, and refused."""

from __future__ import annotations

from typing import Any

from tests.golden.scenario import scenario, step
from tests.golden.stage import Stage

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "required": False}},
}
NAMED: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "city": {"type": "string", "default": "Ulm"}},
}
PEOPLE = {"type": "array", "items": PERSON}
SAYS = """echo '%s' > "$MUSTER_OUTPUT" """
SEEN = """printf '{"seen": %s}' "$(cat "$MUSTER_INPUT")" > "$MUSTER_OUTPUT" """


def takes(id_: str, value: str, port: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A step that gives what it was given as ``x``."""
    return step(id_, SEEN, inputs={"x": value}, accepts={"x": port}, outputs={"seen": {}}, **more)


@scenario
async def ports(stage: Stage) -> None:
    """Steps, a loop and a child are given what they accept, with the defaults of what was left out."""
    await stage.leader()
    await stage.machine("m1", slots=1)
    make = step(
        "make", SAYS % '{"people": [{"name": "Ada", "age": 36}, {"name": "Bo"}]}', outputs={"people": PEOPLE}
    )
    people = "${{ steps.make.outputs.people }}"
    inner = {
        "name": "inner",
        "inputs": {"who": NAMED},
        "steps": [{"id": "say", "log": "${{ inputs.who.city }}"}],
    }
    steps = [
        make,
        takes("all", people, {"type": "array", "items": NAMED}),
        {
            "id": "each",
            "for_each": {"in": people, "steps": [takes("one", "${{ item }}", NAMED)]},
            "needs": ["all"],
        },
        {
            "id": "call",
            "workflow": "inner",
            "inputs": {"who": "${{ steps.make.outputs.people[0] }}"},
            "needs": ["each"],
        },
    ]
    outputs = {
        "all": "${{ steps.all.outputs.seen.x }}",
        "city": "${{ steps.each.outputs.items[1].seen.x.city }}",
    }
    assert await stage.run("ports-1", *steps, workflows={"inner": inner}, outputs=outputs) == "succeeded"


@scenario
async def ports_refused(stage: Stage) -> None:
    """What could not be known before: an output, an input of a step, and one of a child are of another type."""
    await stage.leader()
    await stage.machine("m1", slots=1)
    steps = [
        step("wrong", SAYS % '{"people": [{"name": 5}]}', outputs={"people": PEOPLE}),
        step("any", SAYS % '{"x": [{"age": 3}]}', outputs={"x": {}}, needs=["wrong"], always=True),
        takes("take", "${{ steps.any.outputs.x }}", PEOPLE),
        {"id": "call", "workflow": "inner", "inputs": {"who": "${{ steps.any.outputs.x[0] }}"}},
    ]
    inner = {"name": "inner", "inputs": {"who": NAMED}, "steps": [{"id": "say", "log": "never"}]}
    more: dict[str, Any] = {"workflows": {"inner": inner}, "on_failure": "continue"}
    assert await stage.run("refused-1", *steps, **more) == "failed"
