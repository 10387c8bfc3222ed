"""The projections a view is made of.

A tuple for now. ``chosen`` is the one place that will also look for those of other distributions.
"""

from __future__ import annotations

from typing import Final

from muster_projections.attempts import ATTEMPTS
from muster_projections.errors import ERRORS
from muster_projections.executions import EXECUTIONS
from muster_projections.lifecycle import LIFECYCLE
from muster_projections.machines import MACHINES
from muster_projections.projection import Projection
from muster_projections.steps import STEPS
from muster_projections.transitions import TRANSITIONS

DEFAULTS: Final[tuple[Projection, ...]] = (
    EXECUTIONS,
    TRANSITIONS,
    STEPS,
    ATTEMPTS,
    LIFECYCLE,
    MACHINES,
    ERRORS,
)


def chosen() -> tuple[Projection, ...]:
    """The projections to fold into a view, in the order of its tables."""
    return DEFAULTS
