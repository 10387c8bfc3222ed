"""What a step asks of a person, and how the answer is given."""

from __future__ import annotations

import shlex

from muster.client.follower import ExecutionView
from muster.client.steps import StepView

NAMES_SHOWN = 4


def questions(view: ExecutionView, *, advise: bool = True) -> dict[str, str]:
    """A sentence for each step that waits for input, by its path; ``advise`` adds how to answer it."""
    return {step.path: question(view, step, advise=advise) for step in view.asking}


def question(view: ExecutionView, step: StepView, *, advise: bool = True) -> str:
    """What the step asks: its prompt, and the command that answers it."""
    asked = f"waits for input: {step.prompt}" if step.prompt else "waits for input"
    return f"{asked}; answer it: {answering(view, step)}" if advise else asked


def answering(view: ExecutionView, step: StepView) -> str:
    """The command that gives the step its input."""
    which = f" --step {step.path}" if len(view.asking) > 1 else ""
    return f"muster resume {view.id}{which} {_input(step)}"


def _input(step: StepView) -> str:
    """The option with the names that the schema asks for, those that it requires first."""
    properties = step.schema.get("properties")
    names = [*properties] if isinstance(properties, dict) else []
    required = step.schema.get("required")
    first = [str(name) for name in required] if isinstance(required, list) else []
    pairs = [f"{name}=…" for name in dict.fromkeys([*first, *(name for name in names if not first)])]
    return " ".join(
        f"--input {shlex.quote(pair) if ' ' in pair else pair}" for pair in pairs[:NAMES_SHOWN]
    ) or ("--input JSON")
