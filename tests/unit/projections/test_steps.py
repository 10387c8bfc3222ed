"""Steps: the scheduler's decisions, one row for each step."""

import json
from datetime import timedelta

from muster.model.definition.workflow import Step, Workflow
from muster.model.errors import ExecutionError
from muster.model.log import catalogue as c
from tests.fixtures.histories import START, History
from tests.fixtures.views import fold, row, rows


def _scheduled() -> History:
    log = History()
    log.queue("x1", ["a"])
    log.move(c.ExecutionStarted, "x1", "start")
    log.connect("gpu-1")
    log.schedule("x1", "a", 1, "gpu-1")
    return log


def test_every_step_is_pending_from_the_beginning(tmp_path):
    """An accepted execution has a row for each step, in the order of the definition."""
    log = History()
    log.queue("x1", ["a", "b", "c"])
    found = rows(fold(tmp_path / "view.db", log.events), "steps")
    assert [(each["step"], each["position"], each["status"]) for each in found] == [
        ("a", 0, "pending"),
        ("b", 1, "pending"),
        ("c", 2, "pending"),
    ]
    assert {each["image"] for each in found} == {"busybox:1"}


def test_a_step_that_goes_well(tmp_path):
    """Scheduled, started, succeeded: times, machine, attempt and outputs."""
    log = _scheduled()
    scheduled = row(tmp_path, log, "steps")
    assert (scheduled["status"], scheduled["attempt"], scheduled["machine"]) == ("scheduled", 1, "gpu-1")
    log.move(c.StepStarted, "x1", "step", machine="gpu-1", step="a", attempt=1)
    assert row(tmp_path, log, "steps")["status"] == "running"
    log.decide(c.StepSucceeded(outputs={"y": 1}), "x1", step="a", attempt=1)
    found = row(tmp_path, log, "steps")
    assert (found["status"], found["outputs"], found["error"]) == ("succeeded", '{"y":1}', None)
    assert found["scheduled_at"] < found["started_at"] < found["ended_at"]


def test_a_retry_waits_until_it_is_due(tmp_path):
    """While it waits the row shows why, until when and the error; the next attempt ends the wait."""
    log = _scheduled()
    error = ExecutionError(exit_code=1).info(step="a")
    due = START + timedelta(seconds=5)
    retrying = c.StepRetrying(error=error, budget="run", used=1, due_at=due)
    log.decide(retrying, "x1", step="a", attempt=1)
    waiting = row(tmp_path, log, "steps")
    assert (waiting["status"], waiting["reason"]) == ("waiting", "retry")
    assert waiting["due_at"] == "2026-03-01T12:00:05.000000Z"
    assert json.loads(waiting["retries"]) == {"budget": "run", "used": 1}
    first = waiting["scheduled_at"]
    log.schedule("x1", "a", 2, "gpu-1")
    again = row(tmp_path, log, "steps")
    assert (again["status"], again["attempt"], again["reason"], again["due_at"]) == (
        "scheduled",
        2,
        None,
        None,
    )
    assert again["error_code"] == "execution"
    assert again["scheduled_at"] == first
    log.decide(c.StepSucceeded(), "x1", step="a", attempt=2)
    assert row(tmp_path, log, "steps")["error_code"] is None


def test_a_wait_for_input(tmp_path):
    """step.waiting and step.resumed set and take back the reason and the due time."""
    log = _scheduled()
    log.decide(c.StepWaiting(reason="input", due_at=START), "x1", step="a")
    waiting = row(tmp_path, log, "steps")
    assert (waiting["status"], waiting["reason"], waiting["due_at"]) == (
        "waiting",
        "input",
        "2026-03-01T12:00:00.000000Z",
    )
    log.decide(c.StepResumed(output={"ok": True}), "x1", step="a")
    resumed = row(tmp_path, log, "steps")
    assert (resumed["status"], resumed["reason"], resumed["due_at"]) == ("running", None, None)


