"""Executions told by hand: a scheduler and an agent that say exactly what a test wants them to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from muster.broker.codec import decode_command
from muster.broker.memory import MemoryBroker
from muster.model.definition.workflow import Input, Output, Step, Workflow
from muster.model.errors import ErrorInfo, ExecutionError
from muster.model.log import catalogue, commands
from muster.model.log.catalogue import Body
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import SCHEDULER
from muster.model.log.transitions import Transition, transition

T0 = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)

HELLO = Workflow(
    name="hello",
    inputs={"name": Input(type="string"), "times": Input(type="integer", default=1)},
    steps=[
        Step(id="greet", image="busybox:1", command="echo hi", outputs={"text": Output()}),
        Step(id="count", image="busybox:1", needs=["greet"]),
    ],
    outputs={"text": "${{ steps.greet.outputs.text }}"},
)


class Story:
    """Makes events of one execution, each a tenth of a second after the last, with legal transitions."""

    def __init__(self, execution: str = "e1", workflow: Workflow = HELLO) -> None:
        self.execution = execution
        self.workflow = workflow
        self.status: str | None = None
        self.number = 0
        self.count = 0
        self.outbox = 0

    def _event(self, writer: str, data: Body, **more: Any) -> Event:
        self.count += 1
        time = T0 + timedelta(seconds=self.count / 10)
        return Event(
            id=f"{self.execution}-{self.count}",
            writer=writer,
            time=time,
            execution=self.execution,
            data=data,
            **more,
        )

    def decides(self, data: Body, step: str | None = None, **more: Any) -> Event:
        """The scheduler writes."""
        return self._event(SCHEDULER, data, step=step, **more)

    def reports(self, data: Body, step: str, attempt: int = 1, machine: str = "m1") -> Event:
        """An agent writes."""
        self.outbox += 1
        return self._event(machine, data, step=step, attempt=attempt, machine=machine, n=self.outbox)

    def moves(self, type_: str) -> Transition:
        """The next transition, checked against the table."""
        self.number += 1
        made = transition(self.number, type_, self.status)
        self.status = made.after
        return made

    def queued(self, inputs: dict[str, Any] | None = None, **more: Any) -> Event:
        given = {"name": "you", "times": 1} if inputs is None else inputs
        return self.decides(
            catalogue.ExecutionQueued(
                workflow=self.workflow, inputs=given, transition=self.moves("init"), **more
            )
        )

    def started(self) -> Event:
        return self.decides(catalogue.ExecutionStarted(transition=self.moves("start")))

    def begins(self, step: str, attempt: int = 1, machine: str = "m1") -> list[Event]:
        """The step is scheduled, goes through its phases and runs."""
        first = attempt == 1
        told = [
            self.decides(catalogue.StepScheduled(machine=machine, session=1), step, attempt=attempt),
            *(
                self.reports(body, step, attempt, machine)
                for body in (
                    catalogue.AttemptAccepted(),
                    catalogue.ImagePulling(image="busybox:1"),
                    catalogue.ImagePulled(image="busybox:1", cached=True),
                    catalogue.ContainerStarting(image="busybox:1"),
                    catalogue.AttemptStarted(),
                )
            ),
        ]
        if first:
            told.append(
                self.decides(catalogue.StepStarted(machine=machine, transition=self.moves("step")), step)
            )
        return told

    def ends(self, step: str, attempt: int = 1, **outputs: Any) -> list[Event]:
        """The attempt finishes and the step succeeds."""
        return [
            self.reports(catalogue.AttemptFinished(outputs=outputs, seconds={"run": 0.2}), step, attempt),
            self.decides(catalogue.StepSucceeded(outputs=outputs), step),
        ]

    def succeeded(self, **outputs: Any) -> Event:
        return self.decides(catalogue.ExecutionSucceeded(outputs=outputs, transition=self.moves("finish")))

    def failed(self, step: str) -> list[Event]:
        """The step fails for good and the execution with it."""
        error = self.error(step)
        return [
            self.reports(catalogue.AttemptFailed(error=error, phase="run"), step),
            self.decides(catalogue.StepFailed(error=error), step),
            self.decides(catalogue.ExecutionEnding(outcome="failed", error=error)),
            self.decides(catalogue.StepSkipped(reason="ending"), "count"),
            self.decides(catalogue.ExecutionFailed(error=error, transition=self.moves("error"))),
        ]

    def error(self, step: str) -> ErrorInfo:
        return ExecutionError("it exited with code 3").info(phase="run", step=step, machine="m1", attempt=1)

    def cancelled(self, reason: str = "") -> list[Event]:
        return [
            self.decides(catalogue.ExecutionEnding(outcome="cancelled", reason=reason)),
            self.decides(catalogue.ExecutionCancelled(transition=self.moves("cancel"), reason=reason)),
        ]

    def whole(self) -> list[Event]:
        """A run that went well."""
        return [
            self.queued(),
            self.started(),
            *self.begins("greet"),
            *self.ends("greet", text="hi"),
            *self.begins("count"),
            *self.ends("count"),
            self.succeeded(text="hi"),
        ]


def recorded(events: list[Event], start: int = 1) -> list[Recorded]:
    """The events at their places in the log."""
    return [Recorded(start + index, event) for index, event in enumerate(events)]


class FakeScheduler:
    """Receives commands like a scheduler and appends what ``play`` makes of them."""

    def __init__(self, broker: MemoryBroker, play: Callable[[commands.Command], list[Event]]) -> None:
        self._broker = broker
        self._play = play
        self.received: list[commands.Command] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._broker.prepare()
        await self._broker.commands.open(SCHEDULER)
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        async with aclosing(self._broker.commands.receive(SCHEDULER)) as batches:
            async for batch in batches:
                for delivery in batch:
                    command = decode_command(delivery.verb, delivery.payload)
                    self.received.append(command)
                    if events := self._play(command):
                        await self._broker.log.append(events)
                    await delivery.done()
