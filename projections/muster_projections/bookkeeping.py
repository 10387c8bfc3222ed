"""What the store itself must remember: how far it has come, and which events it passed over and why."""

from __future__ import annotations

from typing import Final

from muster_projections.projection import Column, Table

POSITION: Final = Table(
    name="position",
    doc="One row: which log the view was folded from, and how far.",
    key=("stream",),
    columns=(
        Column(name="stream", type="TEXT", doc="The stream's name."),
        Column(name="created", type="TEXT", doc="When the stream was created: another time is another log."),
        Column(name="sequence", type="INTEGER", doc="The view reflects every event up to this one."),
        Column(name="at", type="TEXT", doc="The time of the last event folded."),
        Column(name="event_id", type="TEXT", doc="The id of the event at that sequence, if it is known."),
        Column(
            name="projections", type="JSON", doc="The version of each projection the view was folded with."
        ),
    ),
    bookkeeping=True,
)

WRITERS: Final = Table(
    name="writers",
    doc="One row for each machine: the last of its outbox numbers that was folded; a lower one is a repetition.",
    key=("writer",),
    columns=(
        Column(name="writer", type="TEXT", doc="The machine."),
        Column(name="n", type="INTEGER", doc="The last outbox number."),
    ),
    bookkeeping=True,
)

UNKNOWN: Final = Table(
    name="unknown",
    doc="One row for each kind of event this release does not know; such events change nothing.",
    key=("kind", "version"),
    columns=(
        Column(name="kind", type="TEXT", doc="The kind."),
        Column(name="version", type="INTEGER", doc="Its version."),
        Column(name="count", type="INTEGER", doc="How many there were."),
        Column(name="first_sequence", type="INTEGER", doc="The first one's place in the log.", first=True),
        Column(name="last_sequence", type="INTEGER", doc="The last one's place in the log."),
    ),
    bookkeeping=True,
)

CLEARED: Final = Table(
    name="cleared",
    doc="One row for each execution that was erased; what is still heard of it changes nothing.",
    key=("execution",),
    columns=(
        Column(name="execution", type="TEXT", doc="The execution."),
        Column(name="sequence", type="INTEGER", doc="The place in the log of its execution.cleared."),
    ),
    bookkeeping=True,
)

POISON: Final = Table(
    name="poison",
    doc="One row for each event a projection could not fold; it was passed over. Please report it.",
    key=("sequence", "projection"),
    columns=(
        Column(name="sequence", type="INTEGER", doc="The place of the event in the log."),
        Column(name="projection", type="TEXT", doc="The projection, or * for all of them."),
        Column(name="execution", type="TEXT", doc="The execution the event belongs to."),
        Column(name="kind", type="TEXT", doc="The event's kind."),
        Column(name="error", type="TEXT", doc="What was wrong."),
    ),
    append=True,
    bookkeeping=True,
)

TABLES: Final = (POSITION, WRITERS, UNKNOWN, CLEARED, POISON)
