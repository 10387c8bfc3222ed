"""pyconduit's template tags as CEL: ``{: step.path :}``, ``{# variable #}``, ``{< local >}`` and ``{% context %}``."""

from __future__ import annotations

import re
from typing import Any, Final

from muster.importers.draft import Draft, member, plain
from muster.model.definition.terms import source

_TAG: Final = re.compile(r"\{([:#<%]) (.+?) (?:(?<=.)([:#>%]))\}", re.DOTALL)
_CLOSING: Final = {":": ":", "#": "#", "<": ">", "%": "%"}
_INDEX: Final = re.compile(r"-?[0-9]+\Z")
_SLICE: Final = re.compile(r"-?[0-9]*:-?[0-9]*\Z")
_NULL: Final = "null"


class Names:
    """What steps that were carried are called here, and where their return value is."""

    def __init__(self) -> None:
        self.inputs: set[str] = set()
        self.variables: set[str] = set()
        self.later: set[str] = set()
        self.all: set[str] = set()
        self._steps: dict[str, str] = {}
        self._conditional: set[str] = set()
        self.outputs: dict[str, str] = {}

    def add(self, theirs: str, ours: str, output: str, *, conditional: bool) -> None:
        """A step that comes before those that follow; ``output`` is empty where it returned nothing."""
        self._steps[theirs] = f"{member('steps', ours)}.outputs.{output}" if output else _NULL
        if conditional:
            self._conditional.add(theirs)
        if output:
            self.outputs = {"result": f"${{{{ {self.result(theirs, forced=False)} }}}}"}

    def result(self, theirs: str, *, forced: bool) -> str | None:
        """The CEL text of what the step returned, None where no step before is called so.

        What was skipped returned nothing, and one that is ``forced`` also sees steps that failed.
        """
        found = self._steps.get(theirs)
        if found in (None, _NULL) or not (forced or theirs in self._conditional):
            return found
        return f"(has({found.rpartition('.')[0]}) ? {found} : null)"


class Tags:
    """The tags in the values of one step."""

    def __init__(self, names: Names, draft: Draft, place: str, *, forced: bool = False) -> None:
        self.forced = forced
        self.names = names
        self.draft = draft
        self.place = place

    def value(self, value: Any) -> Any:
        """The value with its tags as expressions."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(part) for part in value]
        if isinstance(value, dict):
            for key in value:
                if _TAG.search(key):
                    self.draft.lose(self.place, f"the tag in the key {key!r}: keys are no expressions here.")
            return {key: self.value(part) for key, part in value.items()}
        return value

    def text(self, text: str) -> str:
        """A tag that is the whole string keeps its type, as there."""
        made, end = "", 0
        for match in self.tags(text):
            made += plain(text[end : match.start()]) + f"${{{{ {self.tag(match)} }}}}"
            end = match.end()
        return made + plain(text[end:])

    def formula(self, text: str) -> str:
        """The text as one expression."""
        matches = list(self.tags(text))
        if len(matches) == 1 and matches[0].group(0) == text.strip():
            return self.tag(matches[0])
        parts, end = [], 0
        for match in matches:
            parts += [source(text[end : match.start()]), f"string({self.tag(match)})"]
            end = match.end()
        return " + ".join(part for part in [*parts, source(text[end:])] if part != '""') or '""'

    def tags(self, text: str) -> list[re.Match[str]]:
        """Every tag that is closed by its own sign."""
        return [match for match in _TAG.finditer(text) if match[3] == _CLOSING[match[1]]]

    def tag(self, match: re.Match[str]) -> str:
        """The tag as CEL."""
        kind, path = match[1], match[2].strip()
        if _TAG.search(path) or "{" in path:
            return self._lost(match[0], "a tag inside a tag")
        first, *rest = path.split(".")
        if any(part.startswith("_") or part.endswith("_") for part in (first, *rest)):
            return self._lost(match[0], "a name that begins or ends with _")
        if kind == ":":
            return self._step(match[0], first, rest)
        if kind == "#":
            return self._variable(match[0], first, rest)
        if kind == "<":
            return self._local(match[0], first, rest)
        return self._context(match[0], first, rest)

    def _lost(self, tag: str, why: str) -> str:
        self.draft.lose(self.place, f"the tag {tag}: {why}; null stands in its place.")
        return _NULL

    def _step(self, tag: str, step: str, rest: list[str]) -> str:
        found = self.names.result(step, forced=self.forced)
        if found is None:
            late = "which comes later" if step in self.names.all else "which does not exist"
            return self._lost(tag, f"it speaks of the step {step}, {late}")
        return (
            self._path(tag, found, rest)
            if found != _NULL
            else self._lost(tag, f"the step {step} returns nothing")
        )

    def _variable(self, tag: str, name: str, rest: list[str]) -> str:
        if name not in self.names.variables:
            late = "later" if name in self.names.later else "nowhere"
            return self._lost(tag, f"the variable {name} is set {late}")
        return self._path(tag, member("vars", name), rest)

    def _local(self, tag: str, name: str, rest: list[str]) -> str:
        if name not in self.names.inputs:
            return self._lost(tag, f"the job has no local {name}")
        return self._path(tag, member("inputs", name), rest)

    def _context(self, tag: str, first: str, rest: list[str]) -> str:
        if first == "steps" and len(rest) > 1 and rest[1] == "result":
            return self._step(tag, rest[0], rest[2:])
        if first == "steps" and len(rest) > 1 and rest[1] in ("id", "action", "parameters", "position"):
            return self._lost(tag, f"how a step was written ({rest[1]})")
        if first == "job" and rest == ["name"]:
            return "execution.workflow"
        if first == "job" and rest == ["id"]:
            return "execution.id"
        if first == "job" and len(rest) > 1 and rest[0] == "variables":
            return self._variable(tag, rest[1], rest[2:])
        if first == "job" and len(rest) > 1 and rest[0] == "parameters":
            return self._local(tag, rest[1], rest[2:])
        return self._lost(tag, f"{'.'.join((first, *rest))} is not in an expression's sight")

    def _path(self, tag: str, found: str, rest: list[str]) -> str:
        for part in rest:
            if _SLICE.match(part) or part.startswith("-"):
                return self._lost(tag, "a part of a list, which CEL has no word for")
            found = member(found, int(part) if _INDEX.match(part) else part)
        return found
