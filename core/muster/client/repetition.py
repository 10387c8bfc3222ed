"""A rerun on its way: accepted once under the id of the new execution, however often it is sent."""

from __future__ import annotations

from typing import Any

import msgspec

from muster.broker.interface import Broker
from muster.client.follower import ExecutionView
from muster.client.watch import Watch
from muster.identity import uuid7
from muster.model.errors import BrokerError, ExecutionConflictError, ExecutionNotEndedError
from muster.model.log.commands import Rerun
from muster.model.log.names import SCHEDULER
from muster.model.reuse.request import asked_for


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run again, how, and as which ``execution``."""

    execution: str
    of: str
    from_step: str | None = None
    only_failed: bool = False
    inputs: dict[str, Any] = {}
    no_cache: bool = False

    async def accept(self, broker: Broker, watch: Watch) -> None:
        """Send it, and wait until the log shows that it was accepted or refused."""
        command = Rerun(
            id=uuid7(),
            execution=self.execution,
            of=self.of,
            from_step=self.from_step,
            only_failed=self.only_failed,
            inputs=self.inputs,
            no_cache=self.no_cache,
        )
        try:
            await broker.commands.send(SCHEDULER, "rerun", command)
        except BrokerError as error:
            raise BrokerError(
                f"{error.message} Whether {self.of} is run again as {self.execution} is not known.",
                remedy=f"Ask for the same again under the id {self.execution}: it is accepted once.",
                execution=self.execution,
            ) from error
        try:
            await watch.until_accepted(command.id)
        except ExecutionConflictError:
            raise self._conflict() from None
        # What the id was taken by is read before the refusal is.
        if watch.already and watch.view.digest != asked_for(command):
            raise self._conflict()

    def _conflict(self) -> ExecutionConflictError:
        return ExecutionConflictError(
            remedy="Run it again with a new id, or exactly as before: the same execution, steps and inputs.",
            execution=self.execution,
        )


def check_ended(view: ExecutionView) -> None:
    """Raise ExecutionNotEndedError where it still goes on."""
    if not view.finished:
        raise ExecutionNotEndedError(
            f"The execution {view.id} has not ended: it cannot be run again yet.",
            remedy=f"Wait for its end (muster watch {view.id}), or cancel it first: muster cancel {view.id}",
            execution=view.id,
        )
