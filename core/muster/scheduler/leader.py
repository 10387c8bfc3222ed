"""Leading: rounds of decisions, appended under the fence of our election, and the commands that follow from
them.

A round takes what has come (facts are folded already, commands wait in a bounded queue, beats have been
heard), decides, and hands its events to the log; several rounds may be under way. They are settled in order:
only when a round's events are acknowledged are its commands sent and the commands that caused it
acknowledged. If a round is refused, or its outcome is unknown, this leader stops leading at once; what it
decided and the log does not have is written again if it is elected again, and forgotten if another is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from muster import fault
from muster.broker.interface import Appended, Broker, Fence, Outcome
from muster.clock import Clock
from muster.model.engine.admission import admit, refuse
from muster.model.engine.decide import decide, next_due
from muster.model.engine.implied import implied, resend_before
from muster.model.engine.round import Round
from muster.model.engine.state import CLEARED
from muster.model.engine.watch import Watch, judge
from muster.model.log import subjects
from muster.model.log.catalogue import MachineOnline
from muster.model.log.commands import Clear, Heartbeat
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER
from muster.model.schedules import calendar
from muster.scheduler.archiving import Archiving
from muster.scheduler.clearing import Clearing
from muster.scheduler.follower import Follower
from muster.scheduler.options import SchedulerOptions
from muster.scheduler.outbound import Outbound
from muster.scheduler.proposals import Proposal, Proposals
from muster.scheduler.reception import Reception, Waiting

log = logging.getLogger("muster.scheduler")


class StoodDownError(Exception):
    """This scheduler does not lead any more."""


class InFlight(msgspec.Struct):
    """A round that is being appended."""

    round: Round
    taken: list[Waiting]
    proposals: list[Proposal]
    outcomes: asyncio.Task[list[Outcome]] | None


class Leader:
    """One term of leading."""

    def __init__(
        self,
        broker: Broker,
        follower: Follower,
        watch: Watch,
        options: SchedulerOptions,
        clock: Clock,
        sequence: int,
        woken: asyncio.Event,
        look: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._follower = follower
        self._watch = watch
        self._options = options
        self._clock = clock
        self._fence = Fence(subjects.LEADER, sequence)
        self._resets = follower.resets
        self._woken = woken
        self._look = look
        self._in_flight: asyncio.Queue[InFlight | None] = asyncio.Queue(options.rounds_in_flight)
        self._appends: set[asyncio.Task[list[Outcome]]] = set()
        turn = asyncio.Lock()
        self._proposals = Proposals(woken.set)
        self._clearing = Clearing(broker, follower, self._proposals, turn)
        self._archiving = Archiving(broker, follower, options, clock, self._proposals, turn)
        self._reception = Reception(
            broker, follower, options.commands_waiting, woken.set, self._archiving.ask
        )
        self._reconnects = broker.reconnects
        self._tick_s = 0.0
        self._sweep_s = clock.seconds() + options.sweep_s

    async def lead(self, stop: asyncio.Event) -> None:
        """Lead until ``stop`` is set (then drain and say goodbye) or until this scheduler is replaced.

        Raises an ExceptionGroup with a StoodDownError in the latter case.
        """
        await self._finish_outstanding()
        self._follower.arrivals.update(self._follower.state.machines)
        for schedule in self._follower.state.schedules.by_name.values():
            await asyncio.to_thread(calendar.prepare, schedule.schedule.timezone)
        try:
            await self._work(stop)
        finally:
            if self._appends:
                await asyncio.wait(self._appends)
            await self._reception.give_back()
        await self._broker.heartbeats.beat(self._heartbeat(0, leaving=True))

    async def _work(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            outbound = Outbound(self._broker, self._options, tasks)
            reception = self._reception
            beside = [
                tasks.create_task(reception.receive()),
                tasks.create_task(self._beat()),
                tasks.create_task(self._clearing.run(reception.done)),
                tasks.create_task(self._archiving.run(reception.done)),
            ]
            settling = tasks.create_task(self._settle(outbound))
            await self._rounds(stop, outbound)
            await self._in_flight.put(None)
            await settling
            await outbound.flush()
            for task in beside:
                task.cancel()

    async def _finish_outstanding(self) -> None:
        """Write what an earlier term of ours decided and the log does not have."""
        missing = list(self._follower.outstanding)
        if missing:
            log.info("writing %d decisions again that were under way", len(missing))
            self._check(missing, await self._write(missing))

    # ---- beats

    async def _beat(self) -> None:
        number = 0
        while True:
            number += 1
            await fault.point("scheduler.beat.before")
            await self._broker.heartbeats.beat(self._heartbeat(number))
            await fault.point("scheduler.beat.after")
            await asyncio.sleep(self._options.beat_interval_s)

    def _heartbeat(self, number: int, *, leaving: bool = False) -> Heartbeat:
        return Heartbeat(
            name=SCHEDULER,
            sequence=number,
            session=self._fence.sequence,
            interval_s=self._options.beat_interval_s,
            time=self._clock.now(),
            leaving=leaving,
        )

    # ---- rounds

    async def _rounds(self, stop: asyncio.Event, outbound: Outbound) -> None:
        while not stop.is_set():
            self._woken.clear()
            await self._round(outbound)
            await self._sleep()

    async def _sleep(self) -> None:
        due = next_due(self._follower.state)
        wait_s = self._options.tick_s
        if due is not None:
            wait_s = min(wait_s, max(0.0, (due - self._clock.now()).total_seconds()))
        if not self._woken.is_set():
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _round(self, outbound: Outbound) -> None:
        state = self._follower.state
        if self._follower.resets != self._resets or state.leader_sequence != self._fence.sequence:
            raise StoodDownError("another scheduler was elected, or the log holds what was not decided here")
        round_ = Round(state, self._clock.now())
        taken, proposals = self._admit(round_), self._proposals.take()
        self._propose(round_, proposals)
        self._judge(round_)
        decide(state, round_.now, round_)
        if round_.events or taken or round_.stops:
            self._follower.decided(round_.events)
            await self._in_flight.put(InFlight(round_, taken, proposals, self._append(round_.events)))
        self._clearing.wake()
        await self._renew()
        await self._greet(outbound)
        await self._sweep(outbound)

    def _append(self, events: Sequence[Event]) -> asyncio.Task[list[Outcome]] | None:
        if not events:
            return None
        task = asyncio.create_task(self._write(events), name="append")
        self._appends.add(task)
        task.add_done_callback(self._appends.discard)
        return task

    async def _write(self, events: Sequence[Event]) -> list[Outcome]:
        await fault.point("scheduler.append.before")
        outcomes = await self._broker.log.append(events, self._fence)
        await fault.point("scheduler.append.after")
        return outcomes

    def _admit(self, round_: Round) -> list[Waiting]:
        taken = self._reception.take()
        for waiting in taken:
            if waiting.error is not None:
                refuse(round_, waiting.command, waiting.delivery.verb, waiting.error)
            else:
                found = (waiting.known, waiting.erased, waiting.past)
                admit(round_, waiting.delivery.verb, waiting.command, *found)
        return taken

    def _propose(self, round_: Round, proposals: Sequence[Proposal]) -> None:
        for proposal in proposals:
            if proposal.refused is not None:
                verb, command, error = proposal.refused
                refuse(round_, command, verb, error)
            elif proposal.body is not None:
                round_.write(
                    proposal.body, proposal.cause, execution=proposal.execution, event_id=proposal.event_id
                )

    def _judge(self, round_: Round) -> None:
        clock_s = self._clock.seconds()
        if clock_s >= self._tick_s:
            self._tick_s = clock_s + self._options.tick_s
            self._look()
            judge(round_, self._watch, clock_s)
            back = [event.machine for event in round_.events if isinstance(event.data, MachineOnline)]
            self._follower.arrivals.update(name for name in back if name)

    # ---- settling

    async def _settle(self, outbound: Outbound) -> None:
        while (flight := await self._in_flight.get()) is not None:
            if flight.outcomes is not None:
                self._check(flight.round.events, await asyncio.shield(flight.outcomes))
            await self._send(flight.round, outbound)
            for proposal in flight.proposals:
                if not proposal.written.done():
                    proposal.written.set_result(None)
            for waiting in flight.taken:
                command = waiting.command
                if isinstance(command, Clear) and self._cleared(waiting):
                    self._clearing.ask(command.execution, waiting.delivery)
                    continue
                await fault.point("scheduler.ack.before")
                await self._reception.done(waiting.delivery)
                await fault.point("scheduler.ack.after")

    def _cleared(self, waiting: Waiting) -> bool:
        """Whether the command is done only when the execution is erased."""
        execution = getattr(waiting.command, "execution", "")
        return CLEARED in {waiting.known, self._follower.state.ended.get(execution)}

    def _check(self, events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        for event, outcome in zip(events, outcomes, strict=True):
            if not isinstance(outcome, Appended):
                raise StoodDownError(f"{event.kind} of {event.execution} was not acknowledged: {outcome}")

    async def _send(self, round_: Round, outbound: Outbound) -> None:
        machines = self._follower.state.machines
        for name, refs in round_.stops.items():
            await outbound.stop(name, refs)
        for name, orders in round_.starts.items():
            if machine := machines.get(name):
                await outbound.start(name, machine.session, orders)

    # ---- what the state implies

    async def _renew(self) -> None:
        """What was on its way when the connection broke, to us or to a machine, is not waited for."""
        reconnects = self._broker.reconnects
        if reconnects != self._reconnects:
            await self._broker.commands.reopen(SCHEDULER)
            self._follower.arrivals.update(self._follower.state.machines)
            self._reconnects = reconnects

    async def _greet(self, outbound: Outbound) -> None:
        """A machine that has connected has a queue, and gets every command again that the state implies."""
        arrivals = self._follower.arrivals
        while arrivals:
            name = arrivals.pop()
            await self._broker.commands.open(name)
            await self._remind(outbound, name, None)

    async def _sweep(self, outbound: Outbound) -> None:
        if self._clock.seconds() < self._sweep_s:
            return
        self._sweep_s = self._clock.seconds() + self._options.sweep_s
        before = resend_before(self._follower.state, self._clock.now())
        for name in list(self._follower.state.machines):
            await self._remind(outbound, name, before)

    async def _remind(self, outbound: Outbound, name: str, before: datetime | None) -> None:
        machine = self._follower.state.machines.get(name)
        if machine is None:
            return
        found = implied(self._follower.state, machine, before)
        fresh = self._follower.unacknowledged()
        await outbound.stop(name, [ref for ref in found.stops if ref not in fresh])
        await outbound.start(
            name, machine.session, [order for order in found.starts if order.ref not in fresh]
        )
