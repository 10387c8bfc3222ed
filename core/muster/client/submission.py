"""A submit on its way: checked here before anything is sent, then accepted once, however often it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from muster.broker.interface import Broker
from muster.client.definition import Definition, plain, serialize, workflow_of
from muster.client.watch import Watch
from muster.identity import uuid7
from muster.model import inputs as workflow_inputs
from muster.model.commands import Submit
from muster.model.errors import BrokerError, ExecutionConflictError, InvalidTypeError
from muster.model.names import SCHEDULER, check_execution
from muster.model.workflow import Workflow


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A checked workflow with checked inputs (``inputs`` as given, ``filled`` with the defaults) under its id."""

    execution: str
    workflow: Workflow
    inputs: dict[str, Any]
    filled: dict[str, Any]
    labels: dict[str, str]
    metadata: dict[str, Any]

    @classmethod
    def of(
        cls,
        workflow: Definition,
        inputs: Mapping[str, Any] | None,
        execution: str,
        labels: Mapping[str, str] | None,
        metadata: Mapping[str, Any] | None,
    ) -> Self:
        """Check everything that can be checked here. Raises the error the scheduler would refuse it with."""
        checked = workflow_of(workflow)
        given = _values("inputs", inputs)
        return cls(
            execution=check_execution(execution),
            workflow=checked,
            inputs=given,
            filled=workflow_inputs.accept(checked, given),
            labels=dict(labels or {}),
            metadata=_values("metadata", metadata),
        )

    async def accept(self, broker: Broker, watch: Watch) -> None:
        """Send it, and wait until the log shows that it was accepted or refused."""
        command = Submit(
            id=uuid7(),
            execution=self.execution,
            workflow=serialize(self.workflow),
            inputs=self.inputs,
            labels=self.labels,
            metadata=self.metadata,
        )
        try:
            await broker.commands.send(SCHEDULER, "submit", command)
        except BrokerError as error:
            raise BrokerError(
                f"{error.message} Whether the execution {self.execution} was submitted is not known.",
                remedy=f"Submit the same again under the id {self.execution}: it is accepted once.",
                execution=self.execution,
            ) from error
        await watch.until_accepted(command.id)
        view = watch.view
        # Of two different submits under one id the log keeps one; the other must not take it for its own.
        if view.workflow != self.workflow or plain(view.inputs) != plain(self.filled):
            raise ExecutionConflictError(execution=self.execution)


def _values(what: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        return dict(plain(given or {}))
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"The {what} are not JSON values: {error}.") from error
