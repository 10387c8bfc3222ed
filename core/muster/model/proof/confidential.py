"""What in an event is a value that is somebody's own, and what is structure that the engine decides by.

Structure stays: ids, names of workflows, steps, machines and their labels, of inputs, outputs, variables and functions,
kinds, statuses, error codes, times, and all numbers of the engine (attempts, resources, durations, exit codes). Values
get stand-ins: inputs and outputs, commands, environments, images, labels and metadata of executions, descriptions,
digests, host names, and what programs and people wrote (messages, reasons, tracebacks). What this release does not
know, be it a kind, a field or an attribute, counts as a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from muster.model.errors import by_code
from muster.model.log.envelope import TYPE_PREFIX, Event, decode, encode
from muster.model.log.facts import AGENT_ENDS
from muster.model.proof.disguise import CLAIM, Disguise, templated
from muster.model.proof.pseudonyms import Pseudonyms
from muster.model.reuse.outcomes import digest

Treatment = Callable[["Confidential", Any], Any]

ENVELOPE: Final = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}
    | {"execution", "step", "attempt", "machine", "n", "cause", "basis"}
)

STRUCTURE: Final[dict[str, frozenset[str]]] = {
    kind: frozenset(fields.split())
    for kind, fields in {
        "leader.elected": "scheduler term software policy",
        "execution.queued": "transition rerun_of parent schedule too_large no_cache priority timeout_s tags",
        "execution.deferred": "ahead by",
        "execution.started": "transition",
        "execution.waiting": "transition",
        "execution.resumed": "transition",
        "execution.ending": "outcome with_parent replaced_by stop",
        "execution.succeeded": "transition",
        "execution.failed": "transition",
        "execution.cancelled": "transition",
        "execution.cleared": "events sequences archived held",
        "log.archived": "objects previous first left",
        "schedule.set": "name next_at",
        "schedule.paused": "name",
        "schedule.resumed": "name next_at",
        "schedule.removed": "name",
        "schedule.fired": "name due_at execution next_at",
        "schedule.skipped": "name due_at reason next_at count execution",
        "step.scheduled": "machine session slots cpus memory gpus labels counted",
        "step.started": "machine transition branch child",
        "step.waiting": "reason due_at token ahead by",
        "step.retrying": "budget used due_at",
        "step.succeeded": "source",
        "step.skipped": "reason source",
        "attempt.superseded": "machine reason",
        "command.refused": "command verb",
        "machine.offline": "evidence",
        "machine.online": "evidence",
        "machine.connected": "instance interval_s attempts software",
        "image.pulled": "cached size seconds",
        "container.started": "container seconds",
        "container.exited": "container exit_code oom_killed seconds cpu_s memory_peak",
        "function.loading": "function container",
        "function.loaded": "function seconds container concurrency isolation",
        "function.unloaded": "function container reason calls seconds",
        "attempt.started": "container warm",
        "attempt.progress": "phase current total unit",
        "attempt.finished": "exit_code seconds",
        "attempt.failed": "phase reason retriable exit_code seconds",
        "attempt.stopped": "seconds",
    }.items()
}
"""The fields of each kind that stay. Of those not named here see ``TREATED``; of all others every leaf is a value."""

_REUSED: Final = frozenset(("skipped", "execution", "step", "attempt", "at"))
_FACTS: Final = frozenset(
    ("os", "arch", "cpus", "memory", "slots", "labels", "runtime", "engine", "engine_version")
)
_LOADED: Final = frozenset(("function", "container", "concurrency", "execution"))
_GPU: Final = frozenset(("name", "memory"))
_RESULT: Final = frozenset(("kind", "wait_min", "wait_max", "max_retries", "wait_for"))
_ERROR: Final = frozenset(("code", "name", "phase", "step", "machine", "attempt"))
_DETAILS: Final = frozenset(
    ("exit_code", "limit_s", "memory", "clipped", "limit", "count", "held_by", "replaced_by")
)  # the engine's own numbers and ids

_OWN_CODES: Final = frozenset(("placement", "not_connected", "machine_offline", "attempt_lost"))
_OWN_WORDS: Final = re.compile(
    r"The command ended with exit code -?\d+\."
    r"|The \w+ phase took longer than its timeout of [-+.\de]+ s\."
    r"|(?:T|t)he outputs are larger than \d+ bytes\.?"
    r"|[a-z0-9][a-z0-9_-]* did not stop it in time"
    r"|the execution is ending|condition|ending"
    r"|replaced by [0-9a-zA-Z_-]+"
    rf"|reused|cached|{AGENT_ENDS}"
)
_EXHAUSTED: Final = re.compile(r"(all \d+ attempts failed in the \w+ phase; the last one: )(.*)", re.DOTALL)


class Confidential:
    """Puts stand-ins into events. ``kept`` are inputs and outputs that stay: ``inputs.N``, ``steps.S.outputs.N``.

    ``lists`` are what loops went over, by digest: what a rerun takes over of members hangs on it.
    """

    def __init__(
        self,
        stand_ins: Pseudonyms,
        kept: Iterable[str] = (),
        lists: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.stand_ins = stand_ins
        self._kept = frozenset(kept)
        self._lists = lists or {}
        self._step: str | None = None

    def event(self, event: Event) -> Event:
        """The event with stand-ins, as it would be read from the wire."""
        wire: dict[str, Any] = msgspec.json.decode(encode(event))
        self._step = event.step
        kind = str(wire["type"]).removeprefix(TYPE_PREFIX).rpartition(".v")[0]
        for name, part in wire.items():
            if name == "data":
                wire[name] = self._data(kind, part)
            elif name not in ENVELOPE:
                wire[name] = self.stand_ins.value(part)
        return decode(msgspec.json.encode(wire))

    def _data(self, kind: str, data: Any) -> Any:
        if not isinstance(data, dict):
            return self.stand_ins.value(data)
        structure = STRUCTURE.get(kind, frozenset())
        known = TREATED if kind in KINDS else {}
        return self._fields(data, structure, known)

    def _fields(
        self, found: dict[str, Any], structure: frozenset[str], treated: Mapping[str, Treatment]
    ) -> dict[str, Any]:
        """Each field as it has to be; of one that is neither structure nor treated every leaf is a value."""
        return {
            name: part if name in structure else treated.get(name, Confidential.value)(self, part)
            for name, part in found.items()
        }

    # ---- treatments

    def value(self, value: Any) -> Any:
        """Every leaf, and every key that is no name."""
        return self.stand_ins.value(value)

    def image(self, value: Any) -> Any:
        """A name that keeps its form; it may hold expressions."""
        return templated(self.stand_ins, value, self.stand_ins.shaped)

    def digest(self, value: Any) -> Any:
        """A digest."""
        return self.stand_ins.digest(value) if isinstance(value, str) else self.value(value)

    def labels(self, value: Any) -> Any:
        """Values by names that stay."""
        if not isinstance(value, dict):
            return self.value(value)
        return {name: self.value(part) for name, part in value.items()}

    def claim(self, value: Any) -> Any:
        """A key that may be made of inputs, and how many may hold it."""
        if not isinstance(value, dict):
            return self.value(value)
        return self._fields(value, CLAIM, {})

    def called(self, value: Any) -> Any:
        """What a step calls: the image, as everywhere, before the function and the execution, which stay."""
        if not isinstance(value, str):
            return self.value(value)
        image, space, rest = value.partition(" ")
        return f"{self.image(image)}{space}{rest}"

    def functions(self, value: Any) -> Any:
        """What is loaded on a machine."""
        if not isinstance(value, list):
            return self.value(value)
        return [
            self._fields(one, _LOADED, TREATED) if isinstance(one, dict) else self.value(one) for one in value
        ]

    def facts(self, value: Any) -> Any:
        """What a machine is: host name and boot id have stand-ins."""
        return self._fields(value, _FACTS, _IN_FACTS) if isinstance(value, dict) else self.value(value)

    def gpus(self, value: Any) -> Any:
        """What kind they are stays; which ones of that kind does not."""
        if not isinstance(value, list) or not all(isinstance(gpu, dict) for gpu in value):
            return self.value(value)
        return [self._fields(gpu, _GPU, {}) for gpu in value]

    def words(self, value: Any) -> Any:
        """A reason: the engine's own phrases stay."""
        if isinstance(value, str) and _OWN_WORDS.fullmatch(value):
            return value
        return self.value(value)

    def inputs(self, value: Any) -> Any:
        """The inputs of an execution."""
        return self._named(value, "inputs.")

    def outputs(self, value: Any) -> Any:
        """The outputs of a step, or of the execution."""
        return self._named(value, f"steps.{self._step}.outputs." if self._step else "outputs.")

    def reused(self, value: Any) -> Any:
        """What a rerun takes over, by the paths of the steps."""
        if not isinstance(value, dict):
            return self.value(value)
        return {path: self._taken_over(path, part) for path, part in value.items()}

    def _taken_over(self, path: str, value: Any) -> Any:
        if not isinstance(value, dict):
            return self.value(value)
        found = self._fields(value, _REUSED, {})
        if "outputs" in found:
            found["outputs"] = self._named(value["outputs"], f"steps.{path}.outputs.")
        return found

    def loops(self, value: Any) -> Any:
        """The digests of what loops went over: those of the lists as they are now, where they are known."""
        if not isinstance(value, dict):
            return self.value(value)
        return {path: self._list(part) for path, part in value.items()}

    def _list(self, known: Any) -> Any:
        return digest(self.value(self._lists[known])) if known in self._lists else self.digest(known)

    def _named(self, value: Any, prefix: str) -> Any:
        if not isinstance(value, dict):
            return self.value(value)
        return {
            self.stand_ins.text(name): part if prefix + name in self._kept else self.value(part)
            for name, part in value.items()
        }

    # ---- errors

    def error(self, value: Any) -> Any:
        """An error: what it is and where stays, what it says has a stand-in."""
        if not isinstance(value, dict):
            return self.value(value)
        found = self._fields(value, _ERROR, _IN_ERRORS)
        if isinstance(message := value.get("message"), str):
            found["message"] = self._message(value.get("code", ""), message, value.get("cause"))
        return found

    def _message(self, code: str, message: str, cause: Any) -> str:
        found = _EXHAUSTED.fullmatch(message)
        if found is not None:
            inner = cause.get("code", "") if isinstance(cause, dict) else ""
            return found[1] + self._message(inner, found[2], None)
        if code in _OWN_CODES or message in _own_sentences() or _OWN_WORDS.fullmatch(message):
            return message
        return self.stand_ins.text(message)

    def remedy(self, value: Any) -> Any:
        """A remedy: those of the error classes stay."""
        return value if value in _own_sentences() else self.value(value)

    def details(self, value: Any) -> Any:
        """The data of an error, by names that stay."""
        if not isinstance(value, dict):
            return self.value(value)
        return {name: part if name in _DETAILS else self.value(part) for name, part in value.items()}

    # ---- definitions and what steps wait for

    def workflow(self, value: Any) -> Any:
        """A definition: as good as before, and its expressions look up the same things."""
        return Disguise(self.stand_ins, self._kept).workflow(value)

    def result(self, value: Any) -> Any:
        """What a container asked for instead of outputs."""
        return self._fields(value, _RESULT, {}) if isinstance(value, dict) else self.value(value)

    def left_out(self, value: Any) -> Any:
        """A schema that answers must fit: nothing is decided by it when a record is replayed."""
        return {} if isinstance(value, dict) else self.value(value)


