"""The outputs of a step: what it wrote and printed, checked against what it declares."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET

from muster.model import values
from muster.model.definition import ports
from muster.model.definition.workflow import Output
from muster.model.errors import OutputError, ValueMissingError
from muster.model.limits import VALUES_BYTES_MAX
from muster.model.log.names import meant
from muster.model.plan.artifacts import OUT, Artifact

_LARGE = "Write large data to a file below /muster/out, and declare it as an output with its path."


def collect(
    declared: Mapping[str, Output],
    document: bytes | None,
    stdout: bytes | None,
    files: Mapping[str, Artifact] = MappingProxyType({}),
) -> dict[str, Any]:
    """The outputs of an attempt that ended well, in the order in which they are declared.

    ``document`` is what stands in the file $MUSTER_OUTPUT (None or nothing: it was not written), ``stdout`` what the
    container printed (None: it was not kept), ``files`` what was found where outputs have a path. Raises OutputError,
    ValueMissingError or InvalidTypeError.
    """
    written = _document(document)
    for name in written:
        if name not in declared or declared[name].source != "file" or declared[name].path is not None:
            raise _undeclared(name, declared)
    kept = {name: artifact.value() for name, artifact in files.items()}
    found = {
        name: _value(name, output, _source(name, output, written, stdout, kept))
        for name, output in declared.items()
    }
    if (total := values.size(found)) > VALUES_BYTES_MAX:
        raise OutputError(
            f"the outputs are {total} bytes as JSON, more than {VALUES_BYTES_MAX}.", remedy=_LARGE
        )
    return found


def _source(
    name: str, output: Output, written: Mapping[str, Any], stdout: bytes | None, kept: Mapping[str, Any]
) -> Mapping[str, Any]:
    if output.path is not None:
        return kept
    return written if output.source == "file" else _printed(name, output, stdout)


def _document(document: bytes | None) -> dict[str, Any]:
    if not document or not document.strip():
        return {}
    if len(document) > VALUES_BYTES_MAX:
        raise OutputError(
            f"the file at $MUSTER_OUTPUT has {len(document)} bytes, more than {VALUES_BYTES_MAX}.",
            remedy=_LARGE,
        )
    read, reason = _json(document)
    if reason:
        raise OutputError(f"the file at $MUSTER_OUTPUT is no JSON: {reason}.")
    if not isinstance(read, dict):
        raise OutputError(f"the file at $MUSTER_OUTPUT holds {_a(read)}, not an object.")
    return read


def _printed(name: str, output: Output, stdout: bytes | None) -> dict[str, Any]:
    if stdout is None:
        return {}
    if len(stdout) > VALUES_BYTES_MAX:
        raise OutputError(
            f"the output {name} is what the step printed, {len(stdout)} bytes, more than {VALUES_BYTES_MAX}.",
            remedy=_LARGE,
            output=name,
        )
    line = stdout.removesuffix(b"\n").removesuffix(b"\r")
    if output.type == "string":
        return {name: _string(name, line)}
    if not line.strip():
        return {}
    read, reason = _json(line)
    if reason:
        raise OutputError(
            f"the output {name} is what the step printed, read as JSON, and it is none: {reason}.",
            remedy="Print JSON and nothing else, or declare the output with type: string.",
            output=name,
        )
    return {name: read}


def _string(name: str, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise OutputError(
            f"the output {name} is what the step printed, and byte {error.start} of it is not UTF-8.",
            remedy="Print text in UTF-8, or encode it, for instance with base64.",
            output=name,
        ) from None


def _json(raw: bytes) -> tuple[Any, str]:
    """The value, or why there is none."""
    try:
        read = msgspec.json.decode(raw)
    except RecursionError:
        return None, "it is nested too deep"
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return None, str(error)
    return read, values.defect(read)


def _value(name: str, output: Output, found: Mapping[str, Any]) -> Any:
    if name not in found:
        if output.default is not UNSET:
            return ports.fitted(output.default, output, f"the default of the output {name}", output=name)
        if output.required:
            raise ValueMissingError(_absent(name, output), remedy=_remedy(name, output), output=name)
        return None
    return ports.fitted(found[name], output, f"the output {name}", output=name)


def _a(value: Any) -> str:
    return values.article(values.type_name(value))


def _absent(name: str, output: Output) -> str:
    if output.path is not None:
        return f"the output {name} is the file {OUT}/{output.path}, and the step made none."
    if output.source == "stdout":
        return f"the output {name} is what the step prints, and it printed nothing."
    return f"the output {name} is declared and the step did not write it."


def _remedy(name: str, output: Output) -> str:
    if output.path is not None:
        return f"Write it to $MUSTER_OUT/{output.path}, or declare the output with required: false."
    if output.source == "stdout":
        return "Print it, or give the output a default."
    return f'Write {{"{name}": ...}} to the file named by $MUSTER_OUTPUT, or give the output a default.'


def _undeclared(name: str, declared: Mapping[str, Output]) -> OutputError:
    if name in declared:
        elsewhere, instead = "source: stdout", "with source: file"
        if declared[name].path is not None:
            elsewhere, instead = "a path", "without a path"
        return OutputError(
            f"the step wrote the output {name}, which it declares with {elsewhere}.",
            remedy=f"Declare it {instead}, or do not write it to $MUSTER_OUTPUT.",
            output=name,
        )
    suggestion = meant(name, declared)
    return OutputError(
        f"the step wrote the output {name}, which it does not declare.",
        remedy=f"{suggestion} Declare it under outputs of the step, or do not write it.".strip(),
        output=name,
    )
