"""A definition with stand-ins: as good as before, and its expressions look up the same things.

What of it is structure and what a value is said in ``muster.model.proof.confidential``. Every block is treated as the
workflow's own; a time that is written out stays, and of a JSON Schema nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from muster.model.errors import ExpressionError
from muster.model.expressions import tokens
from muster.model.expressions.template import OPENING, compile_template, templates
from muster.model.plan.conditions import formula
from muster.model.plan.order import split
from muster.model.proof.pseudonyms import Pseudonyms

_STEP: Final = frozenset(
    {
        "id",
        "function",
        "isolation",
        "network_mode",
        "read_only",
        "pull_policy",
        "stop_grace_period",
        "needs",
        "retry",
        "timeouts",
    }
    | {"machine", "resources", "priority", "tags", "gives_result", "always", "workflow", "get", "sleep"}
)
_WORKFLOW: Final = frozenset(("name", "on_failure", "priority", "timeout", "tags", "limits"))
_DECLARATION: Final = frozenset(("type", "required", "source"))
CLAIM: Final = frozenset(("limit", "on_conflict"))
_SCHEDULE: Final = frozenset(("cron", "every", "timezone", "overlap", "catch_up"))
_LOOP: Final = frozenset(("max_parallel", "on_failure"))
_BLOCKS: Final = ("then", "else", "chain", "group", "parallel", "on_failure")
_GIVEN: Final = ("key", "value", "items", "result", "branches", "message")
"""Names that the engine itself gives to members and outputs."""

Treatment = Callable[["Disguise", Any], Any]


class Disguise:
    """Puts stand-ins into a definition. ``kept`` are inputs whose defaults stay: ``inputs.N``."""

    def __init__(self, stand_ins: Pseudonyms, kept: frozenset[str]) -> None:
        self._stand_ins = stand_ins
        self._kept = kept

    def workflow(self, value: Any) -> Any:
        """The definition."""
        return self._fields(value, _WORKFLOW, _IN_WORKFLOW)

    def _fields(self, found: Any, structure: frozenset[str], treated: Mapping[str, Treatment]) -> Any:
        """Each field as it has to be; what this release does not know counts as a value."""
        if not isinstance(found, dict):
            return self._stand_ins.value(found)
        return {
            name: part if name in structure else treated.get(name, Disguise.value)(self, part)
            for name, part in found.items()
        }

    def value(self, value: Any) -> Any:
        """Every leaf, and every key that is no name."""
        return self._stand_ins.value(value)

    def templated(self, value: Any) -> Any:
        """Anything that may hold expressions, however nested."""
        return templated(self._stand_ins, value)

    def shaped(self, value: Any) -> Any:
        """What must keep its form."""
        return templated(self._stand_ins, value, self._stand_ins.shaped)

    def entrypoint(self, value: Any) -> Any:
        """An entrypoint: one that is a string must still be split into as many words."""
        if isinstance(value, str):
            return " ".join(self._stand_ins.template(word) for word in split(value))
        return self.templated(value)

    def declarations(self, value: dict[str, Any]) -> dict[str, Any]:
        """Inputs or outputs as they are declared."""
        return {
            name: self._fields(part, _DECLARATION, _IN_PORTS)
            | ({"default": part["default"]} if f"inputs.{name}" in self._kept and "default" in part else {})
            for name, part in value.items()
        }

    def items(self, value: Any) -> Any:
        """What the members of an array are: a type, or another port."""
        return self._fields(value, _DECLARATION, _IN_PORTS) if isinstance(value, dict) else value

    def properties(self, value: dict[str, Any]) -> dict[str, Any]:
        """The ports in a port."""
        return {name: self.items(part) for name, part in value.items()}

    def steps(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The steps of a block."""
        return [self._fields(step, _STEP, _IN_STEPS) for step in value]

    def schedule(self, value: Any) -> Any:
        """When it is run, and with what."""
        return self._fields(value, _SCHEDULE, {"inputs": Disguise.given})

    def given(self, value: dict[str, Any]) -> dict[str, Any]:
        """Inputs as they are given."""
        return {
            name: part if f"inputs.{name}" in self._kept else self.value(part) for name, part in value.items()
        }

    def cases(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The branches of a switch."""
        return [self._fields(case, frozenset(("name",)), _IN_STEPS) for case in value]

    def loop(self, value: Any) -> Any:
        """What is run for each member."""
        return self._fields(value, _LOOP, _IN_LOOPS)

    def labels(self, value: Any) -> Any:
        """Values by names that stay."""
        return {name: self.value(part) for name, part in value.items()}

    def claim(self, value: Any) -> Any:
        """A key that may be made of inputs, and how many may hold it."""
        return self._fields(value, CLAIM, {"key": Disguise.templated})

    def asked(self, value: Any) -> Any:
        """What is asked of somebody."""
        return self._fields(
            value, frozenset(("timeout",)), {"prompt": Disguise.templated, "schema": _nothing}
        )

    def cache(self, value: Any) -> Any:
        """What makes it the same, and how old it may be."""
        return self._fields(value, frozenset(("max_age", "scope")), {"key": Disguise.templated})

    def condition(self, value: Any) -> Any:
        """One condition or several: without an opening, a string is an expression."""
        if isinstance(value, list):
            return [self.condition(part) for part in value]
        return self.templated(value) if formula(value) is value else self._stand_ins.expression(value)

    def moment(self, value: Any) -> Any:
        """A time that is written out is part of the program."""
        return self.templated(value) if OPENING in str(value) else value

    def workflows(self, value: dict[str, Any]) -> dict[str, Any]:
        """Those that it runs."""
        return {name: self.workflow(part) for name, part in value.items()}


def templated(stand_ins: Pseudonyms, value: Any, make: Callable[[str], str] | None = None) -> Any:
    """Anything that may hold expressions, however nested."""
    if isinstance(value, str):
        return stand_ins.template(value, make)
    if isinstance(value, dict):
        return {stand_ins.text(key): templated(stand_ins, part, make) for key, part in value.items()}
    if isinstance(value, list):
        return [templated(stand_ins, part, make) for part in value]
    return stand_ins.value(value)


def _nothing(_: Disguise, __: Any) -> dict[str, Any]:
    return {}


_IN_WORKFLOW: Final[dict[str, Treatment]] = {
    "inputs": Disguise.declarations,
    "steps": Disguise.steps,
    "outputs": Disguise.templated,
    "on_finish": Disguise.steps,
    "workflows": Disguise.workflows,
    "concurrency": Disguise.claim,
    "schedule": Disguise.schedule,
    "labels": Disguise.labels,
}
_IN_PORTS: Final[dict[str, Treatment]] = {"items": Disguise.items, "properties": Disguise.properties}
_IN_LOOPS: Final[dict[str, Treatment]] = {
    "steps": Disguise.steps,
    **dict.fromkeys(("in", "over", "initial", "reduce"), Disguise.templated),
}
_IN_STEPS: Final[dict[str, Treatment]] = {
    "image": Disguise.shaped,
    "entrypoint": Disguise.entrypoint,
    "working_dir": Disguise.shaped,
    "user": Disguise.shaped,
    "accepts": Disguise.declarations,
    "outputs": Disguise.declarations,
    "concurrency": Disguise.claim,
    "switch": Disguise.cases,
    "for_each": Disguise.loop,
    "map": Disguise.loop,
    "wait_for_input": Disguise.asked,
    "sleep_until": Disguise.moment,
    "cache": Disguise.cache,
    **dict.fromkeys(("if", "case"), Disguise.condition),
    **dict.fromkeys(_BLOCKS, Disguise.steps),
    **dict.fromkeys(
        ("command", "environment", "params", "inputs", "set", "return", "error", "log"), Disguise.templated
    ),
}


# ---- names


def names(workflow: dict[str, Any]) -> Iterator[str]:
    """The names in a definition, which stay wherever they are found: expressions look things up by them."""
    yield from _GIVEN
    yield str(workflow.get("name", ""))
    yield from _ports(workflow.get("inputs", {}))
    yield from workflow.get("outputs", {})
    yield from (
        (workflow.get("limits") or {}).get("functions") or {}
    )  # an image by its name, like a function
    written = [text for _, text in templates(workflow)]
    for step in _steps([*workflow.get("steps", []), *workflow.get("on_finish", [])]):
        yield step.get("id", "")
        for field in ("params", "inputs", "environment", "set"):
            yield from step.get(field) or {}
        for field in ("accepts", "outputs"):
            yield from _ports(step.get(field) or {})
        written += _conditions(step)
    yield from _looked_up(written)
    for name, inner in workflow.get("workflows", {}).items():
        yield name
        yield from names(inner)


def _ports(declared: dict[str, Any]) -> Iterator[str]:
    """The names of ports and of what is in them: values are checked by them."""
    for name, port in declared.items():
        yield name
        inside = port
        while isinstance(inside, dict):
            yield from _ports(inside.get("properties") or {})
            inside = inside.get("items")


def _steps(block: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The steps of a block, and of all blocks in it."""
    waiting = [*block]
    while waiting:
        step = waiting.pop()
        yield step
        for field in _BLOCKS:
            waiting += step.get(field) or []
        for loop in ("for_each", "map"):
            waiting += (step.get(loop) or {}).get("steps", [])
        for case in step.get("switch") or []:
            waiting += case.get("then", [])


def _conditions(step: dict[str, Any]) -> Iterator[str]:
    for condition in (step.get("if"), *(case.get("case") for case in step.get("switch") or [])):
        for part in condition if isinstance(condition, list) else [condition]:
            if isinstance(part, str):
                yield str(formula(part))


def _looked_up(written: list[str]) -> Iterator[str]:
    for text in written:
        try:
            expressions = compile_template(text).expressions
        except ExpressionError:  # a description may hold anything
            continue
        for expression in expressions:
            listed = tokens.listed(expression.source)
            yield from (token.text for at, token in enumerate(listed) if tokens.is_field(listed, at))
