"""NATS subject filters: ``*`` stands for one token, a closing ``>`` for one or more."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def matcher(filters: Sequence[str]) -> Callable[[str], bool]:
    """Whether a subject matches one of ``filters``; none means every subject."""
    if not filters:
        return lambda _: True
    patterns = [pattern.split(".") for pattern in filters]
    return lambda subject: any(_matches(subject.split("."), pattern) for pattern in patterns)


def _matches(tokens: list[str], pattern: list[str]) -> bool:
    if pattern[-1] == ">":
        pattern = pattern[:-1]
        if len(tokens) <= len(pattern):
            return False
    elif len(tokens) != len(pattern):
        return False
    return all(
        expected in ("*", token) for token, expected in zip(tokens[: len(pattern)], pattern, strict=True)
    )
