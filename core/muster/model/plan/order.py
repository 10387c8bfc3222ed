"""What exactly an attempt runs: the fields of a step with their expressions evaluated and their values checked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from muster.model import values
from muster.model.definition import ports
from muster.model.definition.workflow import ContainerSpec, Input, Step
from muster.model.errors import InvalidArgumentError, InvalidTypeError, MusterError
from muster.model.expressions.template import Written, render
from muster.model.limits import ARGUMENT_BYTES_MAX, ARGUMENTS_BYTES_MAX, VALUES_BYTES_MAX
from muster.model.plan.artifacts import Staging, inside

SHELL: Final = ("/bin/sh", "-c")
_LARGE: Final = "Pass it under inputs instead: the container reads them from the JSON file $MUSTER_INPUT."


def container(step: Step, scope: Mapping[str, Any], files: Staging) -> ContainerSpec:
    """The container of ``step``. What it speaks of as a file is added to ``files``, and spoken of by its path."""
    spec = ContainerSpec(
        image=_text(step, "image", step.image or "", scope),
        function=step.function,
        params=_params(step, scope),
        isolation=step.isolation,
        command=_command(step, scope, files),
        entrypoint=_entrypoint(step, scope, files),
        environment=_environment(step, scope, files),
        working_dir=_optional(step, "working_dir", step.working_dir, scope),
        user=_optional(step, "user", step.user, scope),
        network_mode=step.network_mode,
        read_only=step.read_only,
        pull_policy=step.pull_policy,
    )
    _check_arguments(step, spec)
    return spec


def inputs(step: Step, scope: Mapping[str, Any]) -> dict[str, Any]:
    """What the step finds in the file $MUSTER_INPUT: as it accepts them, with the defaults of what is not given."""
    found = {name: _field(step, f"inputs.{name}", value, scope) for name, value in step.inputs.items()}
    found |= {name: _accepted(step, name, port, found) for name, port in step.accepts.items()}
    _check_size(step, "inputs", found)
    return found


def _params(step: Step, scope: Mapping[str, Any]) -> dict[str, Any]:
    """What the function is loaded with. A file is there for one call, and the function stays for many."""
    found = {name: _field(step, f"params.{name}", value, scope) for name, value in step.params.items()}
    for way, _ in inside(found):
        raise InvalidArgumentError(
            f"step {step.id}, params.{'.'.join(map(str, way))}: it is a file, which is there for one call only.",
            remedy="Pass it under inputs, or have the image bring it.",
            step=step.id,
        )
    _check_size(step, "params", found)
    return found


def _check_size(step: Step, field: str, found: dict[str, Any]) -> None:
    if (total := values.size(found)) > VALUES_BYTES_MAX:
        raise InvalidArgumentError(
            f"step {step.id}, {field}: {total} bytes as JSON, more than {VALUES_BYTES_MAX}.",
            remedy="Put large data where the step can read it, and pass its address.",
            step=step.id,
        )


def _accepted(step: Step, name: str, port: Input, found: Mapping[str, Any]) -> Any:
    otherwise = None if port.default is UNSET else port.default
    given = found.get(name, otherwise)
    return ports.fitted(
        given, port, f"step {step.id}, inputs.{name}", ": it", exact=False, step=step.id, input=name
    )


def placed(
    place: str, value: Any, scope: Mapping[str, Any], *, written: Written = values.text, **data: Any
) -> Any:
    """``value`` evaluated; an error says at which place it happened."""
    try:
        return render(value, scope, written)
    except MusterError as error:
        kind = type(error)
        raise kind(f"{place}: {error.message}", remedy=error.advice, **(error.data | data)) from None


def _field(step: Step, field: str, value: Any, scope: Mapping[str, Any]) -> Any:
    return placed(f"step {step.id}, {field}", value, scope, step=step.id)


def _with_files(step: Step, field: str, value: Any, scope: Mapping[str, Any], files: Staging) -> Any:
    found = placed(f"step {step.id}, {field}", value, scope, written=files.text, step=step.id)
    return files.placed(found)


def _command(step: Step, scope: Mapping[str, Any], files: Staging) -> list[str] | None:
    if step.command is None:
        return None
    found = _with_files(step, "command", step.command, scope, files)
    if isinstance(found, str):
        return [*SHELL, found]
    return _arguments(step, "command", found)


def _entrypoint(step: Step, scope: Mapping[str, Any], files: Staging) -> list[str] | None:
    """A string is split as a shell would, before expressions are evaluated: a value never becomes two arguments."""
    if step.entrypoint is None:
        return None
    written = split(step.entrypoint) if isinstance(step.entrypoint, str) else step.entrypoint
    return _arguments(step, "entrypoint", _with_files(step, "entrypoint", written, scope, files))


def split(entrypoint: str) -> list[str]:
    """The words of an entrypoint. Raises ValueError for a quotation without an end."""
    if "${{" in entrypoint:
        # Spaces and quotes inside an expression are the expression's: such an entrypoint is one word, or a list.
        return [entrypoint]
    return shlex.split(entrypoint)


def _arguments(step: Step, field: str, found: Any) -> list[str]:
    if not isinstance(found, list):
        raise _wrong(step, field, found, "a list or a string")
    for at, argument in enumerate(found):
        if argument is None:
            raise _wrong(step, f"{field}[{at}]", argument, "a value")
    return [values.text(argument) for argument in found]


def _environment(step: Step, scope: Mapping[str, Any], files: Staging) -> dict[str, str]:
    """A variable that is null, as written or as evaluated, is left out."""
    found = {
        name: _with_files(step, f"environment.{name}", value, scope, files)
        for name, value in step.environment.items()
    }
    return {name: values.text(value) for name, value in found.items() if value is not None}


def _text(step: Step, field: str, value: str, scope: Mapping[str, Any]) -> str:
    found = _field(step, field, value, scope)
    if not isinstance(found, str):
        raise _wrong(step, field, found, "a string")
    if not found.strip():
        raise InvalidArgumentError(f"step {step.id}, {field}: it is empty.", step=step.id)
    return found


def _optional(step: Step, field: str, value: str | None, scope: Mapping[str, Any]) -> str | None:
    return None if value is None else _text(step, field, value, scope)


def _wrong(step: Step, field: str, found: Any, expected: str) -> InvalidTypeError:
    return InvalidTypeError(
        f"step {step.id}, {field}: it must be {expected}, not {values.what_it_is(found)}.",
        step=step.id,
        expected=expected,
        found=values.type_name(found),
    )


def _check_arguments(step: Step, spec: ContainerSpec) -> None:
    """What the kernel would refuse with "argument list too long", said before anything is sent."""
    arguments = {f"entrypoint[{at}]": text for at, text in enumerate(spec.entrypoint or ())}
    shell = isinstance(step.command, str) and (spec.command or [])[:2] == list(SHELL)
    for at, text in enumerate(spec.command or ()):
        arguments["command" if shell else f"command[{at}]"] = text
    for name, text in spec.environment.items():
        arguments[f"environment.{name}"] = f"{name}={text}"
    total = 0
    for field, text in arguments.items():
        size = len(text.encode()) + 1
        total += size
        if size > ARGUMENT_BYTES_MAX:
            raise _too_large(step, field, size, ARGUMENT_BYTES_MAX)
        if "\0" in text:
            raise InvalidArgumentError(
                f"step {step.id}, {field}: it contains a NUL character.",
                remedy="No program can be given one; encode the value.",
                step=step.id,
            )
    if total > ARGUMENTS_BYTES_MAX:
        raise _too_large(step, "command and environment together", total, ARGUMENTS_BYTES_MAX)


def _too_large(step: Step, field: str, size: int, limit: int) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"step {step.id}, {field}: {size} bytes, more than the {limit} Linux takes.",
        remedy=_LARGE,
        step=step.id,
        field=field,
    )
