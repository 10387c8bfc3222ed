"""The client for programs without an event loop: the same methods, each waiting for its answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack, cast

from muster.client.answer import Answer
from muster.client.client import Client, OnFinish, OnStep
from muster.client.definition import Definition
from muster.client.follower import ExecutionView, TransitionView
from muster.client.result import Result
from muster.client.schedules import ScheduleView
from muster.client.steps import StepView
from muster.client.wishes import Wishes
from muster.model.definition.workflow import Workflow
from muster.model.log.commands import LogLine
from muster.model.log.envelope import Recorded
from muster.settings import Settings

T = TypeVar("T")


class SyncClient:
    """As Client, for programs without a loop: ``with SyncClient() as client: client.run(workflow, inputs)``.

    The connection lives on a thread of its own. Several threads may share one client.
    """

    def __init__(self, url: str | None = None, *, settings: Settings | None = None) -> None:
        self._client = Client(url, settings=settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def connect(self) -> Self:
        """Start the thread and connect."""
        if self._loop is None:
            loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=loop.run_forever, name="muster-client", daemon=True
            )  # a daemon, so that a client nobody closed does not keep the process alive
            self._loop = loop
            self._thread.start()
        try:
            self._call(self._client.connect())
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Disconnect and end the thread."""
        if self._loop is not None:
            try:
                self._call(self._close())
            finally:
                self._stop()

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self,
        workflow: Definition,
        inputs: Mapping[str, Any] | None = None,
        **wishes: Unpack[Wishes],
    ) -> str:
        """See Client.submit."""
        return self._call(self._client.submit(workflow, inputs, **wishes))

    def run(
        self,
        workflow: Definition,
        inputs: Mapping[str, Any] | None = None,
        *,
        on_step_update: OnStep | None = None,
        on_execution_finish: OnFinish | None = None,
        timeout: float | None = None,
        **wishes: Unpack[Wishes],
    ) -> Result:
        """See Client.run."""
        return self._call(
            self._client.run(
                workflow,
                inputs,
                on_step_update=on_step_update,
                on_execution_finish=on_execution_finish,
                timeout=timeout,
                **wishes,
            )
        )

    def cancel(self, execution: str, reason: str = "") -> str:
        """See Client.cancel."""
        return self._call(self._client.cancel(execution, reason))

    def resume(
        self,
        execution: str | None,
        input: Any = None,  # noqa: A002 - the word of the step that asks
        *,
        step: str | None = None,
        token: str | None = None,
    ) -> Answer:
        """See Client.resume."""
        return self._call(self._client.resume(execution, input, step=step, token=token))

    def rerun(
        self,
        execution: str,
        *,
        from_step: str | None = None,
        only_failed: bool = False,
        inputs: Mapping[str, Any] | None = None,
        no_cache: bool = False,
        rerun_as: str | None = None,
    ) -> str:
        """See Client.rerun."""
        return self._call(
            self._client.rerun(
                execution,
                from_step=from_step,
                only_failed=only_failed,
                inputs=inputs,
                no_cache=no_cache,
                rerun_as=rerun_as,
            )
        )

    def clear(self, execution: str) -> None:
        """See Client.clear."""
        self._call(self._client.clear(execution))

    def wait(self, execution: str, *, block: bool = True, timeout: float | None = None) -> Result | None:
        """See Client.wait."""
        return self._call(self._client.wait(execution, block=block, timeout=timeout))

    def state(self, execution: str) -> ExecutionView:
        """See Client.state."""
        return self._call(self._client.state(execution))

    def progress(self, execution: str) -> tuple[int, int]:
        """See Client.progress."""
        return self._call(self._client.progress(execution))

    def outputs(self, execution: str) -> dict[str, Any]:
        """See Client.outputs."""
        return self._call(self._client.outputs(execution))

    def steps(self, execution: str) -> dict[str, StepView]:
        """See Client.steps."""
        return self._call(self._client.steps(execution))

    def step(self, execution: str, path: str) -> StepView:
        """See Client.step."""
        return self._call(self._client.step(execution, path))

    def transitions(self, execution: str) -> list[TransitionView]:
        """See Client.transitions."""
        return self._call(self._client.transitions(execution))

    def workflow(self, execution: str) -> Workflow:
        """See Client.workflow."""
        return self._call(self._client.workflow(execution))

    def artifact(self, value: Mapping[str, Any]) -> Iterator[bytes]:
        """See Client.artifact."""
        return self._each(self._client.artifact(value))

    def download(self, value: Mapping[str, Any], path: Path | None = None) -> Path:
        """See Client.download."""
        return self._call(self._client.download(value, path))

    def events(
        self,
        execution: str | None = None,
        *,
        machine: str | None = None,
        kind: str | None = None,
        follow: bool = False,
        from_sequence: int = 1,
    ) -> Iterator[Recorded]:
        """See Client.events."""
        return self._each(
            self._client.events(
                execution, machine=machine, kind=kind, follow=follow, from_sequence=from_sequence
            )
        )

    def logs(
        self, execution: str, step: str | None = None, *, attempt: int | None = None, follow: bool = False
    ) -> Iterator[tuple[str, int, LogLine]]:
        """See Client.logs."""
        return self._each(self._client.logs(execution, step, attempt=attempt, follow=follow))

    # ---- schedules

    def schedules(self) -> list[ScheduleView]:
        """See Client.schedules."""
        return self._call(self._client.schedules())

    def schedule(
        self,
        workflow: Definition,
        *,
        name: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """See Client.schedule."""
        return self._call(self._client.schedule(workflow, name=name, inputs=inputs, labels=labels))

    def pause_schedule(self, name: str, reason: str = "") -> bool:
        """See Client.pause_schedule."""
        return self._call(self._client.pause_schedule(name, reason))

    def resume_schedule(self, name: str) -> bool:
        """See Client.resume_schedule."""
        return self._call(self._client.resume_schedule(name))

    def remove_schedule(self, name: str, reason: str = "") -> None:
        """See Client.remove_schedule."""
        self._call(self._client.remove_schedule(name, reason))

    def trigger_schedule(self, name: str, *, execution: str | None = None) -> str:
        """See Client.trigger_schedule."""
        return self._call(self._client.trigger_schedule(name, execution=execution))

    # ---- the thread

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            coroutine.close()
            self._client.broker  # noqa: B018 - says that the client is not connected
            raise AssertionError("unreachable")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C in the caller ends the wait on the loop too
            raise

    def _each(self, source: Any) -> Iterator[Any]:
        items = cast("AsyncGenerator[Any, None]", source)
        try:
            while True:
                try:
                    yield self._call(_one(items))
                except StopAsyncIteration:
                    return
        finally:
            if self._loop is not None:
                self._call(_close(items))

    async def _close(self) -> None:
        await asyncio.get_running_loop().shutdown_asyncgens()
        await self._client.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # calls of other threads, which now end too
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._client.close()  # one of them may have connected it meanwhile

    def _stop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _one(items: AsyncGenerator[Any, None]) -> Any:
    return await anext(items)


async def _close(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
