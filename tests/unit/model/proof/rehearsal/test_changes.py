"""The file that says what is to be otherwise."""

from __future__ import annotations

import pytest

from muster.model.definition.validation import from_object
from muster.model.errors import InvalidArgumentError
from muster.model.log.facts import MachineFacts
from muster.model.policy import Policy
from muster.model.proof.rehearsal.changes import Changes, load
from tests.fixtures.play import workflow

WHOLE = b"""
policy:
  beats_missed_max: 2
  placement_timeout_s: 10s
  offline_timeout_s: 90
steps:
  "*": {retry: {max_attempts: 5, backoff: {initial: 2s}}}
  train-*: {machine: {labels: {gpu: "true"}}, resources: {slots: 2}, retry: {phases: {pull: 2}}}
machines:
  gpu-1: {slots: 8, memory: 1Gi, labels: {zone: b, old: null}, interval: 500ms}
  "spare-*": {absent: true}
  gpu-9: {like: gpu-1}
"""


def whole() -> Changes:
    """A file with everything in it."""
    return load(WHOLE, name="rules.yaml")


def test_limits_are_those_of_the_file_and_else_as_recorded() -> None:
    """Durations may be written as people do; what is not written stays."""
    found = whole().limits(Policy(lost_max=9))
    assert found == Policy(beats_missed_max=2, placement_timeout_s=10.0, offline_timeout_s=90.0, lost_max=9)


def test_steps_change_by_id_and_pattern() -> None:
    """Every pattern that fits counts, and what it does not write stays as it was defined."""
    recorded = from_object(
        workflow(
            {"id": "fetch", "retry": {"max_attempts": 2, "backoff": {"max": "9s"}}},
            {"id": "train-1", "machine": "gpu-7", "resources": {"gpus": 1}},
        )
    )
    fetch, train = whole().workflow(recorded).steps
    assert (fetch.retry.max_attempts, fetch.retry.backoff.initial, fetch.retry.backoff.max) == (5, "2s", "9s")
    assert fetch.machine is None
    assert train.retry.phases == {"pull": 2}
    assert train.retry.max_attempts == 5
    assert train.machine is not None
    assert not isinstance(train.machine, str)
    assert (train.machine.name, train.machine.labels) == (None, {"gpu": "true"})
    assert (train.resources.gpus, train.resources.slots) == (1, 2)


def test_machines_change_by_name_and_pattern() -> None:
    """Amounts are set, labels one by one; some machines are not there, others are there besides."""
    rules = whole()
    facts = rules.facts("gpu-1", MachineFacts(slots=1, cpus=4.0, labels={"old": "1", "os": "linux"}))
    assert facts == MachineFacts(slots=8, cpus=4.0, memory=1 << 30, labels={"zone": "b", "os": "linux"})
    assert rules.interval_s("gpu-1", 3.0) == 0.5
    assert rules.interval_s("gpu-2", 3.0) == 3.0
    assert rules.absent("spare-7")
    assert not rules.absent("gpu-1")
    assert rules.more() == {"gpu-9": "gpu-1"}


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        (b"", "rules.yaml:1:1: the file is empty", "Write at least one of policy, steps and machines"),
        (b"policy: {}", "rules.yaml:1:1: the file changes nothing", "Write at least one of"),
        (b"- a", "rules.yaml:1:1: the file must be a mapping, not a list", "KEY: VALUE"),
        (b"polcy: {lost_max: 1}", "rules.yaml:1:1: the file has no key polcy", "Did you mean policy?"),
        (b"policy: {lost_mx: 1}", "rules.yaml:1:10: policy has no key lost_mx", "Did you mean lost_max?"),
        (b"policy:\n  lost_max: two", "rules.yaml:2:3: lost_max must be an integer", "Write an integer"),
        (b"policy: {lost_max: -1}", "lost_max is -1, less than 0", "Write 0 or more"),
        (b"policy: {lost_max: 100000}", "lost_max is 100000, more than 1000", "Write a smaller number"),
        (b"policy: {beats_missed_max: 0}", "beats_missed_max is 0, less than 1", "Write 1 or more"),
        (b"policy: {beat_slack_s: soon}", "beat_slack_s: 'soon' is not a duration", "500ms, 10s, 5m or 1h"),
        (b"policy: {beat_slack_s: [1]}", "beat_slack_s must be a", "Write"),
        (b"policy: 3", "rules.yaml:1:1: policy must be a mapping", "KEY: VALUE"),
        (b"steps: {a: {retry: {max_attempts: 0}}}", "max_attempts is 0, less than 1", "Write 1 or more"),
        (b"steps: {a: {retries: {}}}", "a has no key retries", "Did you mean retry?"),
        (b"steps: {a: {image: x}}", "a has no key image", "It can have retry, resources, machine"),
        (b"steps: {a: {machine: UPPER}}", "UPPER", ""),
        (b"machines: {m1: {slots: 0}}", "rules.yaml:1:17: slots is 0, less than 1", "Write 1 or more"),
        (b"machines: {m1: {memory: lots}}", "'lots' is not a size", "64Mi, 512M or 1Gi"),
        (b"machines: {m1: {interval: 0}}", "interval is 0", "30s"),
        (b"machines: {'m*': {like: m1}}", "'m\\*' is not a legal", ""),
        (b"machines: {m1: {labels: {a: 1}}}", "a must be a string", "quotes"),
        (b"policy: {lost_max: 1", "rules.yaml:2:1: a bracket is not closed", "Close it"),
        (b"a: 1\n---\nb: 2", "rules.yaml:2:1: a second document", "Keep one policy to a file"),
        (b"a: &b c", "YAML anchor", "Write the value out"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(text: bytes, said: str, remedy: str) -> None:
    """Every mistake is refused in one sentence with line, column and what to do."""
    with pytest.raises(InvalidArgumentError, match=said) as caught:
        load(text, name="rules.yaml")
    assert remedy in caught.value.advice
    assert caught.value.problems


def test_all_mistakes_are_found_at_once() -> None:
    """Nobody has to correct a file one mistake at a time."""
    with pytest.raises(InvalidArgumentError, match=r"\(and 2 more\)") as caught:
        load(b"policy: {a: 1}\nsteps: {x: {b: 2}}\nmachines: {y: {slots: no}}", name="rules.yaml")
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]
