"""What a loop goes over: the members of a list, or the keys and values of a mapping."""

from __future__ import annotations

from typing import Any

from muster.model import values
from muster.model.definition.filetypes import is_file
from muster.model.definition.ports import what_it_is
from muster.model.definition.workflow import Step
from muster.model.errors import InvalidArgumentError, InvalidTypeError
from muster.model.limits import MEMBERS_MAX, VALUES_BYTES_MAX


def over(step: Step) -> tuple[str, Any]:
    """The field that says what the loop goes over, and what stands there."""
    if step.for_each is not None:
        return "for_each.in", step.for_each.in_
    return "map.over", step.map.over if step.map is not None else None


def members(place: str, found: Any) -> list[Any]:
    """The members of what was found at the place. Raises InvalidTypeError or InvalidArgumentError, naming it."""
    whole = found
    if isinstance(found, dict) and not is_file(found):
        whole = [{"key": key, "value": value} for key, value in found.items()]
    if not isinstance(whole, list):
        raise InvalidTypeError(
            f"{place}: it must be a list or an object, not {what_it_is(found)}.",
            expected="array or object",
            found="file" if is_file(found) else values.type_name(found),
        )
    if len(whole) > MEMBERS_MAX:
        raise InvalidArgumentError(
            f"{place}: it has {len(whole)} members, more than {MEMBERS_MAX}.",
            remedy="Give each step more than one of them.",
        )
    if (size := values.size(whole)) > VALUES_BYTES_MAX:
        raise InvalidArgumentError(
            f"{place}: it is {size} bytes as JSON, more than {VALUES_BYTES_MAX}.",
            remedy="Go over addresses or numbers, and let each step read its part.",
        )
    return whole
