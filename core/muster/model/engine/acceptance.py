"""What whatever is accepted has to keep to, whoever asks for it: the size of a definition and of an event."""

from __future__ import annotations

import msgspec

from muster.model.definition.workflow import Workflow
from muster.model.engine.state import State
from muster.model.errors import CommandInvalidError, StepLimitError
from muster.model.limits import QUEUED_BYTES_MAX
from muster.model.log.body import Body


def check_size(body: Body) -> None:
    """Raise CommandInvalidError where the event would be too large."""
    if (size := len(msgspec.json.encode(body))) > QUEUED_BYTES_MAX:
        raise CommandInvalidError(
            f"workflow, inputs, labels and metadata together are {size} bytes, more than {QUEUED_BYTES_MAX}",
            remedy="Put large data where the steps can read it, and give its address as an input.",
        )


def check_steps(state: State, workflow: Workflow) -> None:
    """Raise StepLimitError where the workflow has too many steps."""
    limit = state.policy.steps_max
    if len(workflow.steps) > limit:
        raise StepLimitError(f"the workflow has {len(workflow.steps)} steps; at most {limit} are accepted")
