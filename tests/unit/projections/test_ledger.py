"""Which events count: repetitions, unknown kinds, forgeries, and what is still heard of an erased execution."""

import json

from muster.model.log import catalogue as c
from muster.model.log.envelope import Event, decode, encode
from muster_projections.bookkeeping import POISON
from tests.fixtures.histories import History
from tests.fixtures.views import fold, rows


def _alike(folder, log: History, table: str) -> list:
    """The rows of a table, folded at once and event by event."""
    once = fold(folder / "once.db", log.events)
    apart = fold(folder / "apart.db", log.events, cuts=range(1, log.sequence))
    assert rows(once, table) == rows(apart, table)
    return rows(once, table)


def test_a_repeated_fact_counts_once(tmp_path):
    """An agent's event whose number was seen already changes nothing, at whatever place it comes again."""
    log = History()
    log.connect("gpu-1")
    facts = list(log.prepare("x1", "a", 1, "gpu-1"))
    for fact in (facts[-1], facts[0], facts[3]):
        log.repeat(fact)
    assert len(_alike(tmp_path, log, "lifecycle")) == 6
    assert rows(tmp_path / "once.db", "writers") == [{"writer": "gpu-1", "n": 6}]
    assert rows(tmp_path / "once.db", "attempts")[0]["reported"] == "running"


def test_numbers_are_counted_by_machine(tmp_path):
    """Two machines may use the same number."""
    log = History()
    for name in ("gpu-1", "gpu-2"):
        log.report(name, c.AttemptAccepted(), "x1", step=name, attempt=1)
    assert len(_alike(tmp_path, log, "lifecycle")) == 2


def test_a_connection_counts_whatever_its_number(tmp_path):
    """machine.connected repeats the last number used, and is folded all the same; a higher one is remembered."""
    log = History()
    log.connect("gpu-1", "i1")
    log.report("gpu-1", c.AttemptAccepted(), "x1", step="a", attempt=1)
    log.connect("gpu-1", "i2")
    data = c.MachineConnected(instance="i3", facts=c.MachineFacts(), interval_s=3.0)
    log.append(Event(id="g:i3", writer="gpu-1", time=log.now, data=data, machine="gpu-1", n=9))
    log.report("gpu-1", c.AttemptStarted(), "x1", step="a", attempt=1)
    assert _alike(tmp_path, log, "machines")[0]["instance"] == "i3"
    assert [each["kind"] for each in rows(tmp_path / "once.db", "lifecycle")] == ["attempt.accepted"]
    assert rows(tmp_path / "once.db", "writers") == [{"writer": "gpu-1", "n": 9}]


def test_unknown_kinds_are_counted_and_passed_over(tmp_path):
    """A kind, or a version of a kind, from a newer release leaves a count and no row."""
    log = History()
    known = json.loads(encode(log.queue("x1").event))
    for type_ in ("io.muster.step.dreamt.v1", "io.muster.step.dreamt.v1", "io.muster.execution.queued.v9"):
        log.append(decode(json.dumps(known | {"type": type_, "execution": "x2"}).encode()))
    found = _alike(tmp_path, log, "unknown")
    assert [tuple(each.values()) for each in found] == [
        ("step.dreamt", 1, 2, 2, 3),
        ("execution.queued", 9, 1, 4, 4),
    ]
    assert [each["id"] for each in rows(tmp_path / "once.db", "executions")] == ["x1"]


def test_an_agent_cannot_decide(tmp_path):
    """A decision under a machine's name, or a fact under the scheduler's, changes nothing and is recorded."""
    log = History()
    log.queue("x1", ["a"])
    log.report("gpu-1", c.StepSucceeded(outputs={"y": 666}), "x1", step="a", attempt=1)
    log.decide(c.AttemptStarted(), "x1", step="a", attempt=1)
    found = _alike(tmp_path, log, POISON.name)
    assert [(each["sequence"], each["projection"], each["error"]) for each in found] == [
        (2, "*", "gpu-1 may not write step.succeeded"),
        (3, "*", "scheduler may not write attempt.started"),
    ]
    assert rows(tmp_path / "once.db", "steps")[0]["status"] == "pending"
    assert rows(tmp_path / "once.db", "attempts") == []


def test_a_fact_without_a_number_does_not_count(tmp_path):
    """A fact that cannot be told from its repetition is recorded as poison."""
    log = History()
    log.append(
        Event(id="g:1", writer="gpu-1", time=log.now, data=c.AttemptAccepted(), execution="x1", step="a")
    )
    assert _alike(tmp_path, log, POISON.name)[0]["error"] == "attempt.accepted of gpu-1 has no outbox number"


def test_what_is_heard_of_an_erased_execution_changes_nothing(tmp_path):
    """A fact that comes after execution.cleared makes no row, also where it comes in a later batch."""
    log = History()
    log.queue("x1", ["a"])
    log.schedule("x1", "a", 1, "gpu-1")
    log.decide(c.ExecutionCleared(), "x1")
    list(log.prepare("x1", "a", 1, "gpu-1"))
    for table in ("executions", "steps", "attempts", "lifecycle"):
        assert _alike(tmp_path, log, table) == []
    assert rows(tmp_path / "once.db", "cleared") == [{"execution": "x1", "sequence": 3}]


def test_an_erased_execution_may_be_erased_again(tmp_path):
    """The scheduler repeats execution.cleared until the erasure is done."""
    log = History()
    log.queue("x1", ["a"])
    for _ in range(3):
        log.decide(c.ExecutionCleared(), "x1")
    assert _alike(tmp_path, log, "executions") == []


def test_an_id_may_be_used_again_after_its_erasure(tmp_path):
    """Queued anew, the execution is another one and is shown."""
    log = History()
    log.queue("x1", ["a"])
    log.decide(c.ExecutionCleared(), "x1")
    log._transitions.clear()
    log.queue("x1", ["b"])
    log.report("gpu-1", c.AttemptAccepted(), "x1", step="b", attempt=1)
    assert [each["step"] for each in _alike(tmp_path, log, "steps")] == ["b"]
    assert rows(tmp_path / "once.db", "cleared") == []
    assert len(rows(tmp_path / "once.db", "lifecycle")) == 1


def test_the_ledger_outlives_the_process(tmp_path):
    """Numbers, counts and erasures are read back from the file."""
    log = History()
    fact = log.report("gpu-1", c.AttemptAccepted(), "x1", step="a", attempt=1)
    log.queue("x2", ["a"])
    log.decide(c.ExecutionCleared(), "x2")
    view = fold(tmp_path / "view.db", log.events)
    log.repeat(fact)
    log.report("gpu-1", c.AttemptAccepted(), "x2", step="a", attempt=1)
    fold(view, log.events)
    assert len(rows(view, "lifecycle")) == 1
