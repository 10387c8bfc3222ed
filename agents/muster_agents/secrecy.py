"""Values that are nobody's business: they stay out of logs and of what is told of an attempt.

A secret is a text of six characters or more in a variable, an input or a parameter whose name says so: GITHUB_TOKEN,
dbPassword, api-key; below such a name, all of it. Where it is printed, or stands in an error, a traceback or a word
about progress, three stars stand in its place before it leaves this machine. Outputs, and what an attempt carries on
for its next call, are values and are not touched.

A text is looked for as it is, and as Python, JSON and URLs write it. Lines of a text of several are secrets each, and
a long one is several: so no secret has a line end, and none is longer than ``PIECE``. That bounds what must be held
back of a line that is cut before its end has come.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from muster.model.errors import ErrorInfo
from muster.model.log.catalogue import AttemptFailed, AttemptFinished, AttemptProgress, Body
from muster.model.log.commands import AttemptOrder

B = TypeVar("B", bound=Body)
LENGTH_MIN: Final = 6
"""Characters: what is shorter is in too many other words."""
PIECE: Final = 256
"""Characters of a longer secret that are looked for at once."""
CUT: Final = 24
"""Bytes: so much of the beginning of a secret, or in an error of its end, is one. Others cut long texts short."""
FEW: Final = 1000
"""Up to so many, whether one of them is in a line at all is asked first: 0.3 us for each, where going through the line
takes 0.1 us for each byte."""
STARS: Final = b"***"
OTHERS_MAX: Final = 64
"""So many secrets of other calls in the same container are looked for, the last ones: every line pays for each."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET: Final = re.compile(
    r" (token|secrets?|passwords?|passwd|passphrase|api ?keys?|credentials?|private ?keys?) "
)


def is_secret(name: str) -> bool:
    """Whether a name says that its value is one: by whole words, however they are joined."""
    return _SECRET.search(f" {' '.join(_WORD.findall(name)).lower()} ") is not None


class Secrets:
    """Those of one attempt."""

    def __init__(self, texts: Iterable[str] = (), *, known: Iterable[bytes] = ()) -> None:
        found = {piece for text in texts for form in _forms(text) for piece in _pieces(form)}
        known = {text.encode("utf-8", "surrogatepass") for text in found} | set(known)
        self._known = sorted(known, key=len, reverse=True)  # one may stand in another
        self._heads = list({secret[:CUT] for secret in self._known})
        self._first = {head[0] for head in self._heads}

    @classmethod
    def of(cls, order: AttemptOrder) -> Secrets:
        """What the names in an order say."""
        spec = order.container
        given = (spec.environment, spec.params, order.inputs, order.context)
        return cls(text for one in given for text in _named(one))

    def __bool__(self) -> bool:
        return bool(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __le__(self, other: Secrets) -> bool:
        return set(self._known) <= set(other._known)

    def __or__(self, other: Secrets) -> Secrets:
        return Secrets(known=[*self._known, *other._known])

    def line(self, line: bytes) -> bytes:
        """The line with stars, also for what is left of a secret that somebody cut short."""
        if len(self._heads) > FEW or any(head in line for head in self._heads):
            return self._without(line)
        return line

    def text(self, text: str) -> str:
        """The text with stars; where its middle was taken out, the ends of secrets are known, too."""
        if not self._known:
            return text
        line = self.line(text.encode("utf-8", "surrogatepass"))
        for secret in self._known:
            if len(secret) > CUT and secret[-CUT:] in line:
                line = _without(line[::-1], secret[::-1])[::-1]
        return line.decode("utf-8", "replace")

    def begun(self, text: bytes) -> int:
        """Where at the end of ``text`` a secret may have begun; its length where none has."""
        first = max(0, len(text) - max(map(len, self._known), default=0))
        for at in range(first, len(text)):
            if text[at] in self._first and any(secret.startswith(text[at:]) for secret in self._known):
                return at
        return len(text)

    def _without(self, line: bytes) -> bytes:
        """From the left, and at each place the longest: those that begin alike must not leave each other's rest."""
        parts, done, at = [], 0, 0
        while at <= len(line) - LENGTH_MIN:
            near = self._beginnings.get(line[at : at + LENGTH_MIN], ())
            length = max((_shared(line, at, secret) for secret in near), default=0)
            if not length:
                at += 1
                continue
            parts += [line[done:at], STARS]
            done = at = at + length
        return b"".join([*parts, line[done:]]) if done else line

    @cached_property
    def _beginnings(self) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {}
        for secret in self._known:
            found.setdefault(secret[:LENGTH_MIN], []).append(secret)
        return found

    def value(self, value: Any) -> Any:
        """Every text in it with stars."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self.value(part) for part in value]
        return value

    def error(self, error: ErrorInfo) -> ErrorInfo:
        """The error with stars, and its causes."""
        return msgspec.structs.replace(
            error,
            message=self.text(error.message),
            remedy=self.text(error.remedy),
            details=self.value(error.details),
            cause=None if error.cause is None else self.error(error.cause),
        )


NONE: Final = Secrets()


class Company:
    """The secrets of those who share a container: what one of them prints may be taken for another's, or come late."""

    def __init__(self) -> None:
        self.secrets = NONE

    def enter(self, secrets: Secrets) -> None:
        """One more; when there are too many, those of the first are forgotten."""
        if secrets and not secrets <= self.secrets:
            self.secrets = secrets if len(self.secrets) > OTHERS_MAX else self.secrets | secrets


def discreet(body: B, order: AttemptOrder) -> B:
    """A fact about an attempt without its secrets. Facts without words of the attempt's own are as they were."""
    change: dict[str, Any] = {}
    if isinstance(body, AttemptFailed):
        change = {"error": Secrets.of(order).error(body.error)}
    elif isinstance(body, AttemptProgress) and body.message:
        change = {"message": Secrets.of(order).text(body.message)}
    elif isinstance(body, AttemptFinished) and body.result is not None and body.result.reason:
        reason = Secrets.of(order).text(body.result.reason)
        change = {"result": msgspec.structs.replace(body.result, reason=reason)}
    return msgspec.structs.replace(body, **change) if change else body


def _named(value: Any) -> Iterator[str]:
    """The texts in ``value`` that stand below a name of a secret."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _all(part) if is_secret(name) else _named(part)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part)


def _all(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _all(part)


def _forms(text: str) -> set[str]:
    """The text as it is written in programs, documents and addresses."""
    plain = text.encode("utf-8", "replace").decode()
    return {
        text,
        repr(text)[1:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        quote(plain, safe=""),
        quote(plain),
    }


def _pieces(text: str) -> Iterator[str]:
    for line in text.splitlines():
        bare = line.strip()
        if len(bare) >= LENGTH_MIN:
            last = max(0, len(bare) - PIECE)
            yield from (bare[min(at, last) : min(at, last) + PIECE] for at in range(0, len(bare), PIECE))


def _shared(line: bytes, at: int, secret: bytes) -> int:
    """How much of the secret stands there; 0 where that is too little to be one."""
    end, most = at, min(len(line), at + len(secret))
    while end < most and line[end] == secret[end - at]:
        end += 1
    return end - at if end - at >= min(CUT, len(secret)) else 0


def _without(line: bytes, secret: bytes) -> bytes:
    at = line.find(secret[:CUT])
    while at >= 0:
        line = line[:at] + STARS + line[at + _shared(line, at, secret) :]
        at = line.find(secret[:CUT], at + len(STARS))
    return line