TREATED: Final[dict[str, Treatment]] = {
    "workflow": Confidential.workflow,
    "inputs": Confidential.inputs,
    "outputs": Confidential.outputs,
    "reused": Confidential.reused,
    "loops": Confidential.loops,
    "labels": Confidential.labels,
    "error": Confidential.error,
    "image": Confidential.image,
    "digest": Confidential.digest,
    "cache_key": Confidential.digest,
    "facts": Confidential.facts,
    "function": Confidential.called,
    "functions": Confidential.functions,
    "reason": Confidential.words,
    "result": Confidential.result,
    "schema": Confidential.left_out,
    "concurrency": Confidential.claim,
    "claim": Confidential.claim,
    "key": Confidential.value,
}
KINDS: Final = frozenset(STRUCTURE) | {
    "step.admitted", "step.resumed", "step.failed", "step.cancelled", "machine.draining", "machine.drained",
    "machine.removed", "machine.disconnected", "attempt.accepted", "image.pulling",
    "container.starting",
}  # fmt: skip
_IN_FACTS: Final[dict[str, Treatment]] = {"gpus": Confidential.gpus}
_IN_ERRORS: Final[dict[str, Treatment]] = {
    "remedy": Confidential.remedy,
    "details": Confidential.details,
    "cause": Confidential.error,
}


@cache
def _own_sentences() -> frozenset[str]:
    """Remedies and messages of the error classes that say nothing of a value."""
    kinds = by_code().values()
    plain = (kind._default({}) for kind in kinds)
    return frozenset({"", *(kind.remedy for kind in kinds), *(text for text in plain if "{" not in text)})
