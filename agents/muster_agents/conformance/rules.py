"""The rules, each a check of its own, in the order in which they are tried. Their numbers are those of the docs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from muster.model.errors import OutputError
from muster.model.plan import results
from muster.model.plan.calls import PROTOCOL
from muster_agents.conformance.subject import Answer, BrokenError, Subject, UntriedError
from muster_agents.functions.loaded import CONCURRENCY_MAX
from muster_agents.functions.wire import notification

OTHER: Final = 999
"""A version of the protocol that nobody speaks."""
TOGETHER_MAX: Final = 16
"""So many calls at once are tried, however many it says it takes."""
GRACE_S: Final = 10.0
"""The grace time of a step that says nothing else."""
KILLED: Final = 137
"""The exit code of what did not end by itself."""
METHOD, OTHER_VERSION, CANCELLED = -32601, -32012, -32800

Rule = Callable[["Trial"], Awaitable[None]]


class Trial:
    """What the rules know of each other: the container, and what it said of itself."""

    def __init__(self, subject: Subject, inputs: Mapping[str, Any]) -> None:
        self.subject = subject
        self.inputs = inputs
        self.loaded: dict[str, Any] = {}
        self.calls: list[str] = []
        self._calls = itertools.count(1)
        self._pings = itertools.count(1)

    def new(self) -> str:
        """The id of a call that is still to come."""
        return f"check/call/{next(self._calls)}"

    async def call(self, inputs: Mapping[str, Any] | None = None) -> Answer:
        """A call, and its answer, which is one."""
        id_ = self.new()
        found = await self.subject.call(id_, self.inputs if inputs is None else inputs)
        self.calls.append(id_)
        _sound(found)
        return found

    async def ping(self) -> list[str]:
        """The calls that it says are under way: whatever was to be heard before it has been heard then."""
        found = await self.subject.ask(f"ping/{next(self._pings)}", "ping")
        if found.error is not None:
            raise BrokenError(f"ping was answered with an error: {found.error}")
        value = found.value
        calls = value.get("calls", []) if isinstance(value, dict) else None
        if not isinstance(calls, list) or not all(isinstance(one, str) for one in calls):
            raise BrokenError(f"ping was answered with {_shown(value)}, which has no list of calls")
        return calls


async def load(trial: Trial) -> None:
    """Load is answered with what the function is."""
    spec, limits = trial.subject.spec, {"message_bytes": trial.subject.message_bytes}
    params = {"protocol": PROTOCOL, "function": spec.function, "params": spec.params, "limits": limits}
    found = await trial.subject.ask("load", "load", params)
    if found.error is not None:
        raise BrokenError(f"load was answered with an error: {found.error}")
    value = found.value
    if not isinstance(value, dict) or value.get("protocol") != PROTOCOL:
        raise BrokenError(f"load was answered with {_shown(value)}, which does not say protocol {PROTOCOL}")
    concurrency = value.get("concurrency", 1)
    if type(concurrency) is not int or not 1 <= concurrency <= CONCURRENCY_MAX:
        raise BrokenError(f"its concurrency is {_shown(concurrency)}")
    if not isinstance(value.get("name", ""), str) or not isinstance(value.get("marks", False), bool):
        raise BrokenError(f"name or marks is of another type in {_shown(value)}")
    trial.loaded = value


async def ping(trial: Trial) -> None:
    """Ping is answered."""
    if calls := await trial.ping():
        raise BrokenError(f"it says that {calls[0]} is under way, and nothing was called")


async def torn_lines(trial: Trial) -> None:
    """Lines that are no JSON harm nobody."""
    for line in (b"\n", b'{"jsonrpc":"2.0","id":"torn\n', b"\n", b"no JSON at all\n"):
        await trial.subject.write(line)
    await trial.ping()


async def unknown_method(trial: Trial) -> None:
    """A request that it does not know is refused."""
    found = await trial.subject.ask("check/unknown", "muster/unknown", {})
    if found.error is None or found.error.code != METHOD:
        raise BrokenError(f"an unknown method was answered with {_told(found)}, not with {METHOD}")


async def unknown_notification(trial: Trial) -> None:
    """What asks for no answer gets none."""
    before = len(trial.subject.heard.stray)
    await trial.subject.notify("muster/unknown")
    for method in ("cancel", "release"):
        await trial.subject.notify(method, id="check/nothing/1")
    await trial.ping()
    if len(trial.subject.heard.stray) > before:
        raise BrokenError(f"it answered {trial.subject.heard.stray[before]}")


async def execute(trial: Trial) -> None:
    """A call is answered."""
    _expected(await trial.call())


async def again(trial: Trial) -> None:
    """A second call is answered by the same process."""
    _expected(await trial.call())


async def other_inputs(trial: Trial) -> None:
    """Inputs that do not fit are answered, too."""
    await trial.call({"muster check": [None, {}]})


async def together(trial: Trial) -> None:
    """As many at once as it says."""
    many = min(trial.loaded.get("concurrency", 1), TOGETHER_MAX)
    if many == 1:
        raise UntriedError("it takes one call at a time")
    subject = trial.subject
    answers = {id_: subject.expect(id_, call=True) for id_ in (trial.new() for _ in range(many))}
    await subject.write(b"".join(subject.order(id_, trial.inputs) for id_ in answers))
    for id_, answer in answers.items():
        _sound(await subject.answered(id_, answer))
        trial.calls.append(id_)


async def ordered_twice(trial: Trial) -> None:
    """The same call again is no other."""
    subject, id_ = trial.subject, trial.new()
    answer = subject.expect(id_, call=True, twice=True)
    await subject.write(subject.order(id_, trial.inputs) * 2)
    pinged = await trial.ping()
    under_way = not answer.done() or id_ in pinged
    _sound(await subject.answered(id_, answer))
    trial.calls.append(id_)
    await trial.ping()
    if subject.heard.answers[id_] == 1:
        return
    if under_way:
        raise BrokenError("it was answered twice")
    raise UntriedError("the call was over before the second order was read")


async def cancel(trial: Trial) -> None:
    """A call that is cancelled is answered once, and the next one is answered."""
    subject, id_ = trial.subject, trial.new()
    answer = subject.expect(id_, call=True)
    await subject.write(subject.order(id_, trial.inputs) + notification("cancel", id=id_))
    _sound(await subject.answered(id_, answer, GRACE_S))
    trial.calls.append(id_)
    _sound(await trial.call())


async def notifications(trial: Trial) -> None:
    """What it tells by itself is as it should be."""
    heard = trial.subject.heard
    if heard.odd:
        raise BrokenError(f"it told {heard.odd[0]}")
    if not heard.told:
        raise UntriedError("it told nothing by itself")


async def short_lines(trial: Trial) -> None:
    """No line is too long."""
    if trial.subject.heard.long:
        raise BrokenError(f"it said a line of {max(trial.subject.heard.long)} bytes")


async def marks(trial: Trial) -> None:
    """Who says that there are marks writes them."""
    if not trial.loaded.get("marks"):
        raise UntriedError("it does not say that it writes marks")
    for id_ in trial.calls:
        if not await trial.subject.marked(id_):
            raise BrokenError(f"the mark of {id_} did not come on stderr")


async def one_answer(trial: Trial) -> None:
    """Nothing is answered that was not asked, nor twice."""
    heard = trial.subject.heard
    if heard.stray:
        raise BrokenError(f"nobody asked for {heard.stray[0]}")
    if repeated := heard.repeated():
        raise BrokenError(f"it answered {repeated[0]} more than once")


async def shutdown(trial: Trial) -> None:
    """It ends when it is asked to."""
    found = await trial.subject.ask("shutdown", "shutdown")
    if found.error is not None or found.value is not None:
        raise BrokenError(f"shutdown was answered with {_told(found)}, not with null")
    exited = await trial.subject.ended(GRACE_S)
    if exited is None:
        raise BrokenError(f"its process goes on {GRACE_S:g} s after it had answered")
    if exited.exit_code != 0:
        raise BrokenError(f"its process ended with exit code {exited.exit_code}")


async def other_version(trial: Trial) -> None:
    """A version that it does not speak is refused."""
    params: dict[str, Any] = {
        "protocol": OTHER,
        "function": trial.subject.spec.function,
        "params": {},
        "limits": {},
    }
    found = await trial.subject.ask("load", "load", params)
    if found.error is None or found.error.code != OTHER_VERSION:
        raise BrokenError(f"protocol {OTHER} was answered with {_told(found)}, not with {OTHER_VERSION}")
    data = found.error.data
    supported = data.get("supported") if isinstance(data, dict) else None
    if not isinstance(supported, list) or PROTOCOL not in supported:
        raise BrokenError(f"the data of its error are {_shown(data)}: supported does not hold {PROTOCOL}")


async def terminated(trial: Trial) -> None:
    """SIGTERM ends it."""
    if trial.subject.exit is not None:
        raise UntriedError("it had ended before")
    began = time.monotonic()
    await trial.subject.serving.stop(GRACE_S)
    took = time.monotonic() - began
    exited = await trial.subject.ended(1.0)
    if took >= GRACE_S or (exited is not None and exited.exit_code == KILLED):
        raise BrokenError(f"it did not end within {GRACE_S:g} s and was killed")


FIRST: Final[dict[int, Rule]] = {
    1: load, 3: ping, 4: torn_lines, 5: unknown_method, 6: unknown_notification, 7: execute, 8: again,
    9: other_inputs, 10: together, 11: ordered_twice, 12: cancel, 13: notifications, 14: short_lines, 15: marks,
    16: one_answer, 17: shutdown,
}  # fmt: skip
"""Tried on one container, in this order: without the first the others mean nothing."""
CALLING: Final = frozenset({8, 9, 10, 11, 12})
"""Those that mean nothing where not even one call is answered (7)."""
SECOND: Final[dict[int, Rule]] = {2: other_version, 18: terminated}
"""Tried on another one."""


def title(number: int) -> str:
    """What the rule is about."""
    text = ((FIRST | SECOND)[number].__doc__ or "").strip()
    return text.removesuffix(".")


def _sound(found: Answer) -> None:
    """Raise BrokenError where a call was not answered as one may be."""
    if found.document is None:
        return
    value = found.value
    if not isinstance(value, dict) or not value.keys() & {"$returned", results.KEY}:
        raise BrokenError(
            f"a call was answered with {_shown(value)}, which has neither $returned nor $result"
        )
    try:
        results.read(found.document)
    except OutputError as error:
        why = error.message.rpartition("cannot be used: ")[2]
        raise BrokenError(f"a call was answered with {_shown(value)}: {why}") from None


def _expected(found: Answer) -> None:
    """With the inputs that are good for it, it can hardly be what does not fit."""
    if found.error is not None and found.error.code in (METHOD, CANCELLED):
        raise BrokenError(f"a call was answered with {_told(found)}")


def _told(found: Answer) -> str:
    return f"the error {found.error}" if found.error is not None else _shown(found.value)


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:200]
