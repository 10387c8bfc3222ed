"""What is wrong with a workflow, and where: all of it, not just the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NoReturn

import msgspec

from muster.model.errors import MusterError, WorkflowInvalidError, by_name
from muster.model.limits import PROBLEMS_MAX

Path = tuple[str | int, ...]
Position = tuple[int, int]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. ``error`` is the name of the error class it would be at run time."""

    path: str
    message: str
    remedy: str
    line: int | None = None
    column: int | None = None
    file: str = ""
    error: str = "WorkflowInvalidError"

    @property
    def place(self) -> str:
        """``file:line:column`` where there is a file, the path otherwise."""
        if self.line is None:
            return ": ".join(part for part in (self.file, self.path) if part)
        return f"{self.file}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.place}: {self.message} {self.remedy}".removeprefix(": ").strip()


class Report:
    """Collects problems; a part that is wrong already is not complained about again. ``subject`` is the whole."""

    def __init__(
        self, file: str = "", positions: Mapping[Path, Position] | None = None, subject: str = "the workflow"
    ) -> None:
        self.file = file
        self.subject = subject
        self._positions = positions or {}
        self._found: dict[Path, list[Problem]] = {}
        self._prefix: Path = ()

    def within(self, path: Path) -> Report:
        """The same report for a part of the whole, whose paths begin there."""
        part = Report(self.file, self._positions, self.subject)
        part._found, part._prefix = self._found, (*self._prefix, *path)
        return part

    def add(
        self,
        path: Path,
        message: str,
        remedy: str | None = None,
        error: type[MusterError] = WorkflowInvalidError,
    ) -> None:
        """Note a problem, unless one is known of the same place or of what contains it."""
        if not self.known(path):
            self._note(path, message, error.remedy if remedy is None else remedy, error)

    def add_error(self, path: Path, error: MusterError) -> None:
        """As add, for an error that was raised."""
        self.add(path, error.message, error.advice, type(error))

    def add_errors(self, path: Path, errors: Iterable[MusterError]) -> None:
        """As add_error, for all that is wrong with one place, each said once."""
        if not self.known(path):
            for error in {error.message: error for error in errors}.values():
                self._note(path, error.message, error.advice, type(error))

    def _note(self, path: Path, message: str, remedy: str, error: type[MusterError]) -> None:
        if self.full:
            return
        line, column = self.position(path)
        path = (*self._prefix, *path)
        problem = Problem(
            path=written(path),
            message=message,
            remedy=remedy,
            line=line,
            column=column,
            file=self.file,
            error=error.__name__,
        )
        self._found.setdefault(path, []).append(problem)

    @property
    def full(self) -> bool:
        """Whether there are more problems than anybody wants to read."""
        return sum(map(len, self._found.values())) > PROBLEMS_MAX

    def known(self, path: Path) -> bool:
        """Whether a problem of this place, or of what contains it, is known."""
        whole = (*self._prefix, *path)
        return any(whole[:length] in self._found for length in range(len(whole) + 1))

    def position(self, path: Path) -> tuple[int | None, int | None]:
        """Line and column of the path, or of the nearest thing around it that was written."""
        whole = (*self._prefix, *path)
        for length in range(len(whole), -1, -1):
            if found := self._positions.get(whole[:length]):
                return found
        return None, None

    @property
    def problems(self) -> list[Problem]:
        """All problems in the order of the file; of more than anybody wants to read, that there are more."""
        all_ = chain.from_iterable(self._found.values())
        found = sorted(all_, key=lambda problem: (problem.line or 0, problem.column or 0))
        return [*found[:PROBLEMS_MAX], self._more()] if self.full else found

    def _more(self) -> Problem:
        message = f"these are {PROBLEMS_MAX} problems of more, and no others are shown."
        return Problem(path="", message=message, remedy="Mend them and check again.", file=self.file)

    def stop(self) -> None:
        """Raise WorkflowInvalidError if anything is wrong."""
        if self._found:
            refuse(self.problems)


def refuse(problems: Sequence[Problem]) -> NoReturn:
    """Raise the error that says the first problem and holds all."""
    first, more = problems[0], len(problems) - 1
    others = f" (and {more} more)" if more else ""
    message = f"{first.place}: {first.message}{others}".removeprefix(": ")
    kind = by_name().get(first.error, WorkflowInvalidError)
    cause = None if kind is WorkflowInvalidError else kind(first.message, remedy=first.remedy)
    raise WorkflowInvalidError(message, remedy=first.remedy, problems=list(problems), cause=cause)


def written(path: Path) -> str:
    """The path as people write it: ``steps[0].image``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
