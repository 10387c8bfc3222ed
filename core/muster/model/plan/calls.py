"""What a function answered, and what that means.

It answers a call (JSON-RPC, docs/function-protocol.md) with one JSON object:

    {"$returned": value}                       a value: the outputs of the step
    {"$result": ...}                           what it asked for instead (``muster.model.plan.results``)

or with an error, whose code says how far it came, and whose data may say more (``Raised``). ``where`` is that in
a word: ``find`` (there is no such module or callable), ``load`` (importing or loading it raised), ``bind`` (the inputs
are not its arguments), ``call`` (it raised), ``result`` (what it gave cannot travel as JSON, or is too large).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from muster.model import values
from muster.model.definition.workflow import Output
from muster.model.errors import (
    AssertionFailedError,
    FunctionCrashedError,
    FunctionExecutionError,
    FunctionLoadError,
    FunctionNotFoundError,
    InvalidArgumentError,
    InvalidTypeError,
    MusterError,
    OutputError,
)
from muster.model.plan import outputs, results
from muster.model.plan.artifacts import Artifact
from muster.model.plan.results import Result

VALUE: Final = "value"
"""The output of a function that declares none and returns no mapping."""

_BY_EXCEPTION: Final[dict[str, type[MusterError]]] = {
    "AssertionError": AssertionFailedError,
    "TypeError": InvalidTypeError,
    "ValueError": InvalidArgumentError,
}
_TRACED: Final = "Read the traceback in the details and the step's logs: muster logs EXECUTION STEP."
_JSON: Final = "Return text, numbers, booleans, null, and lists and mappings of them."
AS_FILE: Final = "Let the function write it to a file: an output with a path."
"""What to do about a value that is too large for a message."""

_CHECK: Final = "See docs/function-protocol.md; muster function check IMAGE says more."
_NEEDS_PYTHON: Final = " The image needs Python 3.8 or newer as python3."
_NEEDS_PROTOCOL: Final = " The image has to speak the protocol itself: try muster function check IMAGE."

PROTOCOL: Final = 1
"""The version of the protocol that this release speaks."""

UNPARSABLE: Final = -32700
UNKNOWN_METHOD: Final = -32601
NOT_ITS_ARGUMENTS: Final = -32602
RAISED: Final = -32000
CANNOT_TRAVEL: Final = -32001
TOO_LARGE: Final = -32002
NOT_FOUND: Final = -32010
LOAD_RAISED: Final = -32011
OTHER_PROTOCOL: Final = -32012
CANCELLED: Final = -32800

_OF_LOADING: Final = frozenset({NOT_ITS_ARGUMENTS, NOT_FOUND, LOAD_RAISED, OTHER_PROTOCOL})
"""What ``load`` is answered with; anything else there means that loading failed."""

Where = Literal["find", "load", "bind", "call", "result"]

_WHERE: Final[dict[int, Where]] = {
    NOT_ITS_ARGUMENTS: "bind",
    RAISED: "call",
    CANNOT_TRAVEL: "result",
    TOO_LARGE: "result",
    NOT_FOUND: "find",
    LOAD_RAISED: "load",
    OTHER_PROTOCOL: "load",
}


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no value. ``bases`` are the exception's class and those above it."""

    where: Where
    message: str
    class_: str = msgspec.field(name="class", default="")
    bases: list[str] = []
    traceback: str = ""
    argument: str = ""
    expected: str = ""
    found: str = ""
    takes: list[str] = []

    def error(self, function: str, *, loaded: bool = True, remedy: str = _JSON) -> MusterError:
        """It in the words of the taxonomy; ``loaded``: it came of a call; ``remedy``: of a value that cannot travel."""
        if self.where == "find":
            return FunctionNotFoundError(f"{function}: {self.message}", function=function, retriable=False)
        if self.where == "bind":
            return self._unbound(function, loaded=loaded)
        if self.where == "result":
            return OutputError(f"{function}: {self.message}", remedy=remedy, function=function)
        kind = FunctionLoadError if self.where == "load" else _kind(self.bases)
        data: dict[str, Any] = {"function": function, "exception": self.class_, "traceback": self.traceback}
        return kind(self.message, remedy=_TRACED, **data)

    def _unbound(self, function: str, *, loaded: bool) -> MusterError:
        takes = f"It takes {', '.join(self.takes)}." if self.takes else ""
        data: dict[str, Any] = {"function": function, "argument": self.argument, "retriable": False}
        if self.expected:
            data |= {"expected": self.expected, "found": self.found}
            return InvalidTypeError(f"{function}: {self.message}", **data)
        given = (
            "inputs of the step are its arguments"
            if loaded
            else "params of the step are what its load is given"
        )
        remedy = f"The {given}, by name. {takes}".strip()
        return InvalidArgumentError(f"{function}: {self.message}", remedy=remedy, **data)


class _Document(msgspec.Struct, frozen=True):
    returned: Any | UnsetType = msgspec.field(name="$returned", default=UNSET)


