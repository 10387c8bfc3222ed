"""Attempts: one row each, by what the scheduler ordered and what the agent reports.

A fact that comes after the supersession is kept in its columns; ``superseded`` stays, and so does ``status``.
"""

from __future__ import annotations

from typing import Final

from muster.model.log.catalogue import (
    AttemptFailed,
    AttemptFinished,
    AttemptProgress,
    AttemptStarted,
    AttemptStopped,
    AttemptSuperseded,
    ContainerExited,
    ContainerStarted,
    ContainerStarting,
    FunctionLoaded,
    FunctionLoading,
    ImagePulled,
    ImagePulling,
    StepScheduled,
)
from muster.model.log.envelope import Recorded
from muster_projections.projection import (
    Change,
    Column,
    Projection,
    Table,
    Upsert,
    Value,
    forget,
    moment,
    text,
)

TABLE: Final = Table(
    name="attempts",
    doc="One row for each attempt of a step on a machine.",
    key=("execution", "step", "attempt"),
    columns=(
        Column(name="execution", type="TEXT", doc="The execution."),
        Column(name="step", type="TEXT", doc="The step's address."),
        Column(name="attempt", type="INTEGER", doc="The attempt's number, from 1."),
        Column(name="machine", type="TEXT", doc="The machine it was given to."),
        Column(name="session", type="INTEGER", doc="The machine's connection it was meant for (a sequence)."),
        Column(
            name="status",
            type="TEXT",
            doc="scheduled, accepted, pulling, starting, running, finished, failed, stopped or superseded.",
            generated="CASE WHEN superseded THEN 'superseded' ELSE reported END",
        ),
        Column(
            name="reported",
            type="TEXT",
            doc="The status by what was last heard of it, whether or not it still counts.",
        ),
        Column(name="phase", type="TEXT", doc="The phase it is in or ended in: pull, start, load or run."),
        Column(name="image", type="TEXT", doc="The image as it was asked for."),
        Column(name="digest", type="TEXT", doc="The digest of the image that was used."),
        Column(name="cached", type="INTEGER", doc="1 if nothing had to be pulled, 0 if it was."),
        Column(name="image_size", type="INTEGER", doc="The image's size on disk in bytes."),
        Column(name="container", type="TEXT", doc="The container's id."),
        Column(name="function", type="TEXT", doc="The function that was loaded for it, if one was."),
        Column(
            name="warm",
            type="INTEGER",
            doc="1 if it was a call into a container that was there before, 0 if not; null until it ran.",
        ),
        Column(name="exit_code", type="INTEGER", doc="The exit code of the container."),
        Column(
            name="oom_killed", type="INTEGER", doc="1 if it was killed for using too much memory, else 0."
        ),
        Column(name="cpu_s", type="REAL", doc="Processor time it used, in seconds."),
        Column(name="memory_peak", type="INTEGER", doc="The most memory it used, in bytes."),
        Column(name="pull_s", type="REAL", doc="How long the pull took, in seconds."),
        Column(name="start_s", type="REAL", doc="How long the container took to start, in seconds."),
        Column(name="load_s", type="REAL", doc="How long the function took to load, in seconds."),
        Column(
            name="seconds", type="JSON", doc="Seconds by phase as the agent measured them, once it ended."
        ),
        Column(name="scheduled_at", type="TEXT", doc="When it was given to the machine.", first=True),
        Column(name="accepted_at", type="TEXT", doc="When the agent took it.", first=True),
        Column(name="started_at", type="TEXT", doc="When its run phase began.", first=True),
        Column(name="ended_at", type="TEXT", doc="When it finished, failed or was stopped.", first=True),
        Column(name="progress", type="JSON", doc="The last progress: phase, current, total, unit, message."),
        Column(name="error_code", type="TEXT", doc="The stable code of its error."),
        Column(name="error", type="JSON", doc="Its error."),
        Column(
            name="reason",
            type="TEXT",
            doc="Why it failed or was stopped: error, timeout, no_capacity, lost …",
        ),
        Column(
            name="retriable",
            type="INTEGER",
            doc="0 if trying again cannot help, else 1; null unless it failed.",
        ),
        Column(name="superseded", type="INTEGER", doc="1 once it never counts again; null until then."),
        Column(name="superseded_reason", type="TEXT", doc="Why it was superseded.", first=True),
        Column(name="superseded_at", type="TEXT", doc="When it was superseded.", first=True),
        Column(name="sequence", type="INTEGER", doc="The place in the log of the last event about it."),
    ),
    indexes=(("machine",),),
)


