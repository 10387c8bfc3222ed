"""The timeline of an attempt: every fact its agent reported, in the order of the log.

Progress is left out: it comes every second, and the last one stands in ``attempts``.
"""

from __future__ import annotations

from typing import Final

from muster.model.log.catalogue import CATALOGUE
from muster.model.log.envelope import Recorded
from muster_projections.projection import (
    Change,
    Column,
    Insert,
    Projection,
    Table,
    forget,
    moment,
    text,
)

TABLE: Final = Table(
    name="lifecycle",
    doc="One row for each fact an agent reported about an attempt, but for progress.",
    key=("sequence",),
    columns=(
        Column(name="sequence", type="INTEGER", doc="The place of the event in the log."),
        Column(name="execution", type="TEXT", doc="The execution."),
        Column(name="step", type="TEXT", doc="The step's address."),
        Column(name="attempt", type="INTEGER", doc="The attempt's number."),
        Column(name="at", type="TEXT", doc="When it happened, by the machine's clock."),
        Column(name="kind", type="TEXT", doc="What happened: the event's kind, such as image.pulled."),
        Column(name="label", type="TEXT", doc="Its name for people, such as Image Pulled, where it has one."),
        Column(name="machine", type="TEXT", doc="The machine it happened on."),
        Column(name="data", type="JSON", doc="The data of the event; defaults are left out."),
    ),
    indexes=(("execution",),),
    append=True,
)

_OTHERS: Final = ("machine.", "function.unloaded", "attempt.progress")  # about no attempt, or too many
_LABELS: Final = {
    kind: body.label or None
    for kind, body in CATALOGUE.items()
    if body.writer == "agent" and not kind.startswith(_OTHERS)
}


def _fact(recorded: Recorded) -> list[Change]:
    event = recorded.event
    kind = event.data.kind
    row = (
        recorded.sequence,
        event.execution,
        event.step,
        event.attempt,
        moment(event.time),
        kind,
        _LABELS[kind],
        event.machine or event.writer,
        text(event.data),
    )
    return [Insert(TABLE.name, row)]


LIFECYCLE: Final = Projection.of(
    name="lifecycle",
    version=1,
    tables=(TABLE,),
    handlers=dict.fromkeys(_LABELS, _fact) | {"execution.cleared": forget(TABLE.name)},
)
