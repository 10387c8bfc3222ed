"""The timeline: agent facts, in the order of the log, by the names people know."""

import json

from muster.model.log import catalogue as c
from tests.fixtures.histories import History
from tests.fixtures.views import fold, rows


def test_facts_are_shown_by_their_names(tmp_path):
    """The facts of an attempt stand in order; Hyko's have their label, the others none."""
    log = History()
    log.connect("gpu-1")
    list(log.prepare("x1", "a", 1, "gpu-1"))
    list(log.finish("x1", "a", 1, "gpu-1"))
    found = rows(fold(tmp_path / "view.db", log.events), "lifecycle")
    assert [(each["kind"], each["label"]) for each in found] == [
        ("attempt.accepted", None),
        ("image.pulling", "Pulling Image"),
        ("image.pulled", "Image Pulled"),
        ("container.starting", "Starting Container"),
        ("container.started", None),
        ("attempt.started", "Execution Started"),
        ("container.exited", None),
        ("attempt.finished", "Execution Finished"),
    ]
    assert {each["machine"] for each in found} == {"gpu-1"}
    assert json.loads(found[2]["data"])["seconds"] == 0.5


def test_progress_and_machines_are_not_part_of_it(tmp_path):
    """Progress comes every second and is no moment; a machine's own facts belong to no attempt."""
    log = History()
    log.connect("gpu-1")
    log.report("gpu-1", c.AttemptProgress(phase="run", current=1.0), "x1", step="a", attempt=1)
    log.report("gpu-1", c.FunctionUnloaded(function="app:f", container="c1"))
    log.report("gpu-1", c.MachineDisconnected())
    assert rows(fold(tmp_path / "view.db", log.events), "lifecycle") == []


def test_every_lifecycle_event_of_hyko_makes_a_row():
    """None of the seven is forgotten."""
    from muster_projections.lifecycle import LIFECYCLE

    assert {body.kind for body in c.HYKO} <= set(LIFECYCLE.handlers)
