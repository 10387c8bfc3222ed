"""What the read side gives out: one struct for each kind of row. The columns are explained in docs/view.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from muster.model.errors import ErrorInfo


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Times are UTC."""


class Execution(Row, frozen=True, kw_only=True):
    """An execution, with how many of its steps have ended, whichever way, and how many of those failed."""

    id: str
    workflow: str
    status: str
    ending: str | None
    inputs: dict[str, Any]
    outputs: dict[str, Any] | None
    error_code: str | None
    error: ErrorInfo | None
    reason: str | None
    concurrency_key: str | None
    priority: int
    timeout_s: float | None
    tags: list[str]
    labels: dict[str, str]
    metadata: dict[str, Any]
    digest: str | None
    rerun_of: str | None
    parent: str | None
    parent_step: str | None
    schedule: str | None
    due_at: datetime | None
    steps: int
    steps_ended: int
    steps_failed: int
    transitions: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    sequence: int


class Transition(Row, frozen=True, kw_only=True):
    """A change of an execution's status."""

    execution: str
    number: int
    at: datetime
    type: str
    before: str | None
    after: str
    step: str | None
    output: Any
    error: ErrorInfo | None
    label: str | None
    metadata: dict[str, Any]
    sequence: int
    event_id: str


class Step(Row, frozen=True, kw_only=True):
    """A step and what its current attempt is doing.

    ``status`` is the scheduler's, but that a scheduled step is shown as ``preparing`` from its attempt's acceptance
    on, and as ``running`` once the attempt runs.
    """

    execution: str
    step: str
    position: int | None
    loop: str | None
    item: int | None
    status: str
    image: str | None
    attempt: int | None
    attempt_status: str | None
    phase: str | None
    progress: dict[str, Any] | None
    machine: str | None
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    outputs: dict[str, Any] | None
    error_code: str | None
    error: ErrorInfo | None
    reason: str | None
    message: str | None
    prompt: str | None
    branch: str | None
    items: int | None
    child: str | None
    source_execution: str | None
    source_attempt: int | None
    source_at: datetime | None
    cache_key: str | None
    due_at: datetime | None
    retries: dict[str, Any] | None
    sequence: int


class Attempt(Row, frozen=True, kw_only=True):
    """One try of a step on a machine."""

    execution: str
    step: str
    attempt: int
    machine: str | None
    session: int | None
    status: str
    reported: str
    phase: str | None
    image: str | None
    digest: str | None
    cached: bool | None
    image_size: int | None
    container: str | None
    function: str | None
    exit_code: int | None
    oom_killed: bool | None
    cpu_s: float | None
    memory_peak: int | None
    pull_s: float | None
    start_s: float | None
    load_s: float | None
    seconds: dict[str, float] | None
    scheduled_at: datetime | None
    accepted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    progress: dict[str, Any] | None
    error_code: str | None
    error: ErrorInfo | None
    reason: str | None
    retriable: bool | None
    superseded: bool | None
    superseded_reason: str | None
    superseded_at: datetime | None
    sequence: int


class Fact(Row, frozen=True, kw_only=True):
    """One line of an attempt's timeline. ``label`` is its name for people, where it has one."""

    sequence: int
    execution: str
    step: str | None
    attempt: int | None
    at: datetime
    kind: str
    label: str | None
    machine: str
    data: dict[str, Any]


class Machine(Row, frozen=True, kw_only=True):
    """A machine that connected at least once."""

    name: str
    status: str
    drain: str | None
    session: int | None
    offline_session: int | None
    goodbye: int | None
    removed: int | None
    instance: str | None
    software: str | None
    interval_s: float | None
    facts: dict[str, Any] | None
    connected_at: datetime | None
    changed_at: datetime
    reason: str | None
    evidence: dict[str, Any] | None
    sequence: int


class Schedule(Row, frozen=True, kw_only=True):
    """A schedule that was set at least once. ``last_outcome`` is the status of what it began last."""

    name: str
    status: str
    workflow: str
    cron: str | None
    every: str | None
    timezone: str
    overlap: str
    catch_up: str
    inputs: dict[str, Any]
    labels: dict[str, str]
    next_at: datetime | None
    last_due_at: datetime | None
    last_execution: str | None
    last_outcome: str | None
    skipped_at: datetime | None
    skipped_reason: str | None
    set_at: datetime
    changed_at: datetime
    reason: str | None
    sequence: int


class Error(Row, frozen=True, kw_only=True):
    """One error that was recorded."""

    sequence: int
    at: datetime
    execution: str | None
    step: str | None
    attempt: int | None
    machine: str | None
    phase: str | None
    code: str
    name: str
    message: str
    remedy: str
    details: dict[str, Any]
    cause: ErrorInfo | None
    kind: str
