"""Everything a container said on its stdout, line by line, judged as it comes.

It listens beside the agent's own client (``functions.wire``), which only gives an answer to who asked: here also counts
what nobody asked for, what came twice, and what is no message.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical"})
TORN: Final = frozenset({-32700, -32600})
"""The codes of an answer without an id: to what was no request."""
LINES_MAX: Final = 5
"""Of each kind of defect so many are shown."""


class Heard:
    """``bytes_max`` is what a line may have."""

    def __init__(self, bytes_max: int) -> None:
        self.answers: Counter[str] = Counter()
        """By id, of the questions that were asked."""
        self.stray: list[str] = []
        """Answers to nothing."""
        self.foreign: list[str] = []
        """Lines that are no messages."""
        self.odd: list[str] = []
        """Notifications that are not as they should be."""
        self.long: list[int] = []
        """Sizes of lines that are too long."""
        self.told = 0
        """Notifications of the protocol."""
        self._bytes_max = bytes_max
        self._asked: set[str] = set()
        self._open: set[str] = set()
        self._twice: set[str] = set()
        self._rest = bytearray()
        self._size = 0

    def ask(self, id_: str, *, call: bool = False, twice: bool = False) -> None:
        """This is being asked now; ``call``: and until it is answered notifications may be about it.

        ``twice``: it is asked a second time at once, so that nobody can say when it is over.
        """
        self._asked.add(id_)
        if call:
            self._open.add(id_)
        if twice:
            self._twice.add(id_)

    @property
    def anything(self) -> bool:
        """Whether a whole line came, of whatever kind."""
        return bool(self.answers or self.told or self.stray or self.foreign or self.odd or self.long)

    def repeated(self) -> list[str]:
        """What was answered more often than asked."""
        return [id_ for id_, times in self.answers.items() if times > 1 + (id_ in self._twice)]

    def take(self, chunk: bytes) -> None:
        """What came on stdout."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._more(line)
            self._end()
        self._more(rest)

    def _more(self, part: bytes) -> None:
        """Of the line that comes; of one that is too long only its size is kept."""
        self._size += len(part)
        if self._size <= self._bytes_max:
            self._rest += part
        else:
            self._rest.clear()

    def _end(self) -> None:
        line, size = bytes(self._rest), self._size
        self._rest.clear()
        self._size = 0
        if size > self._bytes_max:
            self.long.append(size)
        else:
            self._line(line)

    def _line(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            _keep(self.foreign, line)
        elif "method" in message:
            self._notified(message["method"], message.get("params"), line)
        else:
            self._answered(message, line)

    def _answered(self, message: dict[str, Any], line: bytes) -> None:
        id_, error = message.get("id"), message.get("error")
        if id_ is None and isinstance(error, dict) and error.get("code") in TORN:
            return
        if not isinstance(id_, str) or id_ not in self._asked:
            _keep(self.stray, line)
            return
        self.answers[id_] += 1
        if id_ not in self._twice:
            self._open.discard(id_)

    def _notified(self, method: Any, params: Any, line: bytes) -> None:
        if method not in ("progress", "log"):
            return  # of another version, perhaps: it is passed over
        self.told += 1
        known = isinstance(params, dict) and (
            params.get("id") in self._open
            if method == "progress"
            else params.get("id") in {None, *self._open}
        )
        if not known or not (_progress(params) if method == "progress" else _record(params)):
            _keep(self.odd, line)


def _progress(params: dict[str, Any]) -> bool:
    current, total = params.get("current"), params.get("total")
    texts = (params.get("unit", ""), params.get("message", ""))
    return (
        _number(current)
        and (total is None or _number(total))
        and all(isinstance(one, str | None) for one in texts)
    )


def _record(params: dict[str, Any]) -> bool:
    return (
        params.get("level") in LEVELS
        and isinstance(params.get("text"), str)
        and isinstance(params.get("logger", ""), str | None)
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _keep(kept: list[str], line: bytes) -> None:
    if len(kept) < LINES_MAX:
        kept.append(line[:200].decode("utf-8", "backslashreplace"))
