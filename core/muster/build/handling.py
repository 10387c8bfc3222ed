"""What every step may have besides what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec
from msgspec import UNSET

from muster.model.definition.terms import Term, written
from muster.model.definition.workflow import Cache, Concurrency, Condition, Step

Text = str | Term
Truth = bool | str | Term
"""A condition: a term, or an expression as text, or simply true or false."""


class Handling(TypedDict, total=False):
    """What every step takes by keyword: what it ``needs`` (steps or their ids), and what is run where it failed.

    ``tags`` are what the execution must hold; ``priority`` is added to that of the execution. ``concurrency``: a
    ``Concurrency``, or only how many of this step may be under way at once, in all executions.
    """

    needs: Sequence[str | Step]
    always: bool
    on_failure: Sequence[Step]
    description: str
    tags: Sequence[str]
    priority: int
    concurrency: Concurrency | int


class Common(Handling, total=False):
    """As Handling, with ``if_``: one condition, or several that must all hold."""

    if_: Truth | Sequence[Truth]


def made(id_: str, common: Common | Handling, **fields: Any) -> Step:
    """The step, with every term written out."""
    whole: dict[str, Any] = {**common, **fields}
    if "needs" in whole:
        whole["needs"] = [need.id if isinstance(need, Step) else need for need in whole["needs"]]
    if "tags" in whole:
        whole["tags"] = list(whole["tags"])
    if isinstance(limit := whole.get("concurrency"), int):
        whole["concurrency"] = Concurrency(limit=limit)
    if "on_failure" in whole:
        whole["on_failure"] = list(whole["on_failure"])
    if "if_" in whole:
        whole["if_"] = condition(whole["if_"])
    return Step(
        id=id_, **{name: value if name in _STEPS else written(value) for name, value in whole.items()}
    )


_STEPS = frozenset({"then", "else_", "switch", "for_each", "map", "chain", "group", "parallel", "on_failure"})


def condition(value: Truth | Sequence[Truth]) -> Condition:
    """The condition as it stands in a workflow."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, Term):
        return str(value)
    return [one if isinstance(one, bool) else str(one) for one in value]


def kept(cache: Cache | str | None) -> Cache | None:
    """How results are cached, with every term written out, from its short form."""
    if cache is None or isinstance(cache, str):
        return None if cache is None else Cache(max_age=cache)
    return cache if cache.key is UNSET else msgspec.structs.replace(cache, key=written(cache.key))
