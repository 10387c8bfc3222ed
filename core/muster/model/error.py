"""What every error has in common: its message, its code, what to do, and how it travels in the log."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as it stands in the log and in views: what, where, and what to do."""

    code: str
    name: str
    message: str
    remedy: str = ""
    phase: str | None = None
    step: str | None = None
    machine: str | None = None
    attempt: int | None = None
    details: dict[str, Any] = {}
    cause: ErrorInfo | None = None


class MusterError(Exception):
    """Something went wrong in Muster."""

    code: ClassVar[str] = "muster"
    remedy: ClassVar[str] = ""
    where: ClassVar[tuple[str, ...]] = ("phase", "step", "machine", "attempt")

    def __init__(
        self,
        message: str = "",
        *,
        remedy: str | None = None,
        cause: ErrorInfo | MusterError | None = None,
        **data: Any,
    ) -> None:
        self.data = data
        self.cause = cause.info() if isinstance(cause, MusterError) else cause
        self.advice = type(self).remedy if remedy is None else remedy
        self.message = message or self._default(data)
        super().__init__(self.message)

    @classmethod
    def _default(cls, data: dict[str, Any]) -> str:
        text = (cls.__doc__ or cls.__name__).strip().split("\n")[0]
        try:
            return text.format(**data)
        except (KeyError, IndexError):
            return text

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["data"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        return (from_info, (self.info(),))

    def info(self, **where: Any) -> ErrorInfo:
        """The error as a value for the log; ``where`` adds phase, step, machine or attempt."""
        data = self.data | {key: value for key, value in where.items() if value is not None}
        return ErrorInfo(
            code=self.code,
            name=type(self).__name__,
            message=self.message,
            remedy=self.advice,
            phase=data.pop("phase", None),
            step=data.pop("step", None),
            machine=data.pop("machine", None),
            attempt=data.pop("attempt", None),
            details=data,
            cause=self.cause,
        )


def from_info(info: ErrorInfo) -> MusterError:
    """The exception that ``info`` describes; an unknown code becomes a plain MusterError with the same text."""
    kind = by_code().get(info.code, MusterError)
    where = {key: getattr(info, key) for key in MusterError.where if getattr(info, key) is not None}
    return kind(info.message, remedy=info.remedy, cause=info.cause, **(info.details | where))


def by_name() -> dict[str, type[MusterError]]:
    """Every error class by its name."""
    return {kind.__name__: kind for kind in by_code().values()}


def by_code() -> dict[str, type[MusterError]]:
    """Every error class by its code."""
    found: dict[str, type[MusterError]] = {}
    waiting = [MusterError]
    while waiting:
        kind = waiting.pop()
        found[kind.code] = kind
        waiting.extend(kind.__subclasses__())
    return found