def test_ends_that_are_no_success(tmp_path):
    """Failed, skipped and cancelled steps say why."""
    log = History()
    log.queue("x1", ["a", "b", "c"])
    log.decide(c.StepFailed(error=ExecutionError().info(step="a")), "x1", step="a", attempt=1)
    log.decide(c.StepSkipped(reason="ending"), "x1", step="b")
    log.decide(c.StepCancelled(reason="enough"), "x1", step="c")
    found = rows(fold(tmp_path / "view.db", log.events), "steps")
    assert [(each["status"], each["reason"], each["error_code"]) for each in found] == [
        ("failed", None, "execution"),
        ("skipped", "ending", None),
        ("cancelled", "enough", None),
    ]
    assert all(each["ended_at"] for each in found)


def test_a_step_made_while_running_has_a_row(tmp_path):
    """A step whose address is not in the definition has a row from its first decision on, without a position."""
    log = _scheduled()
    log.schedule("x1", "each/17/convert", 1, "gpu-1")
    found = rows(fold(tmp_path / "view.db", log.events), "steps")[-1]
    assert (found["step"], found["position"], found["status"]) == ("each/17/convert", None, "scheduled")


def test_agents_do_not_change_a_step(tmp_path):
    """Facts about an attempt leave the step's row as it is: what they mean is the scheduler's to say."""
    log = _scheduled()
    before = row(tmp_path, log, "steps")
    list(log.prepare("x1", "a", 1, "gpu-1"))
    list(log.finish("x1", "a", 1, "gpu-1"))
    assert row(tmp_path, log, "steps") == before


def test_steps_that_control_others_say_what_they_do(tmp_path):
    """A loop says how many items it has, a choice its branch, a call its child; an item's step names its loop."""
    log = History()
    log.queue("x1", ["each", "choice", "call"])
    log.move(c.ExecutionStarted, "x1", "start")
    for step, said in (
        ("each", {"members": [1, 2, 3]}),
        ("choice", {"branch": "then"}),
        ("call", {"child": "x1-7"}),
    ):
        log.move(c.StepStarted, "x1", "step", machine=None, step=step, **said)
    log.decide(c.StepSkipped(reason="condition"), "x1", step="each/2/convert")
    log.decide(c.StepSkipped(reason="asked", message="nothing new"), "x1", step="choice/then/a")
    found = {each["step"]: each for each in rows(fold(tmp_path / "view.db", log.events), "steps")}
    assert (found["each"]["items"], found["choice"]["branch"], found["call"]["child"]) == (3, "then", "x1-7")
    inner = found["each/2/convert"]
    assert (inner["loop"], inner["item"], inner["position"]) == ("each", 2, None)
    assert (inner["status"], inner["reason"]) == ("skipped", "condition")
    assert found["choice/then/a"]["message"] == "nothing new"
    assert found["choice/then/a"]["loop"] is None


def test_a_step_that_waits_says_what_for(tmp_path):
    """What is asked stays known after the answer; until when it waits does not."""
    log = History()
    log.queue("x1", ["ask"])
    log.move(c.ExecutionStarted, "x1", "start")
    due = START + timedelta(hours=1)
    log.move(c.StepStarted, "x1", "step", machine=None, step="ask")
    log.decide(c.StepWaiting(reason="input", prompt="Publish?", token="t", due_at=due), "x1", step="ask")
    waits = row(tmp_path, log, "steps")
    assert (waits["status"], waits["reason"], waits["prompt"]) == ("waiting", "input", "Publish?")
    assert waits["due_at"] == "2026-03-01T13:00:00.000000Z"
    log.decide(c.StepResumed(output={"ok": True}), "x1", step="ask")
    goes_on = row(tmp_path, log, "steps")
    assert (goes_on["status"], goes_on["reason"], goes_on["due_at"]) == ("running", None, None)
    assert goes_on["prompt"] == "Publish?"


def test_a_chain_has_a_row_for_each_of_its_steps(tmp_path):
    """Steps of a chain are the workflow's own, in its order; a chain without id has no row."""
    log = History()
    workflow = Workflow(
        name="w", steps=[Step(chain=[Step(id="a", image="i"), Step(group=[Step(id="b", image="i")])])]
    )
    log.move(c.ExecutionQueued, "x1", "init", workflow=workflow, inputs={}, digest="d")
    found = rows(fold(tmp_path / "view.db", log.events), "steps")
    assert [(each["step"], each["position"]) for each in found] == [("a", 0), ("b", 1)]
