"""What will run, where, and in what order: a plan in words, as the six primitives it comes down to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import UNSET

from muster.model.definition import ports
from muster.model.definition.phrases import CONFLICTS, action, branch, claimed, conditions, quoted
from muster.model.definition.schedule import Schedule
from muster.model.definition.validation.kinds import actions
from muster.model.definition.validation.tree import members
from muster.model.definition.workflow import Input, Limits, Port, Step, Workflow
from muster.model.plan.artifacts import OUT
from muster.model.plan.tree import Block, Plan, Primitive, StepPlan
from muster.model.schedules import calendar

_FAILURES: Final = {
    "drain": "nothing new is started, and what runs is let end",
    "cancel": "what runs is stopped",
    "continue": "whatever does not need it goes on",
}
_OVERLAPS: Final = {
    "skip": "it is not while the last one goes on",
    "queue": "it waits for the last one to end",
    "cancel": "the last one is cancelled where it goes on",
}
_CATCH_UPS: Final = {
    "none": "and what came due without a scheduler is not run",
    "last": "and of what came due without a scheduler the newest is run",
    "all": "and what came due without a scheduler is run one after the other",
}


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step. ``stage`` counts from 1 in its block: those of a stage can run at once. ``what`` is a sentence;
    ``written`` is the key that stands in the file.
    """

    path: str
    stage: int
    primitive: Primitive
    written: str
    what: str
    after: list[str] = []
    condition: str = ""
    always: bool = False
    takes: list[str] = []
    gives: list[str] = []
    blocks: list[Section] = []
    on_failure: Section | None = None


