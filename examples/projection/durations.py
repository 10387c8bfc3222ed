"""A projection of one's own: how long each step took."""

from collections.abc import Iterable

from muster_projections import Change, Column, Projection, Recorded, Table, Upsert, moment, on


class Durations(Projection):
    """From the step's first start to its end."""

    name = "durations"
    version = 1
    tables = (
        Table(
            name="durations",
            doc="One row for each step that began.",
            key=("execution", "step"),
            columns=(
                Column(name="execution", type="TEXT", doc="The execution."),
                Column(name="step", type="TEXT", doc="The step's address."),
                Column(name="machine", type="TEXT", doc="The machine it last began on."),
                Column(name="started_at", type="TEXT", doc="When it began.", first=True),
                Column(name="ended_at", type="TEXT", doc="When it succeeded or failed."),
                Column(
                    name="seconds",
                    type="REAL",
                    doc="How long it took.",
                    generated="round((julianday(ended_at) - julianday(started_at)) * 86400, 3)",
                ),
            ),
            indexes=(("machine",),),
        ),
    )

    @on("step.started")
    def started(self, recorded: Recorded) -> Iterable[Change]:
        event = recorded.event
        columns = {"machine": event.data.machine, "started_at": moment(event.time)}
        yield Upsert("durations", (event.execution, event.step), columns)

    @on("step.succeeded", "step.failed")
    def ended(self, recorded: Recorded) -> Iterable[Change]:
        event = recorded.event
        yield Upsert("durations", (event.execution, event.step), {"ended_at": moment(event.time)})
