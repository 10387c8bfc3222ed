"""The projections a view is made of: Muster's own, and those that are plugged in."""

from __future__ import annotations

from typing import Final

from muster_projections.attempts import ATTEMPTS
from muster_projections.errors import ERRORS
from muster_projections.executions import EXECUTIONS
from muster_projections.lifecycle import LIFECYCLE
from muster_projections.machines import MACHINES
from muster_projections.plugins import found
from muster_projections.projection import Projection
from muster_projections.schedules import SCHEDULES
from muster_projections.steps import STEPS
from muster_projections.transitions import TRANSITIONS

DEFAULTS: Final[tuple[Projection, ...]] = (
    EXECUTIONS,
    TRANSITIONS,
    STEPS,
    ATTEMPTS,
    LIFECYCLE,
    MACHINES,
    SCHEDULES,
    ERRORS,
)


def chosen() -> tuple[Projection, ...]:
    """The projections to fold into a view, in the order of its tables.

    Reads files and runs code of other packages, so it does not belong on an event loop. Raises ProjectionInvalidError
    where one that is installed cannot be used.
    """
    return (*DEFAULTS, *found(DEFAULTS))
