"""From the inputs of a step to the arguments of a function, checked against its simple type hints."""

from __future__ import annotations

import collections.abc
import inspect
import typing

from .raising import Wrong, cut


class Takes:
    """What a function takes, worked out once: that is longer than the rest of a call. None where it does not say."""

    def __init__(self, function):
        try:
            self.parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            self.parameters = None  # written in C
        self.hints = hints_of(function)


def bind(takes, inputs, offered, checked=True):
    """The positional and keyword arguments that are the inputs, and what is ``offered`` to parameters of that name.

    An input whose name is a number is an argument by position. ``checked``: whether type hints hold.
    """
    named = {name: value for name, value in inputs.items() if not name.isdecimal()}
    placed = [inputs[name] for name in sorted((name for name in inputs if name.isdecimal()), key=int)]
    parameters, hints = takes.parameters, takes.hints if checked else {}
    if parameters is None:
        return placed, named
    args, keywords, missing, takes_all = [], {}, [], False
    for name, one in parameters.items():
        if one.kind is one.VAR_KEYWORD:
            takes_all = True
            continue
        if one.kind is one.VAR_POSITIONAL:
            args, placed = args + placed, []
            continue
        by_place = one.kind is not one.KEYWORD_ONLY and bool(placed)
        if by_place and name in named:
            raise Wrong(
                "bind", "the argument %s is given twice, by name and by position." % name, argument=name
            )
        if by_place or name in named:
            value = placed.pop(0) if by_place else named.pop(name)
            _check(name, value, hints.get(name), one.default)
        elif name in offered:
            value = offered[name]
        elif one.default is not one.empty:
            if one.kind is not one.POSITIONAL_ONLY:
                continue
            value = one.default
        else:
            missing.append(name)
            continue
        if by_place or one.kind is one.POSITIONAL_ONLY:
            args.append(value)
        else:
            keywords[name] = value
    if named and not takes_all:
        name = next(iter(named))
        raise Wrong(
            "bind",
            "there is no argument %s.%s" % (name, meant(name, parameters)),
            argument=name,
            takes=list(parameters),
        )
    if missing:
        text = "the argument %s is missing." % " and ".join(missing)
        raise Wrong("bind", text, argument=missing[0], takes=list(parameters))
    if placed:
        raise Wrong("bind", "%d arguments by position are too many." % len(placed), takes=list(parameters))
    return args, dict(keywords, **named)


def meant(name, names):
    import difflib

    near = difflib.get_close_matches(name, [one for one in names if not one.startswith("_")], 1)
    return " Did you mean %s?" % near[0] if near else ""


def settings(takes, params):
    """Check what ``load`` gives to a function that is called with it later: by name, where the inputs do not say.

    Gives those that it takes only as keywords of any name.
    """
    parameters = takes.parameters
    if parameters is None:
        return params
    more = {name: value for name, value in params.items() if name not in parameters}
    if more and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        name = next(iter(more))
        text = "there is no argument %s.%s" % (name, meant(name, parameters))
        raise Wrong("bind", text, argument=name, takes=list(parameters))
    for name, value in params.items():
        if name in parameters:
            _check(name, value, takes.hints.get(name), parameters[name].default)
    return more


def hints_of(function):
    """Its type hints, where they can be read."""
    if inspect.isclass(function):
        target = function.__init__
    else:
        target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except Exception:
        return {}  # names that only a type checker knows: nothing is checked then


def _check(name, value, hint, default):
    if hint is None or (value is None and default is None):
        return
    found = misfit(value, hint, name)
    if found is not None:
        place, expected, wrong = found
        text = "the argument %s must be %s, not %s: %s." % (
            place,
            expected,
            type(wrong).__name__,
            cut(repr(wrong))[:100],
        )
        raise Wrong("bind", text, argument=name, expected=expected, found=type(wrong).__name__)


def misfit(value, hint, place):
    """Where, what was expected, and the value, where a value of JSON is not of the type; only simple types are checked."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        fits = any(misfit(value, one, place) is None for one in inner)
    elif origin is typing.Literal:
        fits = any(value == one and type(value) is type(one) for one in inner)
    elif hint in (bool, str):
        fits = type(value) is hint
    elif hint is int:
        fits = type(value) is int
    elif hint is float:
        fits = type(value) in (int, float)
    elif hint is type(None):
        fits = value is None
    elif hint in (list, dict):
        fits = type(value) is hint
    elif origin in (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection):
        fits = type(value) is list
        if fits and inner:
            parts = (misfit(one, inner[0], "%s[%d]" % (place, at)) for at, one in enumerate(value))
            return next((part for part in parts if part is not None), None)
    elif origin in (dict, collections.abc.Mapping):
        fits = type(value) is dict
        if fits and len(inner) == 2:
            parts = (misfit(one, inner[1], "%s[%r]" % (place, key)) for key, one in value.items())
            return next((part for part in parts if part is not None), None)
    else:
        fits = True
    return None if fits else (place, _spoken(hint), value)


def _spoken(hint):
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    return str(hint).replace("typing.", "").replace("NoneType", "None")
