"""Under which key a step is cached, and what the cache has for it (``muster.model.reuse.cache``).

The key is a hash of everything that decides what the step gives. By default that is what its container runs, with every
expression evaluated, or the workflow it runs and the inputs of that; a ``key`` that is written replaces it. What the
step declares to give is always part of it, and so are the workflow's name and the step's place in it, unless the scope
is ``global``. Of a file the content counts, not where it lies.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.model.definition.quantities import seconds
from muster.model.definition.workflow import Cache
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.state import State
from muster.model.errors import MusterError
from muster.model.log.catalogue import StepSucceeded
from muster.model.plan import artifacts
from muster.model.plan import tree as plans
from muster.model.plan.order import placed
from muster.model.reuse.cache import CACHED

_ASIDE: Final = frozenset(
    {"execution", "step", "attempt", "workflow", "timeouts", "resources", "context", "files"}
)
"""What an order says beside what is run."""


def recalled(state: State, execution: ExecutionState, step: StepState) -> StepSucceeded | None:
    """The outcome of the step, where the cache has it. Raises a MusterError where the key cannot be worked out."""
    cache = step.plan.step.cache
    if cache is None or step.ready_at is None:
        return None
    step.cache_key = step.cache_key or _key(execution, step, cache)
    if execution.no_cache:
        return None
    limit_s = None if cache.max_age is None else seconds(cache.max_age)
    found = state.cache.find(step.cache_key, step.cache_number, step.ready_at, limit_s)
    if found is None:
        return None
    return StepSucceeded(outputs=found.outputs, reason=CACHED, source=found.source, cache_key=step.cache_key)


def kept_under(execution: ExecutionState, step: StepState) -> str:
    """The key under which what the step gave is kept; empty where it is not."""
    if (cache := step.plan.step.cache) is None:
        return ""
    try:
        return step.cache_key or _key(execution, step, cache)
    except MusterError:  # it could be worked out when the step began, which is when that is an error
        return ""


def _key(execution: ExecutionState, step: StepState, cache: Cache) -> str:
    workflow = execution.plan.workflow
    place = None if cache.scope == "global" else [workflow.name, step.plan.path]
    parts = [place, _given(execution, step), *_asked(execution, step, cache)]
    return blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=16).hexdigest()


def _given(execution: ExecutionState, step: StepState) -> Any:
    """What the step declares to give."""
    written = step.plan.step
    if written.workflow is not None:
        return execution.plan.workflow.workflows[written.workflow].outputs
    return written.outputs


def _asked(execution: ExecutionState, step: StepState, cache: Cache) -> list[Any]:
    """What it is asked."""
    written, scope = step.plan.step, execution.scope(step)
    if cache.key is not UNSET:
        return ["key", _content(placed(f"step {step.path}, cache.key", cache.key, scope, step=step.path))]
    if written.workflow is not None:
        inputs = placed(f"step {step.path}, inputs", written.inputs, scope, step=step.path)
        return ["workflow", execution.plan.workflow.workflows[written.workflow], _content(inputs)]
    order = plans.order(
        step.plan, execution="", attempt=0, workflow=execution.plan.workflow.name, scope=scope, path=step.path
    )
    run = {name: value for name, value in msgspec.structs.asdict(order).items() if name not in _ASIDE}
    run["container"] = msgspec.structs.replace(order.container, isolation="shared")  # whoever else calls it
    return ["run", run, {name: artifact.address for name, artifact in order.files.items()}]


def _content(value: Any) -> Any:
    """The value with the content of files instead of where they lie."""
    if (artifact := artifacts.of(value)) is not None:
        return {artifacts.KEY: artifact.address}
    if isinstance(value, dict):
        return {key: _content(part) for key, part in value.items()}
    return [_content(part) for part in value] if isinstance(value, list) else value
