"""The client: submits and cancels by command, and reads everything it answers from the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self, Unpack, cast

from muster.broker.interface import Broker
from muster.client.answer import Answer, addressed, holder
from muster.client.callbacks import Callbacks
from muster.client.definition import Definition, load_checks, workflow_of
from muster.client.events import Filter
from muster.client.files import Downloads, OnTransfer, Uploads
from muster.client.follower import ExecutionView, TransitionView
from muster.client.lines import read_lines
from muster.client.patience import ACCEPT_LIMIT_S, NO_SCHEDULER, erased, within
from muster.client.reach import check_start, folded, position
from muster.client.repetition import Repetition, check_ended
from muster.client.result import Result, result_of
from muster.client.schedules import Scheduling
from muster.client.steps import StepView
from muster.client.submission import Submission, id_of, values
from muster.client.watch import Listener, Watch
from muster.client.wishes import Wishes
from muster.identity import uuid7
from muster.model.definition.workflow import Workflow
from muster.model.errors import (
    BrokerError,
    ExecutionNotEndedError,
    ExecutionNotFoundError,
    MusterError,
    SourceNodeMissingError,
)
from muster.model.log.commands import Cancel, Clear, LogLine, Resume
from muster.model.log.envelope import Recorded
from muster.model.log.names import SCHEDULER, check_execution
from muster.settings import Settings, load

OnStep = Callable[[StepView], Awaitable[None] | None]
OnFinish = Callable[[Result], Awaitable[None] | None]


class Client(Scheduling, Downloads):
    """A connection to Muster. ``async with Client() as client: result = await client.run(workflow, inputs)``.

    ``url`` and ``settings`` say where the broker is; otherwise the environment does. A ``broker`` that is handed
    in is used and left open.
    """

    def __init__(
        self, url: str | None = None, *, settings: Settings | None = None, broker: Broker | None = None
    ) -> None:
        self._settings = settings or load(url=url)
        self._broker = broker
        self._owned = broker is None
        self._floor = 1

    async def connect(self) -> Self:
        """Connect to the broker. Raises BrokerError if none answers or Muster was never started on it."""
        if self._broker is None:
            from muster.broker.connect import connect

            self._broker = await connect(self._settings, name="muster-client")
        try:
            # What is submitted from here on stands above what is there now: its reader need not look below.
            self._floor = (await position(self._broker)).last + 1
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Disconnect."""
        broker, self._broker = self._broker, None
        if broker is not None and self._owned:
            await broker.close()

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def broker(self) -> Broker:
        """The broker of this client. Raises BrokerError before connect and after close."""
        if self._broker is None:
            raise BrokerError(
                "The client is not connected.", remedy="Use it in `async with Client() as client:`."
            )
        return self._broker

    # ---- starting

    async def submit(
        self,
        workflow: Definition,
        inputs: Mapping[str, Any] | None = None,
        **wishes: Unpack[Wishes],
    ) -> str:
        """Submit, and return the execution's id once ``execution.queued`` is in the log.

        A ``Path`` among the inputs is a file of this machine, which is sent first. Nothing is if the workflow or its
        inputs are not valid. Where the outcome is not known (BrokerError), the same call with the same ``execution`` or
        ``idempotency_key`` is safe: an execution is accepted once.
        """
        async with await self.launch(workflow, inputs, **wishes) as watch:
            return watch.view.id

    async def run(
        self,
        workflow: Definition,
        inputs: Mapping[str, Any] | None = None,
        *,
        on_step_update: OnStep | None = None,
        on_execution_finish: OnFinish | None = None,
        timeout: float | None = None,
        **wishes: Unpack[Wishes],
    ) -> Result:
        """Submit, follow to the end, and return the result. A failed execution is a result, not an exception.

        Raises ExecutionTimeoutError after ``timeout`` seconds; the execution goes on, and ``wait`` takes it up.
        The callbacks may be sync or async; they cannot hold up or fail the execution.
        """
        async with Callbacks() as callbacks:

            def listen(_: Recorded, step: StepView | None) -> None:
                if step is not None:
                    callbacks.call(cast("Any", on_step_update), step)

            async with await self.launch(workflow, inputs, listener=listen, **wishes) as watch:
                await within(timeout, watch.until_finished(), watch.view.id)
                result = result_of(watch.view)
            callbacks.call(cast("Any", on_execution_finish), result)
        return result

    async def launch(
        self,
        workflow: Definition,
        inputs: Mapping[str, Any] | None = None,
        *,
        listener: Listener | None = None,
        on_transfer: OnTransfer | None = None,
        **wishes: Unpack[Wishes],
    ) -> Watch:
        """As submit, for programs that draw the execution as it goes: returns the watch that saw it accepted.

        ``async with await client.launch(workflow) as watch: await watch.until_finished()``. ``watch.already``: it was
        accepted before, by another call. ``on_transfer`` hears how far the files among the inputs are.
        """
        await load_checks()
        if isinstance(workflow, Path):
            workflow = await asyncio.to_thread(workflow_of, workflow)
        definition = workflow_of(workflow)
        named, chosen = id_of(definition, wishes)
        uploads = await Uploads.of(inputs, named, self._settings.artifact_bytes_max, fresh=not chosen)
        submission = Submission.of(definition, uploads.inputs, named, wishes)
        await uploads.send(self.broker, on_transfer)
        try:
            return await self._accepted(submission, listener, fresh=not chosen)
        except MusterError as error:
            await uploads.discard(self.broker, error)
            raise

    async def _accepted(
        self, submission: Submission | Repetition, listener: Listener | None, *, fresh: bool
    ) -> Watch:
        """The watch that saw it accepted. ``fresh``: nobody can have used its id before."""
        watch = Watch(self.broker.history, submission.execution, self._floor if fresh else 1)
        watch.keep()
        await watch.__aenter__()
        try:
            await within(
                ACCEPT_LIMIT_S, submission.accept(self.broker, watch), submission.execution, NO_SCHEDULER
            )
        except BaseException:
            await watch.__aexit__()
            raise
        watch.attach(listener)  # only now: what stood under the id before may be another's
        return watch

    async def rerun(
        self,
        execution: str,
        *,
        from_step: str | None = None,
        only_failed: bool = False,
        inputs: Mapping[str, Any] | None = None,
        no_cache: bool = False,
        rerun_as: str | None = None,
    ) -> str:
        """Run an ended execution again, and return the id of the new one once it is accepted.

        As a whole, where ``inputs`` replace those of the same name; or from a step on, or only what failed: then what
        the others gave is taken over. Raises ExecutionNotEndedError while it goes on, ExecutionNotFoundError for one
        that is unknown or was cleared, SourceNodeMissingError for a step that it does not have. ``rerun_as`` is the
        id of the new one: the same call with it is safe, where the outcome of a call is not known.
        """
        launched = self.relaunch(
            execution,
            from_step=from_step,
            only_failed=only_failed,
            inputs=inputs,
            no_cache=no_cache,
            rerun_as=rerun_as,
        )
        async with await launched as watch:
            return watch.view.id

    async def relaunch(
        self,
        execution: str,
        *,
        from_step: str | None = None,
        only_failed: bool = False,
        inputs: Mapping[str, Any] | None = None,
        no_cache: bool = False,
        rerun_as: str | None = None,
        listener: Listener | None = None,
    ) -> Watch:
        """As rerun, for programs that draw the execution as it goes; see launch."""
        check_ended(await self.state(execution))
        named = uuid7() if rerun_as is None else check_execution(rerun_as)
        uploads = await Uploads.of(inputs, named, self._settings.artifact_bytes_max, fresh=rerun_as is None)
        await uploads.send(self.broker)
        repetition = Repetition(
            execution=named,
            of=execution,
            from_step=from_step,
            only_failed=only_failed,
            inputs=values("inputs", uploads.inputs),
            no_cache=no_cache,
        )
        return await self._accepted(repetition, listener, fresh=rerun_as is None)

    # ---- ending

    async def cancel(self, execution: str, reason: str = "") -> str:
        """Cancel, and return once the log shows that the execution is being cancelled or has ended.

        One that has failed, and lets end what runs, is cancelled, too; again changes nothing. Returns the outcome:
        cancelled, or how the execution ended (or is ending well) where that was decided before.
        """
        view = await self.state(execution)
        if not (view.finished or view.ending in {"cancelled", "succeeded"}):
            command = Cancel(id=uuid7(), execution=execution, reason=reason)
            async with Watch(self.broker.history, execution, view.sequence + 1, view=view) as watch:
                await self.broker.commands.send(SCHEDULER, "cancel", command)
                await within(ACCEPT_LIMIT_S, watch.until_cancelled(command.id), execution, NO_SCHEDULER)
        return view.status if view.finished else view.ending

    async def resume(
        self,
        execution: str | None,
        input: Any = None,  # noqa: A002 - the word of the step that asks
        *,
        step: str | None = None,
        token: str | None = None,
    ) -> Answer:
        """Give a step the input it waits for, and return once the log shows that it has it.

        The step is the one named, the one of ``token`` (which also finds the execution), or the only one that waits.
        Its input is given once: where it has it, or does not wait any more, nothing changes and the answer says so.
        Raises InvalidArgumentError where the input is not what the step's schema asks for, or no step, or more than
        one, is meant.
        """
        if execution is None:
            execution = await holder(self.broker, token or "")
        view = await self.state(execution)
        asked = addressed(view, step, token)
        path, given = asked.path, False
        if asked.asks and not view.finished:
            command = Resume(id=uuid7(), execution=execution, input=input, step=path, token=asked.token)
            async with Watch(self.broker.history, execution, view.sequence + 1, view=view) as watch:
                await self.broker.commands.send(SCHEDULER, "resume", command)
                await within(ACCEPT_LIMIT_S, watch.until_resumed(command.id, path), execution, NO_SCHEDULER)
            given = view.steps[path].resumed_by == command.id
        return Answer(execution=execution, step=path, changed=given, status=view.status)

    async def clear(self, execution: str) -> None:
        """Erase a finished execution: its events but for one mark, and its logs. Views forget it too.

        Raises ExecutionNotEndedError while it goes on, ExecutionNotFoundError for an unknown id or one cleared before.
        """
        view = await self.state(execution)
        if not view.finished:
            raise ExecutionNotEndedError(execution=execution)
        command = Clear(id=uuid7(), execution=execution)
        async with Watch(self.broker.history, execution, view.sequence + 1, view=view) as watch:
            await self.broker.commands.send(SCHEDULER, "clear", command)
            await within(ACCEPT_LIMIT_S, watch.until_cleared(command.id), execution, NO_SCHEDULER)
        await within(ACCEPT_LIMIT_S, erased(self.broker, execution), execution, NO_SCHEDULER)

    async def wait(
        self, execution: str, *, block: bool = True, timeout: float | None = None
    ) -> Result | None:
        """The result; waits for it, or with ``block=False`` is None while the execution goes on.

        Raises ExecutionTimeoutError after ``timeout`` seconds.
        """
        view = await self.state(execution)
        if not view.finished and block:
            async with Watch(self.broker.history, execution, view.sequence + 1, view=view) as watch:
                await within(timeout, watch.until_finished(), execution)
        return result_of(view) if view.finished else None

    # ---- looking

    async def state(self, execution: str) -> ExecutionView:
        """Everything the log says about the execution now. Raises ExecutionNotFoundError for an unknown id."""
        return await folded(self.broker, execution)

    def follow(self, execution: str, view: ExecutionView | None = None) -> Watch:
        """A watch over the execution, for programs that draw it as it goes: ``async with client.follow(id) as w``."""
        start = 1 if view is None else view.sequence + 1
        return Watch(self.broker.history, check_execution(execution), start, view=view)

    async def progress(self, execution: str) -> tuple[int, int]:
        """``(finished, total)`` steps; failed and skipped ones count as finished."""
        return (await self.state(execution)).progress

    async def outputs(self, execution: str) -> dict[str, Any]:
        """The outputs of the workflow; empty until it has succeeded."""
        return (await self.state(execution)).outputs

    async def steps(self, execution: str) -> dict[str, StepView]:
        """Every step by its path."""
        return (await self.state(execution)).steps

    async def step(self, execution: str, path: str) -> StepView:
        """One step. Raises SourceNodeMissingError if the execution has no step of this path."""
        steps = await self.steps(execution)
        if path not in steps:
            raise SourceNodeMissingError(
                f"The execution {execution} has no step {path}.",
                remedy=f"It has: {', '.join(steps)}.",
                source=path,
            )
        return steps[path]

    async def transitions(self, execution: str) -> list[TransitionView]:
        """The changes of the execution's status, in order."""
        return (await self.state(execution)).transitions

    async def workflow(self, execution: str) -> Workflow:
        """The definition the execution was accepted with."""
        workflow = (await self.state(execution)).workflow
        if workflow is None:
            raise ExecutionNotFoundError(execution=execution)
        return workflow

    async def events(
        self,
        execution: str | None = None,
        *,
        machine: str | None = None,
        kind: str | None = None,
        follow: bool = False,
        from_sequence: int = 1,
    ) -> AsyncGenerator[Recorded, None]:
        """Events in log order, from a sequence on; with ``follow`` also those to come. Resume with the last + 1.

        Raises InvalidArgumentError where the log ends before that.
        """
        chosen = Filter(execution, machine, kind)
        if from_sequence > self._floor:
            await check_start(self.broker, from_sequence)
        log, matches = self.broker.history, chosen.matches
        reader = log.follow if follow else log.read
        async with aclosing(reader(from_sequence, subjects=chosen.subjects)) as batches:
            async for batch in batches:
                for recorded in batch:
                    if matches(recorded.event):
                        yield recorded

    async def logs(
        self, execution: str, step: str | None = None, *, attempt: int | None = None, follow: bool = False
    ) -> AsyncGenerator[tuple[str, int, LogLine], None]:
        """``(step, attempt, line)`` of what was printed; with ``follow`` to the execution's end."""
        view = await self.state(execution)
        ended: Callable[[], Awaitable[object]] | None = None
        if follow and not view.finished:

            async def ended() -> object:
                return await self.wait(execution)

        async with aclosing(read_lines(self.broker.lines, execution, step, attempt, ended)) as lines:
            async for item in lines:
                yield item
