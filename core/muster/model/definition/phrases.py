"""What a step of a plan is in words: short for a picture, whole for an explanation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.model import values
from muster.model.definition.workflow import Cache, MachineSelector, Resources, Retry, Step
from muster.model.expressions.template import OPENING, compile_template
from muster.model.plan.lowering import case_name, chooses_by_if, each_of, listed, structure
from muster.model.plan.tree import Block, StepPlan

_RESOURCES: Final = Resources()
_RETRY: Final = Retry()
CONFLICTS: Final = {
    "queue": "one more waits for its turn",
    "cancel_running": "for one more the oldest is cancelled",
    "reject": "one more is refused",
}
_SHORT_MAX: Final = 60  # characters of a value


def short(value: Any) -> str:
    """A value in one line: text as it is, all else as JSON, and not all of it where it is long."""
    line = " ".join(values.text(value).split())
    return line if len(line) <= _SHORT_MAX else line[: _SHORT_MAX - 1] + "…"


def quoted(value: Any) -> str:
    """As short, with text in quotes."""
    return f'"{short(value)}"' if isinstance(value, str) else short(value)


def condition(written: str | bool) -> str:  # noqa: FBT001
    """A condition as people read it: without what is around the expression."""
    if isinstance(written, bool):
        return "true" if written else "false"
    whole = compile_template(written).whole if OPENING in written else None
    return whole.source if whole is not None else written


def conditions(written: Sequence[str | bool]) -> str:
    """Several that must all hold."""
    return " and ".join(map(condition, written))


def headline(plan: StepPlan) -> str:
    """What the step does, in a few words."""
    return next(_headlines(plan.step), "")


def _headlines(step: Step) -> Iterator[str]:
    if step.image is not None:
        yield condition(step.image) if step.function is None else step.function
    if step.switch is not None:
        yield "switch"
    if step.for_each is not None or step.map is not None:
        yield f"for each of {_members(step)}" + (" and reduce" if step.map and step.map.reduce else "")
    if step.then is not None or step.else_ is not None:
        yield f"if {conditions(listed(step.if_))}"
    if step.wait_for_input is not None:
        yield f"ask: {step.wait_for_input.prompt}" if step.wait_for_input.prompt else "wait for input"
    if step.sleep is not None:
        yield f"sleep {step.sleep}"
    if step.sleep_until is not None:
        yield f"sleep until {condition(step.sleep_until)}"
    if step.workflow is not None:
        yield f"workflow {step.workflow}"
    yield from _assigned(step)


def _assigned(step: Step) -> Iterator[str]:
    if step.set is not None:
        yield f"set {', '.join(step.set)}"
    if step.get is not None:
        yield f"get {step.get}"
    if step.return_ is not UNSET:
        yield "return" if step.return_ is None else f"return {_value(step.return_)}"
    if step.error is not None:
        yield f"error: {step.error}"
    if step.log is not None:
        yield f"log: {step.log}"
    if structure(step) is not None:
        yield f"if {conditions(listed(step.if_))}" if step.if_ is not None else "gather outputs"


def _members(step: Step) -> str:
    loop: Any = each_of(step)
    return _value(loop.in_ if step.for_each is not None else loop.over)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return condition(value) if OPENING in value else quoted(value)
    return short(value)


def branch(plan: StepPlan, block: Block) -> str:
    """When a block of the step is run."""
    step = plan.step
    if chooses_by_if(step):
        return f"if {conditions(listed(step.if_))}" if block.name == "then" else "otherwise"
    for number, case in enumerate(step.switch or (), 1):
        if case_name(case, number) == block.name:
            return "otherwise" if case.case is UNSET else f"if {conditions(listed(case.case))}"
    return ""


def action(plan: StepPlan) -> str:
    """What the step does, whole."""
    step = plan.step
    if step.image is not None:
        what = f"runs {_image(step)}" if step.function is None else f"calls {step.function} in {_image(step)}"
        how = f"{_where(step)}{_loaded(step)}{_resources(step.resources)}{_tries(step.retry)}{_cached(step.cache)}"
        return f"{what} {how}"
    if step.for_each is not None or step.map is not None:
        return _loop(step)
    if step.switch is not None:
        return "takes the first case that holds"
    if chooses_by_if(step):
        return "takes one of its branches" if step.else_ else "runs its steps or none"
    if step.workflow is not None:
        return f"runs the workflow {step.workflow} as an execution of its own{_cached(step.cache)}"
    if step.wait_for_input is not None:
        asked = step.wait_for_input
        about = f": {quoted(asked.prompt)}" if asked.prompt else ""
        return f"waits for input{about}, " + (
            f"at most {asked.timeout}" if asked.timeout else "however long it takes"
        )
    if step.sleep is not None or step.sleep_until is not None:
        return (
            f"waits for {step.sleep}" if step.sleep is not None else f"waits until {_value(step.sleep_until)}"
        )
    return _assigns(step)


def _assigns(step: Step) -> str:
    if step.set is not None:
        return "sets " + ", ".join(f"{name} to {_value(value)}" for name, value in step.set.items())
    if step.get is not None:
        return f"reads the variable {step.get}"
    if step.error is not None:
        return f"fails with {quoted(step.error)}"
    if step.log is not None:
        return f"writes {quoted(step.log)} into the log"
    if step.return_ is not UNSET:
        return "ends the execution" + ("" if step.return_ is None else f" with {_value(step.return_)}")
    return (
        "gathers the outputs of its last element"
        if step.chain is not None
        else "gathers the outputs of its branches"
    )


def _image(step: Step) -> str:
    command = step.command if isinstance(step.command, str) else " ".join(step.command or ())
    return condition(step.image or "") + (f" ({short(command)})" if command else "")


_LOADED: Final = {
    "shared": "loaded once{} and then called for everybody",
    "execution": "loaded once{} for each execution",
    "call": "loaded{} for each call, in a container of its own",
}


def _loaded(step: Step) -> str:
    if step.function is None:
        return ""
    params = f" with {', '.join(f'{name} {_value(value)}' for name, value in step.params.items())}"
    return f", {_LOADED[step.isolation].format(params if step.params else '')}"


def _where(step: Step) -> str:
    machine = (
        step.machine if isinstance(step.machine, MachineSelector) else MachineSelector(name=step.machine)
    )
    labels = ", ".join(f"{key}={value}" for key, value in machine.labels.items())
    if machine.name is not None:
        return f"on the machine {machine.name}" + (f" if it has {labels}" if labels else "")
    return f"on a machine with {labels}" if labels else "on any machine"


def _resources(asked: Resources) -> str:
    changed = {
        name: value
        for name, value in msgspec.structs.asdict(asked).items()
        if value != getattr(_RESOURCES, name)
    }
    return f", taking {', '.join(f'{name} {value}' for name, value in changed.items())}" if changed else ""


def _tries(retry: Retry) -> str:
    return f", up to {retry.max_attempts} times" if retry.max_attempts != _RETRY.max_attempts else ""


def claimed(step: Step) -> str:
    """How many of it may be under way at once, where that is said."""
    written = step.concurrency
    if written is None:
        return ""
    key = "" if written.key is None else f" with the key {short(written.key)}"
    return f", at most {written.limit} at once{key}: {CONFLICTS[written.on_conflict]}"


def _cached(cache: Cache | None) -> str:
    if cache is None:
        return ""
    same = "container and inputs" if cache.key is UNSET else f"key {_value(cache.key)}"
    whose = "it" if cache.scope == "step" else "any step"
    age = "" if cache.max_age is None else f", up to {cache.max_age} old"
    return f", or gives again what {whose} gave before with the same {same}{age}"


def _loop(step: Step) -> str:
    loop = each_of(step)
    after = (
        "goes on after one has failed"
        if loop.on_failure == "continue"
        else "begins no other after one has failed"
    )
    reduced = (
        f", then reduces the results by {condition(step.map.reduce)}" if step.map and step.map.reduce else ""
    )
    return f"repeats its steps for each of {_members(step)}, {loop.max_parallel} at a time; {after}{reduced}"