class Section(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The steps of a block, and when it is run."""

    name: str = ""
    when: str = ""
    steps: list[Line]


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workflow in words. ``primitives`` counts the steps by what they come down to, those in blocks included."""

    workflow: str
    description: str = ""
    inputs: list[str] = []
    outputs: list[str] = []
    primitives: dict[str, int]
    steps: list[Line]
    failure: str
    concurrency: str = ""
    schedule: str = ""
    holds: list[str] = []
    on_finish: Section | None = None
    workflows: list[Explanation] = []


def explain(plan: Plan, workflows: list[Explanation] | None = None) -> Explanation:
    """The explanation of a plan; ``workflows`` are those of the workflows it runs."""
    workflow = plan.workflow
    finish = plan.finish
    steps = _lines(plan.block)
    ending = None if finish is None else _section(finish, "at the end, however it ends")
    return Explanation(
        workflow=workflow.name,
        description=workflow.description,
        inputs=[_input(name, declared) for name, declared in workflow.inputs.items()],
        outputs=list(workflow.outputs),
        primitives=_counted(steps, ending),
        steps=steps,
        failure=f"When a step fails, {_FAILURES[workflow.on_failure]}.",
        concurrency=_concurrency(workflow),
        schedule=_schedule(workflow.schedule),
        holds=list(_holds(workflow)),
        on_finish=ending,
        workflows=workflows or [],
    )


def _concurrency(workflow: Workflow) -> str:
    """How many at once, and what becomes of one more."""
    written = workflow.concurrency
    if written is None:
        return ""
    key = workflow.name if written.key is None else written.key
    many = "execution" if written.limit == 1 else "executions"
    return f"At most {written.limit} {many} at once with the key {key}: {CONFLICTS[written.on_conflict]}."


def _schedule(schedule: Schedule | None) -> str:
    """When it is run once it is handed over with ``muster schedules add``."""
    if schedule is None:
        return ""
    overlap, catch_up = _OVERLAPS[schedule.overlap], _CATCH_UPS[schedule.catch_up]
    return f"As a schedule it is run {calendar.words(schedule)}; {overlap}, {catch_up}."


def _limited(limits: Limits | None) -> Iterator[str]:
    if limits is not None and limits.steps is not None:
        yield f"It begins at most {limits.steps} steps; one more fails."
    for pattern, count in (limits.functions if limits is not None else {}).items():
        many = "as often as it likes" if count is None else f"at most {count} times"
        yield f"It runs {pattern} {many}."


def _holds(workflow: Workflow) -> Iterator[str]:
    """What an execution of it is accepted with."""
    if workflow.priority:
        yield f"Its priority is {workflow.priority}."
    if workflow.timeout is not None:
        yield f"It may take {workflow.timeout} from its start; then what runs is stopped, and it fails."
    yield from _limited(workflow.limits)
    if workflow.tags:
        yield f"It holds the tags {', '.join(workflow.tags)}."
    required = sorted({tag for _, step in members(workflow) for tag in step.tags} - {*workflow.tags})
    if required:
        yield f"It must be submitted with the tags {', '.join(required)}."


def _counted(steps: list[Line], finish: Section | None) -> dict[str, int]:
    counts: Counter[str] = Counter()
    waiting = [*steps, *(finish.steps if finish is not None else ())]
    while waiting:
        line = waiting.pop()
        counts[line.primitive] += 1
        for section in (*line.blocks, line.on_failure):
            waiting += section.steps if section is not None else []
    return {
        name: counts[name] for name in ("run", "choose", "each", "wait", "child", "assign") if counts[name]
    }


def _input(name: str, declared: Input) -> str:
    kind = ports.words(declared)
    if declared.default is not UNSET:
        return f"{name}: {kind}, {quoted(declared.default)} where it is not given"
    return f"{name}: {kind}" + ("" if declared.required else ", or nothing")


def _lines(block: Block) -> list[Line]:
    stages = staged(block)
    return [_line(step, stages[id_]) for id_, step in block.steps.items()]


def staged(block: Block) -> dict[str, int]:
    """How many stages of the block come before the end of each step; without recursion, as chains may be long."""
    stages: dict[str, int] = {}
    missing = {id_: len(step.needs) for id_, step in block.steps.items()}
    ready = [id_ for id_, count in missing.items() if not count]
    while ready:
        id_ = ready.pop()
        step = block.steps[id_]
        stages[id_] = 1 + max((stages[need] for need in step.needs), default=0)
        for dependent in step.dependents:
            missing[dependent] -= 1
            if not missing[dependent]:
                ready.append(dependent)
    return stages


def _line(step: StepPlan, stage: int) -> Line:
    return Line(
        path=step.path,
        stage=stage,
        primitive=step.primitive,
        written=actions(step.step)[0],
        what=f"{action(step)}{claimed(step.step)}",
        after=list(step.needs),
        condition=conditions(step.conditions),
        always=step.step.always,
        takes=[_declared(name, port) for name, port in step.step.accepts.items()],
        gives=list(_gives(step.step)),
        blocks=[_section(block, branch(step, block)) for block in step.blocks if block.steps],
        on_failure=None if step.rescue is None else _section(step.rescue, f"where {step.id} has failed"),
    )


def _declared(name: str, port: Port) -> str:
    return name if port.type == "any" else f"{name} ({ports.short(port)})"


def _gives(step: Step) -> Iterator[str]:
    for name, output in step.outputs.items():
        place = "" if output.path is None else f" from {OUT}/{output.path}"
        yield f"{_declared(name, output)}{place}"
    yield from step.set or ()
    if step.for_each is not None or step.map is not None:
        yield "items"
    if step.map is not None and step.map.reduce is not None:
        yield "result"


def _section(block: Block, when: str) -> Section:
    return Section(name=block.name, when=when, steps=_lines(block))


# ---- as text


def written(found: Explanation) -> list[str]:
    """The lines people read."""
    total = sum(found.primitives.values())
    counted = ", ".join(f"{count} {name}" for name, count in found.primitives.items())
    lines = [f"{found.workflow}: {total} step{'' if total == 1 else 's'} ({counted})"]
    lines += [f"  {found.description.strip()}"] if found.description else []
    lines += [f"  takes {one}" for one in found.inputs]
    lines += [f"  gives {', '.join(found.outputs)}"] if found.outputs else []
    lines += ["", *_written(found.steps, "")]
    if found.on_finish is not None:
        lines += ["", "At the end, however it ends:", *_written(found.on_finish.steps, "  ")]
    lines += ["", found.failure]
    lines += [part for part in (found.concurrency, found.schedule) if part]
    lines += found.holds
    for inner in found.workflows:
        lines += ["", "", *written(inner)]
    return lines


def _written(steps: list[Line], indent: str) -> Iterator[str]:
    for line in sorted(steps, key=lambda one: one.stage):
        yield f"{indent}{line.stage}. {_name(line.path)} [{line.primitive}] {_sentence(line)}"
        inside = indent + "   "
        for section in line.blocks:
            heading = ", ".join(part for part in dict.fromkeys((section.name, section.when)) if part)
            if heading:
                yield f"{inside}{heading}:"
            yield from _written(section.steps, f"{inside}  " if heading else inside)
        if line.on_failure is not None:
            yield f"{inside}{line.on_failure.when}:"
            yield from _written(line.on_failure.steps, f"{inside}  ")


def _sentence(line: Line) -> str:
    parts = [f"after {' and '.join(line.after)}"] if line.after else []
    parts += [f"if {line.condition}"] if line.condition else []
    parts += ["whatever became of them"] if line.always and line.after else ["always"] if line.always else []
    parts += [line.what]
    text = ", ".join(parts)
    text += f"; takes {', '.join(line.takes)}" if line.takes else ""
    return text + (f"; gives {', '.join(line.gives)}" if line.gives else "")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def explained(workflow: Workflow) -> Explanation:
    """The explanation of a valid workflow and of those it runs."""
    from muster.model.plan.lowering import lower

    return explain(lower(workflow), [explained(inner) for inner in workflow.workflows.values()])
