"""What looking through the past has found."""

from __future__ import annotations

from typing import Final

import msgspec

FOUND_MAX: Final = 1000
"""Findings that are told; whoever has more wants to know that, not each."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is not as it must be. ``first`` and ``last`` are sequences, where it has any."""

    what: str
    message: str
    first: int | None = None
    last: int | None = None
    execution: str | None = None


class Verified(msgspec.Struct, kw_only=True):
    """What was looked at, and what was found. ``warnings`` is what is worth knowing and no loss."""

    sequence: int = 0
    events: int = 0
    objects: int = 0
    archived: int = 0
    erased: int = 0
    chain: int = 0
    findings: list[Finding] = []
    warnings: list[Finding] = []
    more: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is missing or wrong."""
        return not self.findings

    def find(self, what: str, message: str, **where: object) -> None:
        """Report a finding."""
        self._add(self.findings, what, message, where)

    def warn(self, what: str, message: str, **where: object) -> None:
        """Report something that is no loss."""
        self._add(self.warnings, what, message, where)

    def _add(self, found: list[Finding], what: str, message: str, where: dict[str, object]) -> None:
        if len(found) >= FOUND_MAX:
            self.more += 1
        else:
            found.append(msgspec.convert({"what": what, "message": message, **where}, Finding))
