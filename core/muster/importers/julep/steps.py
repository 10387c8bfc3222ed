"""The steps of a task, one after the other: what each becomes, and what ``_`` is behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from msgspec import UNSET

from muster.importers.draft import member, plain
from muster.importers.julep.python import Scope, UntranslatableError, condition, translated, value
from muster.model.definition.workflow import Case, ForEach, Map, Output, Step, WaitForInput

_UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
_INPUTS: Final = "inputs"
_RESULT: Final = ".result"
_PARALLEL: Final = 100  # what Julep takes where nothing is said


class Task(Protocol):
    """What a chain needs of the task around it: names, notes, and the other workflows."""

    others: dict[str, list[Any]]
    state: set[str]

    def id(self, wanted: str) -> str:
        """A free id."""
        ...

    def lose(self, place: str, message: str) -> None:
        """Note what is not carried."""
        ...

    def change(self, place: str, message: str) -> None:
        """Note what is carried in another way."""
        ...


class Chain:
    """Steps that follow each other. ``current`` is the CEL of ``_``, ``history`` that before and after each."""

    def __init__(self, task: Task, name: str, inputs: set[str], around: Chain | None = None) -> None:
        self.task = task
        self.name = name
        self.inputs = inputs
        self.around = around
        self.current = _INPUTS
        self.history: list[tuple[str, str, str]] = []
        self.images: set[str] = set() if around is None else around.images
        self.yields: dict[str, set[str]] = {} if around is None else around.yields
        self.returns = False

    def steps(self, written: list[Any]) -> list[Step]:
        """The steps, and ``current`` behind the last."""
        made = []
        for at, one in enumerate(written):
            step, after = self.step(one if isinstance(one, dict) else {}, at)
            before, self.current = self.current, after
            self.history.append((str(one.get("label") or "") if isinstance(one, dict) else "", before, after))
            self.returns = step.return_ is not UNSET
            made.append(step)
        return made

    def step(self, one: Mapping[str, Any], at: int) -> tuple[Step, str]:
        """The step, and the CEL of ``_`` behind it. What cannot be carried stops the execution where it stood."""
        kind = next((key for key in _MAKERS if key in one), "")
        id_ = self.task.id(str(one.get("label") or f"{kind or 'step'}-{at + 1}".replace("_", "-")))
        place = f"{self.name}[{at}] ({kind or ', '.join(map(str, one))})"
        try:
            return _MAKERS.get(kind, Chain.unknown)(self, one, id_, place)
        except UntranslatableError as error:
            self.task.lose(place, f"{error}; the workflow fails there.")
            return Step(id=id_, error=plain(f"not carried over from Julep: {place}: {error}")), "null"

    # ---- expressions

    @property
    def scope(self) -> Scope:
        """What expressions may speak of here."""
        found = {} if self.around is None else dict(self.around.scope)
        found |= {"_": self.current, "state": "vars"}
        if self.around is None:
            found |= {"inputs": _INPUTS, "inputs[0]": _INPUTS, "steps[0].input": _INPUTS}
            for at, (label, before, after) in enumerate(self.history):
                for key in (at, label) if label else (at,):
                    found[f"steps[{key!r}].input"] = before
                    found[f"steps[{key!r}].output"] = after
                found[f"outputs[{at}]"] = after
        return found

    def value(self, written: Any, place: str) -> Any:
        """A value with its expressions in CEL."""

        def lost(text: str, why: str) -> Any:
            whole = text.startswith("$ ")
            stands = "null stands in its place" if whole else "it stays as it is"
            self.task.lose(place, f"{text!r}: {why}; {stands}.")
            return None if whole else plain(text)

        return value(written, self.scope, lost)

    def formula(self, written: Any, more: Scope | None = None) -> str:
        """An expression, with or without its dollar."""
        return translated(_bare(written), {**self.scope, **(more or {})})

    def condition(self, written: Any) -> str:
        """A condition as it stands in a step."""
        return f"${{{{ {condition(_bare(written), self.scope)} }}}}"

    def block(self, written: Any, current: str, place: str) -> tuple[list[Step], str]:
        """The steps of a block, and where in its result the value of the last stands."""
        inner = Chain(self.task, place.partition(" ")[0], self.inputs, self)
        inner.current = current
        made = inner.steps(written if isinstance(written, list) else [written])
        last = made[-1]
        whole = f"{member('steps', last.id)}.outputs"
        rest = inner.current.removeprefix(whole) if inner.current.startswith(whole) else ""
        if not inner.current.startswith(whole):
            self.task.change(
                place, f"what comes out of {last.id} is what that step gives, not what came into it."
            )
        return (made, rest) if len(made) == 1 else ([Step(chain=made)], member("", last.id) + rest)

    # ---- kinds of steps

    def unknown(self, _one: Mapping[str, Any], _id: str, _place: str) -> tuple[Step, str]:
        """Such as embed and search, which Julep itself only names."""
        raise UntranslatableError("Muster knows no such step")

    def prompt(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """A prompt: the image answers it."""
        if not one.get("unwrap"):
            self.task.change(place, "its value is what the image gives, not a completion with choices.")
        return self.answered("prompt_image", one, id_, place)

    def tool(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """A tool: the image runs it."""
        return self.answered("tool_image", one, id_, place)

    def answered(self, image: str, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """A step that an image does, which is told everything."""
        self.images.add(image)
        given = {
            key: self.argument(part, place) for key, part in one.items() if key not in ("label", "kind_")
        }
        step = Step(id=id_, image=f"${{{{ inputs.{image} }}}}", inputs=given, outputs={"result": Output()})
        return step, _outputs(id_) + _RESULT

    def argument(self, written: Any, place: str) -> Any:
        """A value, or all of ``_``."""
        return f"${{{{ {self.current} }}}}" if written == "_" else self.value(written, place)

    def evaluate(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """Values: a variable that is no key of the state, called as the output of prompts where that is free."""
        variable = "result" if "result" not in self.task.state else "_" + id_.replace("-", "_")
        step = Step(id=id_, set={variable: self.value(one["evaluate"], place)})
        return step, member(_outputs(id_), variable)

    def ask(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """Waiting for input: what was info is the prompt."""
        info = (one["wait_for_input"] or {}).get("info") or {}
        given = self.value(info, place)
        lines = [f"{key}: {part}" for key, part in given.items()] if isinstance(given, dict) else [str(given)]
        return Step(id=id_, wait_for_input=WaitForInput(prompt="\n".join(lines))), _outputs(id_)

    def log(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """A message; ``_`` stays."""
        return Step(id=id_, log=str(self.value(one["log"], place))), self.current

    def get(self, one: Mapping[str, Any], id_: str, _place: str) -> tuple[Step, str]:
        """A value of the state."""
        return Step(id=id_, get=str(one["get"])), f"{_outputs(id_)}.value"

    def set(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """Values of the state."""
        return Step(id=id_, set=self.value(one["set"], place)), _outputs(id_)

    def return_(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """The end."""
        return Step(id=id_, return_=self.value(one["return"], place)), self.current

    def error(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """A failure."""
        return Step(id=id_, error=str(self.value(one["error"], place))), self.current

    def sleep(self, one: Mapping[str, Any], id_: str, _place: str) -> tuple[Step, str]:
        """A while; ``_`` stays."""
        asked = one["sleep"] if isinstance(one["sleep"], dict) else {"seconds": one["sleep"]}
        if not all(unit in _UNITS and isinstance(count, int | float) for unit, count in asked.items()):
            raise UntranslatableError(
                "a time to sleep that is not a number of seconds, minutes, hours or days"
            )
        total = math.fsum(_UNITS[unit] * count for unit, count in asked.items())
        return Step(id=id_, sleep=int(total) if total.is_integer() else total), self.current

    def if_else(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """Two branches; without the second ``_`` stays."""
        asked = self.condition(one["if"])
        then, rest = self.block(one.get("then") or {}, self.current, place)
        other, otherwise = self.block(one["else"], self.current, place) if one.get("else") else (None, rest)
        after = _outputs(id_) + rest
        if other is None and rest.startswith("."):
            after = f"(has({after}) ? {after} : {self.current})"
        elif rest != otherwise or other is None:
            self.task.change(place, "its value is an object of what the branch gives.")
            after = _outputs(id_)
        return Step(id=id_, if_=asked, then=then, else_=other), after

    def switch(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """The first case that holds; without a match Julep fails, and so does Muster."""
        cases, rests = [], set()
        for written in one["switch"]:
            then, rest = self.block(written.get("then") or {}, self.current, place)
            rests.add(rest)
            asked = written.get("case")
            cases.append(Case(then=then) if asked == "_" else Case(case=self.condition(asked), then=then))
        if cases and cases[-1].case is not UNSET:
            cases.append(Case(then=[Step(id=self.task.id("no-case"), error="no case of the switch holds")]))
        after = _outputs(id_)
        if len(rests) == 1:
            after += rests.pop()
        else:
            self.task.change(place, "its value is an object of what the branch gives.")
        return Step(id=id_, switch=cases), after

    def foreach(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """One after the other."""
        asked = one["foreach"]
        over = f"${{{{ {self.formula(asked.get('in'))} }}}}"
        body, rest = self.block(asked.get("do") or {}, "item", place)
        return Step(id=id_, for_each=ForEach(in_=over, steps=body, max_parallel=1)), _items(id_, rest)

    def map_reduce(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """Several at a time; the results are reduced in order."""
        asked = one.get("map_reduce") or one
        over = f"${{{{ {self.formula(asked.get('over'))} }}}}"
        body, rest = self.block(asked.get("map") or {}, "item", place)
        reduce, initial = None, asked.get("initial", [])
        if asked.get("reduce") is not None:
            names = {"results": "item.result", "_": f"item.value{rest}"}
            reduce = f"${{{{ {self.formula(asked['reduce'], names)} }}}}"
            initial = self.value(initial, place)
        at_once = int(asked.get("parallelism") or _PARALLEL)
        kept = initial if reduce is not None else None
        loop = Map(over=over, steps=body, reduce=reduce, initial=kept, max_parallel=at_once)
        return Step(id=id_, map=loop), f"{_outputs(id_)}.result" if reduce is not None else _items(id_, rest)

    def parallel(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """All at once."""
        branches = [self.block(written, self.current, place) for written in one["parallel"]]
        values = [f"{_outputs(id_)}.branches[{at}]{rest}" for at, (_, rest) in enumerate(branches)]
        return Step(
            id=id_, parallel=[step for steps, _ in branches for step in steps]
        ), f"[{', '.join(values)}]"

    def call(self, one: Mapping[str, Any], id_: str, place: str) -> tuple[Step, str]:
        """Another workflow of the task."""
        from muster.importers.draft import slug

        other, given = str(one["workflow"]), one.get("arguments") or {}
        if given in ("_", "$ _"):
            if self.current != _INPUTS:
                raise UntranslatableError("its arguments are not known by name: write them out")
            given = {name: f"$ inputs.{name}" for name in sorted(self.inputs)}
        self.yields.setdefault(other, set()).update(given)
        steps = self.task.others.get(other) or [{}]
        ends = isinstance(steps[-1], dict) and "return" in steps[-1]
        step = Step(id=id_, workflow=slug(other), inputs=self.value(given, place))
        return step, _outputs(id_) + ("" if ends else _RESULT)


_Maker = Callable[[Chain, Mapping[str, Any], str, str], tuple[Step, str]]
_MAKERS: Final[Mapping[str, _Maker]] = {
    "prompt": Chain.prompt,
    "tool": Chain.tool,
    "evaluate": Chain.evaluate,
    "wait_for_input": Chain.ask,
    "log": Chain.log,
    "get": Chain.get,
    "set": Chain.set,
    "foreach": Chain.foreach,
    "map_reduce": Chain.map_reduce,
    "over": Chain.map_reduce,
    "parallel": Chain.parallel,
    "if": Chain.if_else,
    "switch": Chain.switch,
    "workflow": Chain.call,
    "return": Chain.return_,
    "sleep": Chain.sleep,
    "error": Chain.error,
}
"""The steps of Julep by the key that makes them one."""


def _bare(written: Any) -> str:
    return written.removeprefix("$ ") if isinstance(written, str) else repr(written)


def _outputs(id_: str) -> str:
    return f"{member('steps', id_)}.outputs"


def _items(id_: str, rest: str) -> str:
    """The list of what the repeated steps gave."""
    items = f"{_outputs(id_)}.items"
    return f"{items}.map(one, one{rest})" if rest else items
