"""Kinds of files, and whether an artifact is one of a kind.

An artifact says by its media type what it is: ``image/*`` is an image, ``audio/*`` audio, ``video/*`` video,
``application/pdf`` a pdf, ``text/csv`` a csv. ``file`` takes each. One that does not say what it is, or says only that
it is bytes, is a ``file`` and nothing else: a step that asks for an image is better told before it runs.
"""

from __future__ import annotations

import re
from typing import Any, Final

from muster.model.definition.workflow import ValueType
from muster.model.plan.artifacts import KEY, of

_MEDIA: Final = {
    "image": re.compile(r"image/."),
    "audio": re.compile(r"audio/."),
    "video": re.compile(r"video/."),
    "pdf": re.compile(r"application/pdf\Z"),
    "csv": re.compile(r"(text|application)/csv\Z"),
}
_UNKNOWN: Final = frozenset(("", "application/octet-stream"))
MEDIA_TYPES: Final = {
    "file": "application/octet-stream", "image": "image/png", "audio": "audio/wav", "video": "video/mp4",
    "pdf": "application/pdf", "csv": "text/csv",
}  # fmt: skip
"""One media type of each kind, for values that stand in for files."""
FIELDS: Final[dict[Any, ValueType]] = {
    KEY: "string",
    "size": "integer",
    "media_type": "string",
    "name": "string",
    "execution": "string",
}
"""What expressions can read of an artifact, and its type."""


def is_file(value: Any) -> bool:
    """Whether the value stands for a file, be it a sound one or not."""
    return type(value) is dict and KEY in value


def fits_file(value: dict[str, Any], kind: str) -> bool:
    """Whether the artifact is a file of this kind."""
    if of(value) is None:
        return False
    return says(media_type(value), kind)


def says(media: str, kind: str) -> bool:
    """Whether a media type says that a file is of this kind."""
    return kind == "file" or _MEDIA[kind].match(media) is not None


def kind_of(value: dict[str, Any]) -> ValueType | None:
    """The kind of file that an artifact is; None of any other object."""
    if not is_file(value):
        return None
    kinds: tuple[ValueType, ...] = ("image", "audio", "video", "pdf", "csv")
    return next((kind for kind in kinds if fits_file(value, kind)), "file")


def media_type(value: dict[str, Any]) -> str:
    """Its media type in lower case, without parameters such as a charset."""
    found = of(value)
    return "" if found is None else found.media_type.partition(";")[0].strip().lower()


def described(value: dict[str, Any]) -> str:
    """The artifact in words, for messages."""
    if of(value) is None:
        return "an artifact that lacks its hash, size or execution"
    kind = media_type(value)
    return "a file of unknown type" if kind in _UNKNOWN else f"a file of type {kind}"
