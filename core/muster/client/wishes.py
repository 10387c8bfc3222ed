"""What may be said of an execution when it is submitted, beside its workflow and inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from muster.model.definition.workflow import Duration


class Wishes(TypedDict, total=False):
    """``execution`` is its id: the same call with the same id is safe, an execution is accepted once.

    ``idempotency_key`` instead makes the id of the workflow's name and the key, so that whoever submits the same again,
    from wherever and however late, finds the first execution; other content is refused with ExecutionConflictError.
    ``labels`` and ``metadata`` go before those of the workflow, ``tags`` come on top of its. ``priority`` (-100 to 100)
    and ``execution_timeout`` (counted from the start of the execution) replace the workflow's. ``no_cache``: nothing
    is taken from the result cache; what steps give is kept there nevertheless.
    """

    execution: str | None
    idempotency_key: str | None
    labels: Mapping[str, str] | None
    metadata: Mapping[str, Any] | None
    tags: Sequence[str]
    priority: int | None
    execution_timeout: Duration | None
    no_cache: bool
