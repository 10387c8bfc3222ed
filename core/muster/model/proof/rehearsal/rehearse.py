"""What if: a record played again as it was, and under other rules.

The same player plays both, so that what differs is what the rules make of it. Whether the player can be believed shows
in the first: it should give what is recorded, but for the time a real scheduler and its messages take. Where it does
not, that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from muster.model.errors import FixtureInvalidError
from muster.model.log import catalogue as c
from muster.model.log.envelope import Recorded
from muster.model.log.names import SCHEDULER
from muster.model.plan.outline import paths
from muster.model.policy import Policy
from muster.model.proof.rehearsal.assumptions import Assumption, Assumptions
from muster.model.proof.rehearsal.changes import Changes
from muster.model.proof.rehearsal.leadership import Leadership
from muster.model.proof.rehearsal.performance import Assume, Performance
from muster.model.proof.rehearsal.reading import read
from muster.model.proof.rehearsal.results import Change, ExecutionResult, changes, drift_s, results, span_s
from muster.model.proof.rehearsal.script import Script
from muster.model.proof.rehearsal.stage import ROUNDS_MAX, Stage

_WITHOUT_EFFECT: Final = ("resend_after_s", "ended_kept", "steps_max")


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """One execution: as recorded, as played again unchanged, and as it would have been."""

    id: str
    recorded: ExecutionResult
    unchanged: ExecutionResult
    changed: ExecutionResult
    deviations: list[Change]
    differences: list[Change]


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``drift_s``: how much the player's times differ from the recorded ones where nothing is changed.

    ``then_s`` and ``now_s`` are the makespans of all executions together; None where one did not end.
    """

    executions: list[Rehearsed]
    assumed: list[Assumption]
    drift_s: float
    then_s: float | None
    now_s: float | None

    @property
    def faithful(self) -> bool:
        """Whether the player gives what is recorded where nothing is changed, but for times."""
        return not any(execution.deviations for execution in self.executions)

    @property
    def same(self) -> bool:
        """Whether the other rules change nothing."""
        return not any(execution.differences for execution in self.executions)


def rehearse(
    records: Sequence[Recorded],
    rules: Changes,
    assume: Assume = "repeat",
    *,
    name: str = "the record",
    rounds_max: int = ROUNDS_MAX,
    strict: bool = True,
) -> Rehearsal:
    """Play the records under ``rules``; ``name`` is what errors call them.

    Where not ``strict``, rules may name steps and machines that the records do not hold (see ``check``).

    Raises FixtureInvalidError where they hold no execution, InvalidArgumentError where the rules name what they do not
    hold.
    """
    script = read(records)
    if not script.known:
        raise FixtureInvalidError(
            f"{name}: the fixture holds no execution.", remedy="Record one from its beginning."
        )
    if strict:
        rules.check(script.steps(), script.machines, name)
    performance = Performance(script, assume)
    leadership = Leadership(script.gaps)
    unchanged = Stage(script, performance, Changes(), leadership)
    unchanged.play(rounds_max)
    changed = Stage(script, performance, rules, Leadership(unled=leadership.unled))
    changed.play(rounds_max)
    recorded = results(each.event for each in records if each.event.writer == SCHEDULER)
    then, now = results(unchanged.events, unchanged.names), results(changed.events, changed.names)
    open_ = sum(result.outcome is None for result in recorded.values())
    blank = {id_: _blank(result) for id_, result in recorded.items()}
    then, now = blank | then, blank | now
    executions = [
        Rehearsed(
            id=id_,
            recorded=recorded[id_],
            unchanged=then[id_],
            changed=now[id_],
            deviations=_deviations(recorded[id_], then[id_]),
            differences=changes(then[id_], now[id_]),
        )
        for id_ in recorded
    ]
    return Rehearsal(
        executions=executions,
        assumed=[
            *Assumptions(_general(script, rules, open_, leadership.missing_s)).all(),
            *changed.assumed.all(),
        ],
        drift_s=max(drift_s(one.recorded, one.unchanged) for one in executions),
        then_s=span_s(then),
        now_s=span_s(now),
    )


