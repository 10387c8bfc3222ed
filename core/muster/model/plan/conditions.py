"""Conditions: whether a step is run, and which branch is taken. A condition without ``${{ }}`` is an expression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from muster.model import values
from muster.model.errors import InvalidTypeError
from muster.model.expressions.template import OPENING
from muster.model.plan.order import placed


def formula(condition: str | bool) -> str | bool:  # noqa: FBT001 - a condition may be written as one
    """The condition as a template."""
    return f"${{{{ {condition} }}}}" if isinstance(condition, str) and OPENING not in condition else condition


def hold(conditions: Iterable[str | bool], scope: Mapping[str, Any], path: str) -> bool:
    """Whether all of them hold; what comes after one that does not is not evaluated.

    Raises what evaluating raises, and InvalidTypeError where a value is neither true nor false.
    """
    return all(_holds(condition, scope, path) for condition in conditions)


def _holds(condition: str | bool, scope: Mapping[str, Any], path: str) -> bool:  # noqa: FBT001 - as formula
    found = placed(f"step {path}, if", formula(condition), scope, step=path)
    if not isinstance(found, bool):
        raise InvalidTypeError(
            f"step {path}, if: the condition must be true or false, not {values.what_it_is(found)}.",
            remedy="Compare it: value != null, size(text) > 0, count > 0.",
            step=path,
            expected="boolean",
            found=values.type_name(found),
        )
    return found
