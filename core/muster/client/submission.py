"""A submit on its way: checked here before anything is sent, then accepted once, however often it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from muster.broker.interface import Broker
from muster.client.definition import plain, serialize
from muster.client.watch import Watch
from muster.client.wishes import Wishes
from muster.identity import uuid7
from muster.model.definition.workflow import Workflow
from muster.model.errors import BrokerError, ExecutionConflictError, InvalidArgumentError, InvalidTypeError
from muster.model.log.commands import Submit
from muster.model.log.names import SCHEDULER, check_execution
from muster.model.plan import inputs as workflow_inputs
from muster.model.sharing.granted import Granted, granted, keyed


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A checked workflow with checked inputs (``inputs`` as given, ``filled`` with the defaults) under its id.

    ``key`` is the idempotency key that the id stands for.
    """

    workflow: Workflow
    filled: dict[str, Any]
    command: Submit
    granted: Granted
    key: str | None = None

    @classmethod
    def of(cls, checked: Workflow, inputs: Mapping[str, Any] | None, execution: str, wishes: Wishes) -> Self:
        """Check everything that can be checked here. Raises the error the scheduler would refuse it with."""
        given = values("inputs", inputs)
        command = Submit(
            id=uuid7(),
            execution=check_execution(execution),
            workflow=serialize(checked),
            inputs=given,
            labels=dict(wishes.get("labels") or {}),
            metadata=values("metadata", wishes.get("metadata")),
            tags=list(wishes.get("tags", ())),
            priority=wishes.get("priority"),
            timeout=wishes.get("execution_timeout"),
            no_cache=wishes.get("no_cache", False),
        )
        return cls(
            workflow=checked,
            filled=workflow_inputs.accept(checked, given),
            command=command,
            granted=granted(checked, command),
            key=wishes.get("idempotency_key"),
        )

    @property
    def execution(self) -> str:
        """The id."""
        return self.command.execution

    async def accept(self, broker: Broker, watch: Watch) -> None:
        """Send it, and wait until the log shows that it was accepted or refused."""
        command = self.command
        try:
            await broker.commands.send(SCHEDULER, "submit", command)
        except BrokerError as error:
            raise BrokerError(
                f"{error.message} Whether the execution {self.execution} was submitted is not known.",
                remedy=f"Submit the same again under the id {self.execution}: it is accepted once.",
                execution=self.execution,
            ) from error
        try:
            await watch.until_accepted(command.id)
        except ExecutionConflictError:
            raise self._conflict() from None
        view = watch.view
        # Of two different submits under one id the log keeps one; the other must not take it for its own.
        same = view.workflow == self.workflow and plain(view.inputs) == plain(self.filled)
        if not same or plain(view.granted) != plain(self.granted):
            raise self._conflict()

    def _conflict(self) -> ExecutionConflictError:
        if self.key is None:
            return ExecutionConflictError(execution=self.execution)
        return ExecutionConflictError(
            f"The idempotency key {self.key!r} is taken by {self.execution}, a run with other content.",
            remedy="Submit with a new key, or with exactly the same workflow and inputs.",
            execution=self.execution,
        )


def id_of(workflow: Workflow, wishes: Wishes) -> tuple[str, bool]:
    """The id that was asked for, or a new one, and whether it was asked for: then it may have been used before."""
    execution, key = wishes.get("execution"), wishes.get("idempotency_key")
    if key is None:
        return (uuid7(), False) if execution is None else (execution, True)
    if execution is not None:
        raise InvalidArgumentError(
            "an execution has an id or an idempotency key, not both.", remedy="Leave one of them out."
        )
    return keyed(workflow.name, key), True


def values(what: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was given, as plain values. Raises InvalidTypeError."""
    try:
        return dict(plain(given or {}))
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"The {what} are not JSON values: {error}.") from error