def check(records: Iterable[Recorded], rules: Changes, name: str) -> None:
    """As ``rehearse`` does, of several records together: each name in the rules has to be in one of them."""
    steps: set[str] = set()
    machines: set[str] = set()
    for recorded in records:
        data = recorded.event.data
        if isinstance(data, c.ExecutionQueued):
            steps.update(paths(data.workflow))
        elif isinstance(data, c.MachineConnected):
            machines.add(recorded.event.writer)
    rules.check(steps, machines, name)


def _blank(result: ExecutionResult) -> ExecutionResult:
    """Of an execution that was not even queued before the play was ended."""
    return ExecutionResult(workflow=result.workflow, queued_at=result.queued_at)


def _deviations(recorded: ExecutionResult, played: ExecutionResult) -> list[Change]:
    """Where the record ends before the execution, what it lacks is no deviation."""
    found = changes(recorded, played, times=False)
    if recorded.outcome is not None:
        return found
    return [change for change in found if change.then is not None and change.what.endswith("outcome")]


# ---- what is assumed of every play


def _general(script: Script, rules: Changes, open_: int, missing_s: float) -> Iterator[str]:
    yield "what people asked for, and machines that came, went or fell silent, come at their recorded times"
    yield "the scheduler reacts at once; what held it up is part of how long attempts took"
    if script.asking.answers:
        yield "input that a step waits for is given as long after it was asked for as it was then"
    if script.policy is None:
        yield "the record does not say under which policy it was made: the defaults"
    if script.gaps:
        yield f"nobody led for {missing_s:.3g} s, as recorded; all the rest of the time a scheduler leads"
    if script.foreign:
        yield f"attempts of executions that the record does not hold ({script.foreign}) take room as recorded"
    if script.crowded:
        yield f"others that came first under a key are not in the record: {len(script.crowded)} do not wait for them"
    if open_:
        yield f"how those go on that had not ended when the record ends ({open_}) is assumed"
    for machine, by in sorted(script.skews.items()):
        ahead = by.total_seconds()
        yield f"the clock of {machine} was {'ahead' if ahead > 0 else 'behind'} by {abs(ahead):.1f} s"
    for name in _WITHOUT_EFFECT:
        if name in rules.policy:
            yield f"{name} makes no difference here: what is sent arrives, and what was accepted stays accepted"
    yield from _silent(script, rules)
    yield from _heartbeats(script, rules)
    yield from _room(script, rules)


def _heartbeats(script: Script, rules: Changes) -> Iterator[str]:
    before = script.policy or Policy()
    after = rules.limits(before)
    for name, machine in sorted(script.machines.items()):
        if rules.absent(name):
            continue
        then_s = machine.interval_s * before.beats_missed_max + before.beat_slack_s
        now_s = rules.interval_s(name, machine.interval_s) * after.beats_missed_max + after.beat_slack_s
        if now_s < then_s:
            yield (
                f"{name} was silent for longer than {now_s:g} s only where the record says so: silences shorter than "
                f"{then_s:g} s left no trace"
            )
            count = sum(restarted == name for restarted, _ in script.restarts)
            if count:
                yield f"{name} was away for less than {now_s:g} s whenever its agent connected anew ({count} times)"


def _silent(script: Script, rules: Changes) -> Iterator[str]:
    for name, silences in sorted(script.silences.items()):
        if silences[-1].ended_at is None and not rules.absent(name):
            yield f"{name} is silent when the record ends, and stays so"


def _room(script: Script, rules: Changes) -> Iterator[str]:
    for name, machine in sorted(script.machines.items()):
        if rules.facts(name, machine.facts).slots > machine.facts.slots:
            yield f"attempts on {name} take as long beside more others"
    for name, like in rules.more().items():
        yield f"{name} is there from when {like} first connects, and stays"
