"""A workflow that is being carried over: its names, and the notes about what it loses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from muster.model.definition.validation import validate
from muster.model.definition.workflow import Input, Workflow
from muster.model.errors import WorkflowInvalidError

_NAME_MAX: Final = 63
_NAMED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}\Z")


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who comes over must know. ``lost``: it is not carried; otherwise it is, in another way."""

    place: str
    message: str
    lost: bool

    def __str__(self) -> str:
        return f"{'not carried' if self.lost else 'changed'}: {self.place}: {self.message}"


class Imported(msgspec.Struct, frozen=True):
    """A workflow and what is to be known about how it came to be."""

    workflow: Workflow
    notes: list[Note]

    @property
    def lost(self) -> list[Note]:
        """What could not be carried."""
        return [note for note in self.notes if note.lost]


class Draft:
    """Collects notes, and gives every step a name that Muster takes and that nothing else in the workflow has."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._taken: set[str] = set()

    def lose(self, place: str, message: str) -> None:
        """Note what is not carried."""
        self.notes.append(Note(place=place, message=message, lost=True))

    def change(self, place: str, message: str) -> None:
        """Note what is carried in another way."""
        self.notes.append(Note(place=place, message=message, lost=False))

    def id(self, wanted: str) -> str:
        """A free id as near to ``wanted`` as can be."""
        plain = slug(wanted) or "step"
        name, count = plain, 1
        while name in self._taken:
            count += 1
            name = f"{plain[: _NAME_MAX - 5]}-{count}"
        self._taken.add(name)
        return name

    def ignore(self, data: Mapping[str, Any], known: Sequence[str], place: str) -> None:
        """Note every key that nothing is made of."""
        for key, value in data.items():
            if key not in known and value not in (None, [], {}, ""):
                self.lose(place, f"nothing is made of {key!r}.")

    def finish(self, workflow: Workflow) -> Imported:
        """The result; what Muster would refuse is noted, too."""
        for problem in validate(workflow):
            self.lose(problem.path, f"Muster refuses it: {problem.message} {problem.remedy}")
        return Imported(workflow, self.notes)


def slug(text: str) -> str:
    """The text as a name of Muster; empty if nothing of it is left."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:_NAME_MAX]


def is_name(text: Any) -> bool:
    """Whether inputs, outputs and variables may be called so."""
    return isinstance(text, str) and _NAMED.match(text) is not None


def image_input(image: str | None, what: str) -> Input:
    """The input that says which image runs what another system ran itself; required where nobody has said it."""
    declared = Input(type="string", description=what)
    return declared if image is None else msgspec.structs.replace(declared, default=image)


def member(of: str, key: Any) -> str:
    """The CEL text of a member."""
    from muster.model.definition.terms import Term, source

    return source(Term(of)[key])


def truth(text: str) -> str:
    """The CEL text of what Python takes for true."""
    return f'!({text} in [false, null, 0, "", [], {{}}])'


def plain(text: str) -> str:
    """Text in which nothing is an expression."""
    return text.replace("${{", "$${{")


def refuse(message: str, remedy: str) -> NoReturn:
    """Raise WorkflowInvalidError: this is no file of that system."""
    raise WorkflowInvalidError(message, remedy=remedy)
