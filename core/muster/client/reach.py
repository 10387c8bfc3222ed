"""What the log holds: where it ends, and everything of one execution, or the error that says that it does not."""

from __future__ import annotations

from contextlib import aclosing

from muster.broker import whereabouts
from muster.broker.interface import Broker, Position
from muster.client.follower import ExecutionView
from muster.model.errors import ExecutionNotFoundError, InvalidArgumentError
from muster.model.log import subjects
from muster.model.log.names import check_execution


async def position(broker: Broker) -> Position:
    """Where the log ends. Raises BrokerError, which says so where Muster was never started on this broker."""
    return await whereabouts.position(broker.history)


async def check_start(broker: Broker, sequence: int) -> None:
    """Raise InvalidArgumentError where the next event will not even stand at ``sequence``."""
    last = (await position(broker)).last
    if sequence > last + 1:
        raise InvalidArgumentError(
            f"The log ends at {last}: nothing can be read from {sequence} on.",
            remedy=f"Begin at {last + 1} for what comes next, or lower for what is there.",
        )


async def folded(broker: Broker, execution: str, stop: int | None = None) -> ExecutionView:
    """Everything the log says about the execution, now or up to the sequence ``stop``.

    Raises ExecutionNotFoundError for an id that is unknown, or was not there yet.
    """
    view = await so_far(broker, execution, stop)
    if view.known:
        return view
    if view.cleared:
        raise ExecutionNotFoundError(
            f"The execution {execution} was cleared.",
            remedy="Nothing of it is kept.",
            execution=execution,
        )
    if stop is not None:
        raise _not_yet(await folded(broker, execution), stop)
    raise ExecutionNotFoundError(execution=execution)


async def so_far(broker: Broker, execution: str, stop: int | None) -> ExecutionView:
    """As folded, where nothing may be known of the execution yet."""
    view = ExecutionView(check_execution(execution))
    chosen = [subjects.events(execution=execution)]
    async with aclosing(broker.history.read(subjects=chosen, stop=stop)) as batches:
        async for batch in batches:
            view.apply_all(batch)
    return view


def _not_yet(view: ExecutionView, stop: int) -> ExecutionNotFoundError:
    queued = view.transitions[0]
    return ExecutionNotFoundError(
        f"The execution {view.id} was not there yet at sequence {stop}: it was queued at {queued.sequence}.",
        remedy=f"Ask for {queued.sequence} or later.",
        execution=view.id,
    )