def _set(recorded: Recorded, columns: dict[str, Value]) -> list[Change]:
    event = recorded.event
    columns["sequence"] = recorded.sequence
    return [Upsert(TABLE.name, (event.execution, event.step, event.attempt), columns)]


def _scheduled(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepScheduled)
    return _set(
        recorded,
        {
            "machine": data.machine,
            "session": data.session,
            "reported": "scheduled",
            "scheduled_at": moment(recorded.event.time),
        },
    )


def _accepted(recorded: Recorded) -> list[Change]:
    event = recorded.event
    machine = event.machine or event.writer
    return _set(recorded, {"machine": machine, "reported": "accepted", "accepted_at": moment(event.time)})


def _pulling(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ImagePulling)
    return _set(recorded, {"reported": "pulling", "phase": "pull", "image": data.image})


def _pulled(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ImagePulled)
    return _set(
        recorded,
        {
            "image": data.image,
            "digest": data.digest or None,
            "cached": data.cached,
            "image_size": data.size or None,
            "pull_s": data.seconds,
        },
    )


def _starting(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ContainerStarting)
    columns: dict[str, Value] = {"reported": "starting", "phase": "start", "image": data.image}
    if data.digest:
        columns["digest"] = data.digest
    return _set(recorded, columns)


def _container_started(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ContainerStarted)
    return _set(recorded, {"container": data.container, "start_s": data.seconds})


def _loading(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, FunctionLoading)
    return _set(recorded, {"reported": "starting", "phase": "load", "function": data.function})


def _loaded(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, FunctionLoaded)
    return _set(recorded, {"function": data.function, "load_s": data.seconds})


def _started(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, AttemptStarted)
    columns: dict[str, Value] = {"reported": "running", "phase": "run", "warm": data.warm}
    columns["started_at"] = moment(recorded.event.time)
    if data.container:
        columns["container"] = data.container
    return _set(recorded, columns)


def _progress(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, AttemptProgress)
    return _set(recorded, {"progress": text(data)})


def _exited(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ContainerExited)
    return _set(
        recorded,
        {
            "container": data.container,
            "exit_code": data.exit_code,
            "oom_killed": data.oom_killed,
            "cpu_s": data.cpu_s,
            "memory_peak": data.memory_peak,
        },
    )


def _ended(
    recorded: Recorded, status: str, seconds: dict[str, float], columns: dict[str, Value]
) -> list[Change]:
    columns |= {"reported": status, "ended_at": moment(recorded.event.time), "seconds": text(seconds)}
    return _set(recorded, columns)


def _finished(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, AttemptFinished)
    columns: dict[str, Value] = {} if data.exit_code is None else {"exit_code": data.exit_code}
    return _ended(recorded, "finished", data.seconds, columns)


def _failed(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, AttemptFailed)
    columns: dict[str, Value] = {
        "phase": data.phase,
        "error_code": data.error.code,
        "error": text(data.error),
        "reason": data.reason,
        "retriable": data.retriable,
    }
    if data.exit_code is not None:
        columns["exit_code"] = data.exit_code
    return _ended(recorded, "failed", data.seconds, columns)


def _stopped(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, AttemptStopped)
    return _ended(recorded, "stopped", data.seconds, {"reason": data.reason or None})


def _superseded(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, AttemptSuperseded)
    return _set(
        recorded,
        {
            "machine": data.machine,
            "superseded": 1,
            "superseded_reason": data.reason,
            "superseded_at": moment(recorded.event.time),
        },
    )


ATTEMPTS: Final = Projection.of(
    name="attempts",
    version=2,
    tables=(TABLE,),
    handlers={
        "step.scheduled": _scheduled,
        "attempt.accepted": _accepted,
        "image.pulling": _pulling,
        "image.pulled": _pulled,
        "container.starting": _starting,
        "container.started": _container_started,
        "function.loading": _loading,
        "function.loaded": _loaded,
        "attempt.started": _started,
        "attempt.progress": _progress,
        "container.exited": _exited,
        "attempt.finished": _finished,
        "attempt.failed": _failed,
        "attempt.stopped": _stopped,
        "attempt.superseded": _superseded,
        "execution.cleared": forget(TABLE.name),
    },
)
