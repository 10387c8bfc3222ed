"""The canonical form: the same log, the same bytes."""

import hashlib
import json

from muster_projections import canonical
from tests.fixtures.histories import history
from tests.fixtures.views import fold


def test_two_views_of_a_log_have_the_same_form(tmp_path):
    """Folded at another time, into another file, in other batches: the same lines and digest."""
    log = history(7, mishaps=0.5)
    first = fold(tmp_path / "first.db", log.events)
    second = fold(tmp_path / "second.db", log.events, cuts=range(1, log.sequence, 7))
    assert list(canonical.dump(first)) == list(canonical.dump(second))
    assert canonical.digest(first) == canonical.digest(second)


def test_the_digest_is_that_of_the_lines(tmp_path):
    """Whoever has the lines can check the digest with any tool."""
    path = fold(tmp_path / "view.db", history(7).events)
    text = "".join(f"{line}\n" for line in canonical.dump(path))
    assert canonical.digest(path) == hashlib.sha256(text.encode()).hexdigest()


def test_lines_are_json_in_a_fixed_order(tmp_path):
    """The sequence first, then each table's name and columns and its rows by their key."""
    log = history(7)
    head, *lines = [json.loads(line) for line in canonical.dump(fold(tmp_path / "view.db", log.events))]
    assert head == {"sequence": log.sequence}
    tables: dict[str, list[dict]] = {}
    for line in lines:
        if isinstance(line, dict):
            names, found = line["columns"], tables.setdefault(line["table"], [])
        else:
            found.append(dict(zip(names, line, strict=True)))
    assert list(tables) == [
        "executions",
        "transitions",
        "steps",
        "attempts",
        "lifecycle",
        "machines",
        "schedules",
        "errors",
    ]
    for table, key in (("transitions", ("execution", "number")), ("lifecycle", ("sequence",))):
        keys = [tuple(line[name] for name in key) for line in tables[table]]
        assert keys
        assert keys == sorted(keys)


def test_another_event_gives_another_digest(tmp_path):
    """One event more is seen."""
    log = history(7)
    assert canonical.digest(fold(tmp_path / "less.db", log.events[:-1])) != canonical.digest(
        fold(tmp_path / "all.db", log.events)
    )


def test_a_purged_log_gives_the_same_form(tmp_path):
    """After an erasure a rebuild reads a log with holes: the view comes out as that of the whole log."""
    log = history(21, executions=20, mishaps=0.8)
    cleared = {
        each.event.execution: each.sequence
        for each in log.events
        if each.event.data.kind == "execution.cleared"
    }
    assert cleared, "the seed should give a history with an erasure"
    left = [each for each in log.events if each.sequence >= cleared.get(each.event.execution, 0)]
    assert len(left) < log.sequence
    whole, purged = (fold(tmp_path / f"{len(events)}.db", events) for events in (log.events, left))
    assert canonical.digest(whole) == canonical.digest(purged)
