"""A scheduler that leads nobody: it follows the log, decides silently, and tells where the leader decides otherwise.

It writes nothing: it does not stand for election, beats for nobody, takes no command and makes no stream. Reading is in
order from the first event, as for every scheduler; the comparison is in ``muster.model.proof.shadow``. Three things
are left to this shell:

- *What is owed.* A leader that decides nothing leaves no trace. So where no decision came for ``patience_s``, the
  shadow asks itself what should have been decided that long ago, from what it had read by then, on the leader's own
  clock as its beats tell it. A leader that does not beat, or has not for as long without a gap, is not judged: it is
  down or was asleep, which is said instead.
- *What is gone.* Before anything is reported, the marks of clearing and archiving are looked for. What lies in the span
  of an erased execution is in doubt; where the shadow read one that was erased meanwhile, it reads the log again.
- *Its own sleep.* After a lapse no silence before it counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from muster.broker.interface import Broker
from muster.clock import Clock
from muster.model.errors import BrokerError
from muster.model.log.envelope import Basis, Recorded
from muster.model.log.erasure import Span
from muster.model.log.names import SCHEDULER
from muster.model.proof.replay import Difference, Key, key
from muster.model.proof.shadow import Comparison, Disagreement
from muster.release import RELEASE
from muster.scheduler.demand import Demand
from muster.scheduler.erasures import Erasures
from muster.scheduler.options import SchedulerOptions, ShadowOptions
from muster.scheduler.pulse import Pulse
from muster.scheduler.report import Kind, Notice, Standing
from muster.scheduler.wakefulness import Wakefulness


class Shadow:
    """One shadow. ``tell`` is called with what there is to say, in order.

    Rounds that rest on what stands below ``start`` are not compared. ``lasts_s`` is how long to go on once everything
    that stood in the log at the beginning is read; None is until ``run`` is asked to stop.
    """

    def __init__(
        self,
        broker: Broker,
        options: ShadowOptions,
        clock: Clock,
        tell: Callable[[Disagreement | Notice], None],
        *,
        start: int = 0,
        lasts_s: float | None = None,
    ) -> None:
        self._broker = broker
        self._options = options
        self._clock = clock
        self._tell = tell
        self._start = start
        self._lasts_s = lasts_s
        self._comparison = Comparison(start)
        self._erasures = Erasures(broker.log)
        now_s = clock.seconds()
        self._pulse = Pulse(options.silent_s, now_s)
        self._demand = Demand(options, now_s)
        awake = SchedulerOptions(tick_s=options.tick_s, asleep_s=options.asleep_s)
        self._awake = Wakefulness(broker, awake, clock, self._lapsed)
        self._caught_up, self._broken, self._anew = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._target = self._end = 0
        self._rested_s = self._ticked_s = now_s
        self._lacking: dict[Key, float] = {}
        self._told: set[str] = set()
        self._torn_at = (0, 0)
        self._weighing: list[tuple[Disagreement, bool]] = []
        self._led = 0
        self._silent = self._over = False
        self._unanswered_s = 0.0
        self._counted = (0, 0, 0)
        self._disagreements = self._repeated = 0

    @property
    def standing(self) -> Standing:
        """Where it is now."""
        comparison = self._comparison
        rounds, decisions, doubtful = self._counts()
        _, elected = comparison.elected or (0, None)
        return Standing(
            version=RELEASE,
            leader=elected.scheduler if elected is not None else "",
            software=elected.software if elected is not None else "",
            sequence=comparison.sequence,
            end=max(self._end, comparison.sequence),
            caught_up=self._caught_up.is_set(),
            rounds=rounds,
            decisions=decisions,
            doubtful=doubtful,
            disagreements=self._disagreements,
            repeated=self._repeated,
            unanswered_s=round(self._unanswered_s, 1),
        )

    def _counts(self) -> tuple[int, int, int]:
        now, (rounds, decisions, doubtful) = self._comparison, self._counted
        return rounds + now.rounds, decisions + now.decisions, doubtful + now.doubtful

    async def run(self, stop: asyncio.Event) -> Standing:
        """Compare until ``stop`` is set, the time is over, or the log cannot be folded. Raises BrokerError."""
        self._target = self._end = (await self._broker.log.position()).last
        async with asyncio.TaskGroup() as tasks:
            works = (self._hear, self._awake.keep, self._read, self._watch)
            beside = [tasks.create_task(work()) for work in works]
            waits = (stop.wait(), self._broken.wait(), self._lasted())
            over = [tasks.create_task(wait) for wait in waits]
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            for task in (*beside, *over):
                task.cancel()
        await self._conclude()
        return self.standing

    async def _conclude(self) -> None:
        """Weigh what was being weighed when the end came, and the newest round."""
        self._over = True
        left, self._weighing = self._weighing, []
        for found, counted in left:
            await self._weigh(found, counted=counted)
        if not self._broken.is_set():
            await self._weigh(self._comparison.look())

    async def _lasted(self) -> None:
        if self._lasts_s is None:
            await asyncio.Event().wait()
        await self._caught_up.wait()
        await asyncio.sleep(self._lasts_s or 0.0)

    # ---- reading

    async def _read(self) -> None:
        """Follow the log, from its beginning again wherever it was erased under the reader."""
        while not self._broken.is_set():
            self._comparison.erased.add(await self._marks())
            reading = asyncio.create_task(self._follow())
            torn = asyncio.create_task(self._anew.wait())
            try:
                await asyncio.wait({reading, torn}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    reading.result()
            finally:
                reading.cancel()
                torn.cancel()
                await asyncio.gather(reading, torn, return_exceptions=True)
            if self._anew.is_set():
                self._anew.clear()
                await asyncio.sleep(self._options.settle_s)
                self._counted = self._counts()
                self._comparison = Comparison(self._start)
                self._demand.restart(self._clock.seconds())

    async def _follow(self) -> None:
        self._reach()
        async with aclosing(self._broker.log.follow(1)) as batches:
            async for batch in batches:
                self._demand.arrive(batch, self._clock.seconds())
                for recorded in batch:
                    await self._take(recorded)
                    if self._anew.is_set() or self._broken.is_set():
                        return
                self._reach()
                await asyncio.sleep(0)

    async def _take(self, recorded: Recorded) -> None:
        try:
            found = self._comparison.take(recorded)
        except Exception as error:  # whatever it is, this version could not lead over this event
            await self._weigh(_unreadable(recorded, error))
            if not self._anew.is_set():
                self._broken.set()
            return
        if self._lacking and (missed_s := self._lacking.pop(key(recorded.event), None)) is not None:
            late_s = self._clock.seconds() - missed_s
            what = f"{recorded.event.kind} of {recorded.event.execution}"
            self._say("late", f"{what} is decided after all, {late_s:.1f} s after it was missed")
        await self._weigh(found, counted=True)

    def _reach(self) -> None:
        """What there is to say about where the reading is."""
        comparison = self._comparison
        led, elected = comparison.elected or (0, None)
        who = f"{elected.scheduler} ({elected.software})" if elected is not None else "nobody"
        if comparison.sequence >= self._target and not self._caught_up.is_set():
            self._caught_up.set()
            self._led = led
            rounds = self._counts()[0]
            self._say("caught_up", f"read up to {comparison.sequence}: {rounds} rounds compared; {who} leads")
        if self._caught_up.is_set() and elected is not None and led > self._led:
            self._led = led
            self._say("leads", f"{who} leads, term {elected.term}")

    # ---- the leader

    async def _hear(self) -> None:
        async for beat in self._broker.heartbeats.listen():
            if beat.name == SCHEDULER:
                self._pulse.hear(beat, self._clock.seconds())

    def _lapsed(self, now_s: float) -> None:
        self._pulse.restart(now_s)
        self._demand.restart(now_s)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._options.tick_s)
            self._awake.look()
            if self._caught_up.is_set() and not self._anew.is_set():
                await self._tick(self._clock.seconds())

    async def _tick(self, now_s: float) -> None:
        try:
            self._end = (await self._broker.log.position()).last
        except BrokerError:
            return
        self._demand.reach(self._end, self._comparison.sequence, now_s)
        leader, _ = self._comparison.elected or (0, None)
        clock = self._pulse.time(leader, now_s)
        self._listen(now_s, answers=clock is not None)
        if now_s < self._rested_s:
            return
        if self._demand.quiet:
            await self._weigh(self._comparison.look())
        if self._anew.is_set():
            return
        if clock is not None and (due := self._demand.due(clock, self._pulse.since_s)) is not None:
            found, timer = self._comparison.owed(*due)
            self._demand.settle(due[0], timer)
            await self._claim(found)
        self._rested_s = now_s + (self._clock.seconds() - now_s) * (1 + self._options.rest)

    def _listen(self, now_s: float, *, answers: bool) -> None:
        """Say when the leader does not answer any more, and when one does again."""
        leader, passed_s = self.standing.leader, now_s - self._ticked_s
        self._ticked_s = now_s
        if answers:
            if self._silent:
                self._say("answers", f"{leader} answers again")
            self._silent = False
        elif self._silent:
            self._unanswered_s += passed_s
        elif now_s - self._pulse.heard_s > self._options.silent_s:
            self._silent = True
            self._unanswered_s += now_s - self._pulse.heard_s
            who = f"{leader} does not answer" if leader else "no scheduler answers"
            self._say("silent", f"{who}: what is not decided until one leads is no disagreement")

    # ---- reporting

    def _say(self, kind: Kind, text: str) -> None:
        self._tell(Notice(kind=kind, sequence=self._comparison.sequence, text=text))

    async def _marks(self) -> list[Span]:
        while True:
            try:
                return await self._erasures.look()
            except BrokerError:
                if self._over:
                    return self._erasures.found
                await asyncio.sleep(self._options.tick_s)

    async def _weigh(self, found: Disagreement | None, *, counted: bool = False) -> None:
        """Report it, if it can be trusted. ``counted``: as a round that was compared."""
        if found is None:
            return
        self._weighing.append((found, counted))
        marks = await self._marks()
        self._weighing.remove((found, counted))
        comparison, difference = self._comparison, found.difference
        comparison.erased.add(marks)
        if comparison.erased.between(difference.basis.sequence + 1, difference.sequence):
            comparison.rounds -= counted
            comparison.doubtful += counted
        elif comparison.torn and self._reads_again(difference.basis.sequence):
            self._say("again", "executions were erased while they were read: the log is read again")
            self._anew.set()
        elif found.kind == "owed" or str(difference.basis) not in self._told:
            self._told.add(str(difference.basis))
            self._report(found)

    def _reads_again(self, start: int) -> bool:
        at, times = self._torn_at
        sequence = self._comparison.sequence
        self._torn_at = (sequence, times + 1 if at == sequence else 1)
        self._start = max(self._start, start)
        return self._torn_at[1] <= self._options.again_max

    async def _claim(self, found: list[Disagreement]) -> None:
        """Report what is owed: of each execution the first, since the rest follows from it."""
        fresh = [each for each in found if each.key not in self._lacking]
        first = {each.key[1] if each.key else "": each for each in reversed(fresh)}
        for each in reversed(first.values()):
            await self._weigh(each)
        for each in fresh if not self._anew.is_set() else []:
            if each.key is not None:
                self._lacking.setdefault(each.key, self._clock.seconds())

    def _report(self, found: Disagreement) -> None:
        lacks = found.key
        if lacks is not None and lacks in self._lacking:
            self._repeated += 1
            return
        if lacks is not None:
            self._lacking[lacks] = self._clock.seconds()
        self._disagreements += 1
        self._tell(found)


def _unreadable(recorded: Recorded, error: Exception) -> Disagreement:
    """This version cannot even fold the event."""
    event = recorded.event
    basis = Basis(recorded.sequence, event.time, 0)
    difference = Difference(sequence=recorded.sequence, basis=basis, then=event, now=None, grounds={})
    return Disagreement(kind="failed", difference=difference, error=f"{type(error).__name__}: {error}")
