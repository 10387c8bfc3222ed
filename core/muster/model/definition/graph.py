"""A workflow as a picture: Mermaid, which GitHub and most editors draw.

Every step is a node, or a box around the nodes of its blocks. An arrow goes from what is needed to what needs it. What
is run only where something failed, or at the end, hangs on dashed arrows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from muster.model.definition.phrases import branch, condition, headline
from muster.model.plan.tree import Block, Plan, StepPlan

_LABEL_MAX: Final = 80  # characters of a line in a node
_BETWEEN: Final = {  # the brackets of a node, by primitive
    "run": ("[", "]"),
    "choose": ("{{", "}}"),
    "each": ("[[", "]]"),
    "wait": ("([", "])"),
    "child": ("[/", "/]"),
    "assign": ("(", ")"),
}
_INDENT: Final = "    "


def mermaid(plan: Plan) -> str:
    """The flowchart of the workflow, its handlers included."""
    return "\n".join(_Chart().lines(plan)) + "\n"


class _Chart:
    """Node ids are counted: those of Mermaid may hold neither ``/`` nor its own words."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.edges: list[str] = []

    def lines(self, plan: Plan) -> Iterator[str]:
        yield "---"
        yield f'title: "{plan.workflow.name}"'  # a name may be a word or a number to YAML
        yield "---"
        yield "flowchart TD"
        yield from self.block(plan.block, 1)
        if plan.finish is not None:
            yield f'{_INDENT}subgraph on_finish ["on_finish: at the end, however it ends"]'
            yield from self.block(plan.finish, 2)
            yield f"{_INDENT}end"
            yield f"{_INDENT}style on_finish stroke-dasharray: 5 5"
            self.edges += [
                f"{self.id(step)} -.-> on_finish" for step in plan.steps.values() if not step.dependents
            ]
        yield from (f"{_INDENT}{edge}" for edge in self.edges)

    def id(self, step: StepPlan) -> str:
        return self.ids.setdefault(step.path, f"s{len(self.ids) + 1}")

    def block(self, block: Block, depth: int) -> Iterator[str]:
        for step in block.steps.values():
            yield from self.step(step, depth)
            self.edges += [f"{self.id(block.steps[need])} --> {self.id(step)}" for need in step.needs]

    def step(self, step: StepPlan, depth: int) -> Iterator[str]:
        indent = _INDENT * depth
        inner = [block for block in step.blocks if block.steps]
        if not inner:
            opening, closing = _BETWEEN[step.primitive]
            yield f"{indent}{self.id(step)}{opening}{_quoted(*_label(step))}{closing}"
        else:
            yield f"{indent}subgraph {self.id(step)} [{_quoted(*_label(step))}]"
            for block in inner:
                yield from self.branch(step, block, depth + 1)
            yield f"{indent}end"
        if step.rescue is not None:
            yield from self.rescue(step, step.rescue, depth)

    def branch(self, step: StepPlan, block: Block, depth: int) -> Iterator[str]:
        """A block of a step: in a box of its own where it has a name."""
        if not block.name:
            yield from self.block(block, depth)
            return
        indent = _INDENT * depth
        yield f"{indent}subgraph {self.id(step)}_{step.blocks.index(block)} [{_quoted(*_branch(step, block))}]"
        yield from self.block(block, depth + 1)
        yield f"{indent}end"

    def rescue(self, step: StepPlan, block: Block, depth: int) -> Iterator[str]:
        indent, name = _INDENT * depth, f"{self.id(step)}_rescue"
        yield f'{indent}subgraph {name} ["on_failure of {step.id}"]'
        yield from self.block(block, depth + 1)
        yield f"{indent}end"
        yield f"{indent}style {name} stroke-dasharray: 5 5"
        self.edges.append(f"{self.id(step)} -. fails .-> {name}")


def _label(step: StepPlan) -> tuple[str, ...]:
    conditions = [f"if {condition(one)}" for one in step.conditions]
    return (step.id, headline(step), *conditions, *(["always"] if step.step.always else []))


def _branch(step: StepPlan, block: Block) -> tuple[str, ...]:
    said = branch(step, block)
    return (block.name, said) if said not in ("", block.name) else (block.name,)


def _quoted(*lines: str) -> str:
    """The lines of a label: what Mermaid would read as markup is written as it asks for it."""
    return '"' + "<br/>".join(_safe(line) for line in lines if line) + '"'


def _safe(line: str) -> str:
    short = " ".join(line.split())
    short = short if len(short) <= _LABEL_MAX else short[: _LABEL_MAX - 1] + "…"
    marks = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}
    return "".join(marks.get(character, character) for character in short)