def refused(code: Any, message: Any, data: Any, function: str, *, loaded: bool) -> MusterError:
    """What an error that the function answered means; ``loaded``: it was a call, and not its load.

    Anybody may write such an answer: a code that is not of the protocol is one of its phase, data that cannot be read
    are left out, and a message that is no text is shown as JSON.
    """
    text = (
        "" if message is None else values.text(message)
    ) or f"it answered with the error {values.text(code)} and no message."
    if code == OTHER_PROTOCOL:
        return _other_protocol(function, text, data)
    if code == CANCELLED and loaded:
        return FunctionCrashedError(
            f"{function}: somebody other than Muster had it stopped in mid-call: {text}",
            remedy="Its container was told to end: was the container engine restarted, or docker stop called?",
            function=function,
        )
    where = _where(code, loaded=loaded)
    said = data if isinstance(data, dict) else {}
    try:
        raised = msgspec.convert({"where": where, **said, "message": text}, Raised)
    except msgspec.ValidationError:
        raised = Raised(where=where, message=text)
    return raised.error(function, loaded=loaded, remedy=AS_FILE if code == TOO_LARGE else _JSON)


def _where(code: Any, *, loaded: bool) -> Where:
    if type(code) is not int or not (loaded or code in _OF_LOADING):
        return "call" if loaded else "load"
    return _WHERE.get(code, "call")


def _other_protocol(function: str, message: str, data: Any) -> MusterError:
    supported = data.get("supported") if isinstance(data, dict) else None
    versions = values.shown(supported) if isinstance(supported, list) else "others"
    return FunctionLoadError(
        f"{function}: {message}",
        remedy=f"It speaks {versions} of the protocol, and Muster speaks {PROTOCOL}: see docs/function-protocol.md.",
        function=function,
        retriable=False,
    )


def answer(
    document: bytes,
    function: str,
    declared: Mapping[str, Output],
    files: Mapping[str, Artifact] = MappingProxyType({}),
) -> Result | dict[str, Any]:
    """What the function asked for, or the outputs of its step; ``files`` are those it made.

    Raises what is wrong with its outputs: OutputError, ValueMissingError, InvalidTypeError.
    """
    if (result := results.read(document)) is not None:
        return result
    try:
        found = msgspec.json.decode(document, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OutputError(f"{function}: what it gave cannot be read: {error}.", remedy=_JSON) from None
    if found.returned is UNSET:
        text = f"{function}: it answered with an object that has neither $returned nor $result."
        raise OutputError(text, remedy=_CHECK, function=function)
    if reason := values.defect(found.returned):
        raise OutputError(
            f"{function}: what it gave cannot travel as JSON: {reason}.", remedy=_JSON, function=function
        )
    return shaped(found.returned, function, declared, files)


def shaped(
    value: Any,
    function: str,
    declared: Mapping[str, Output],
    files: Mapping[str, Artifact] = MappingProxyType({}),
) -> dict[str, Any]:
    """A value as the outputs of the step.

    A mapping is the outputs by name. Where one output is declared, the value is that output, unless it is a mapping of
    just this name. Where none is, a mapping is taken as it is, and anything else is the output ``value``. Outputs with
    a path are files, and no part of the value.
    """
    if not declared:
        return value if isinstance(value, dict) else {VALUE: value}
    asked = {name: output for name, output in declared.items() if output.path is None}
    if len(asked) == 1 and not (isinstance(value, dict) and value.keys() == asked.keys()):
        value = {next(iter(asked)): value}
    if not asked and value is None:
        value = {}
    if not isinstance(value, dict):
        kind = values.article(values.type_name(value))
        names = ", ".join(asked)
        raise OutputError(
            f"{function}: it gave {kind}, and the step declares {len(asked) or 'no'} outputs"
            f"{' beside files' if len(asked) < len(declared) else ''}.",
            remedy=f"Return a mapping with {names}."
            if asked
            else "Return nothing: the files are taken as they are.",
            function=function,
        )
    return outputs.collect(declared, msgspec.json.encode(value), None, files)


def unanswered(function: str, exit_code: int, tail: list[str], *, loaded: bool) -> MusterError:
    """The process of the function ended before it had answered: it crashed, or ended itself."""
    when = "before it had answered" if loaded else "before it was loaded"
    kind = FunctionCrashedError if loaded else FunctionLoadError
    needs = "" if loaded else _NEEDS_PYTHON if ":" in function else _NEEDS_PROTOCOL
    remedy = f"See its last lines in the logs: muster logs EXECUTION STEP.{needs}"
    text = f"{function}: its process ended with exit code {exit_code} {when}."
    return kind(text, remedy=remedy, function=function, exit_code=exit_code, tail=tail)


def _kind(bases: list[str]) -> type[MusterError]:
    return next((_BY_EXCEPTION[name] for name in bases if name in _BY_EXCEPTION), FunctionExecutionError)
