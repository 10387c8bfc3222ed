"""Python functions as Muster calls them: by the name under which an image imports them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from muster.model.errors import InvalidArgumentError

_PLACE = "Define it with def or class at the top of a module that the image has, or write its name: 'module:callable'."


def named(function: str | Callable[..., Any]) -> str:
    """``module:callable`` of a function or class; text is taken as it is.

    Raises InvalidArgumentError for what nobody else could import: lambdas, functions inside functions, what stands in
    the program that is being run, and objects without a name.
    """
    if isinstance(function, str):
        return function
    name, module = getattr(function, "__qualname__", None), getattr(function, "__module__", None)
    if name is None or module is None:
        raise InvalidArgumentError(
            f"{function!r} has no name under which it could be imported.", remedy=_PLACE
        )
    if "<lambda>" in name:
        raise InvalidArgumentError("a lambda has no name under which it could be imported.", remedy=_PLACE)
    if "<locals>" in name:
        raise InvalidArgumentError(
            f"{name.rpartition('.')[2]} stands inside another function, where no image can import it.",
            remedy=_PLACE,
        )
    if module == "__main__":
        raise InvalidArgumentError(
            f"{name} stands in the program that is being run, which has another name in an image.",
            remedy=_PLACE,
        )
    return f"{module}:{name}"
