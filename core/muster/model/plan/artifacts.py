"""Artifacts: files that steps hand to each other, as the values that stand for them.

A value says which content is meant and where it lies; the content itself is in the broker's object store. To
expressions it is opaque: its fields can be read and the whole of it passed on, and that is all.

A container finds the files it is given in the folder ``/muster/in``. What they are called there is settled here:
an artifact that is the input ``audio`` and came as ``take-1.wav`` is ``audio.wav``; one further inside an input is
called by the way to it (``clips-0.wav``); one that only a command or a variable speaks of comes under its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from muster.model import values

KEY: Final = "$artifact"
ALGORITHM: Final = "sha256:"
FOLDER: Final = "/muster"
IN: Final = f"{FOLDER}/in"
OUT: Final = f"{FOLDER}/out"
FILE_TYPES: Final = frozenset({"file", "image", "audio", "video", "pdf", "csv"})
"""Declared types whose values are artifacts."""
RESERVED: Final = frozenset({"inputs.json", "context.json", "outputs.json"})
"""Files of Muster's own in these folders."""
NAME_LENGTH_MAX: Final = 120  # of a file name a container finds; file systems take 255 bytes
EXTENSION: Final = re.compile(r"(\.tar)?\.[A-Za-z0-9]{1,10}\Z")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A content by its hash (``sha256:`` and 64 hexadecimal digits), its size in bytes, and whose object it is."""

    address: str = msgspec.field(name=KEY)
    size: int
    media_type: str = "application/octet-stream"
    name: str = ""
    execution: str

    @property
    def digest(self) -> str:
        """The hash alone."""
        return self.address.removeprefix(ALGORITHM)

    def value(self) -> dict[str, Any]:
        """The JSON value that stands for it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def of(value: Any) -> Artifact | None:
    """The artifact that ``value`` stands for; None for any other value."""
    if type(value) is not dict or KEY not in value:
        return None
    try:
        found = msgspec.convert(value, Artifact)
    except msgspec.ValidationError:
        return None
    sound = found.address.startswith(ALGORITHM) and _DIGEST.match(found.digest) and found.size >= 0
    return found if sound else None


def inside(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Artifact]]:
    """All artifacts in a value, each with the way to it."""
    if (found := of(value)) is not None:
        return [(way, found)]
    parts: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    return [each for key, part in parts for each in inside(part, (*way, key))]


def moved(value: Any, names: Iterable[str], folder: str) -> Any:
    """``value`` with every path of a file of these names in ``/muster/in`` replaced by its path in ``folder``."""
    known = {f"{IN}/{name}": f"{folder}/{name}" for name in names}
    return _moved(value, known) if known else value


def _moved(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return known.get(value, value)
    if isinstance(value, dict):
        return {key: _moved(part, known) for key, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, known) for part in value]
    return value


class Staging:
    """The files one attempt is given. ``files`` are those so far, by their names in the folder ``in``."""

    def __init__(self) -> None:
        self.files: dict[str, Artifact] = {}
        self._names: dict[Artifact, str] = {}
        self._taken = set(RESERVED)
        self._numbers: dict[str, int] = {}

    def inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs with every artifact replaced by the path of its file."""
        found = sorted(inside(dict(inputs)), key=lambda each: len(each[0]))
        names = {way: self._add(artifact, "-".join(map(str, way))) for way, artifact in found}
        return {name: self._replaced(value, names, (name,)) for name, value in inputs.items()}

    def _replaced(self, value: Any, names: Mapping[tuple[str | int, ...], str], way: tuple[Any, ...]) -> Any:
        if way in names:
            return f"{IN}/{names[way]}"
        if isinstance(value, dict):
            return {key: self._replaced(part, names, (*way, key)) for key, part in value.items()}
        if isinstance(value, list):
            return [self._replaced(part, names, (*way, at)) for at, part in enumerate(value)]
        return value

    def placed(self, value: Any) -> Any:
        """``value`` with artifacts as paths: of a file that is there already, or else is brought along."""
        if (artifact := of(value)) is not None:
            known = self._names.get(artifact)
            return f"{IN}/{known or self._add(artifact, artifact.name or artifact.digest[:12])}"
        if isinstance(value, dict):
            return {key: self.placed(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self.placed(part) for part in value]
        return value

    def text(self, value: Any) -> str:
        """As ``values.text``, with artifacts as paths."""
        return values.text(self.placed(value))

    def _add(self, artifact: Artifact, wanted: str) -> str:
        name = self._free(wanted, extension_of(artifact.name))
        self.files[name] = artifact
        self._names.setdefault(artifact, name)
        return name

    def _free(self, wanted: str, extension: str) -> str:
        stem = _UNSAFE.sub("_", wanted.removesuffix(extension)).strip(".") or "file"
        stem = stem[:NAME_LENGTH_MAX]
        name, number = f"{stem}{extension}", self._numbers.get(f"{stem}{extension}", 1)
        while name.lower() in self._taken:
            number += 1
            name = f"{stem}-{number}{extension}"
        self._numbers[f"{stem}{extension}"] = number
        self._taken.add(name.lower())
        return name


def extension_of(name: str) -> str:
    """The end of a file name that says what is in it, such as ``.wav`` or ``.tar.gz``; empty where there is none."""
    found = EXTENSION.search(name)
    return found.group() if found and found.start() > 0 else ""


def path_defect(path: str) -> str:
    """Why ``path`` cannot be the place of an output below ``/muster/out``, or the empty string."""
    parts = path.split("/")
    if not path or path.startswith("/"):
        return f"it must be a path below {OUT}, such as audio.wav"
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        return "it must name a file directly: no empty part, no . and no .."
    if any(sign in path for sign in "*?["):
        return "it names one file: patterns are not read"
    if path in RESERVED:
        return f"{path} is a file of Muster's own"
    if len(path.encode()) > 1024 or any(len(part.encode()) > 255 for part in parts):
        return "it is longer than a file system takes"
    return ""
