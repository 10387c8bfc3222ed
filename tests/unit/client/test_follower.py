from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from muster.client.follower import ExecutionView
from muster.model.log import catalogue
from muster.model.log.catalogue import Unknown
from muster.model.log.envelope import Event, Recorded
from tests.unit.client.story import Story, recorded


def view_of(events: list[Event]) -> ExecutionView:
    view = ExecutionView("e1")
    view.apply_all(recorded(events))
    return view


def test_a_run_that_went_well_is_folded():
    """Status, outputs, steps and transitions are what the events say."""
    view = view_of(Story().whole())
    assert view.status == "succeeded"
    assert view.finished
    assert view.outputs == {"text": "hi"}
    assert view.progress == (2, 2)
    assert [step.status for step in view.steps.values()] == ["succeeded", "succeeded"]
    assert view.steps["greet"].outputs == {"text": "hi"}
    assert view.steps["greet"].machine == "m1"


def test_transitions_are_numbered_and_joined():
    """Each transition begins where the one before it ended, and carries its number, time and step."""
    view = view_of(Story().whole())
    assert [row.number for row in view.transitions] == [1, 2, 3, 4, 5]
    assert [row.type for row in view.transitions] == ["init", "start", "step", "step", "finish"]
    assert all(one.after == two.before for one, two in pairwise(view.transitions))
    assert view.transitions[2].step == "greet"
    assert view.transitions[-1].output == {"text": "hi"}


def test_steps_are_known_from_the_beginning():
    """Before anything is scheduled every step of the definition is there and pending."""
    view = view_of([Story().queued()])
    assert {path: step.status for path, step in view.steps.items()} == {
        "greet": "pending",
        "count": "pending",
    }
    assert view.progress == (0, 2)


def test_failed_and_skipped_steps_count_as_finished():
    """Progress counts a step that failed or was skipped as finished."""
    story = Story()
    view = view_of([story.queued(), story.started(), *story.begins("greet"), *story.failed("greet")])
    assert view.status == "failed"
    assert view.progress == (2, 2)
    assert view.error is not None
    assert view.error.step == "greet"
    assert view.steps["count"].reason == "ending"


def test_phases_are_followed():
    """While an attempt goes through its phases the step says which one."""
    story = Story()
    view = view_of([story.queued(), story.started()])
    seen = []
    for entry in recorded(story.begins("greet"), 3):
        view.apply(entry)
        step = view.steps["greet"]
        seen.append((step.status, step.phase))
    assert seen == [
        ("scheduled", None),
        ("preparing", None),
        ("preparing", "pull"),
        ("preparing", "pull"),
        ("preparing", "start"),
        ("running", "run"),
        ("running", "run"),
    ]


def test_a_second_attempt_takes_over():
    """A fact of an attempt that is no longer current changes nothing, but stands in the timeline."""
    story = Story()
    events = [story.queued(), story.started(), *story.begins("greet")]
    late = story.reports(catalogue.AttemptFinished(outputs={"text": "late"}), "greet", 1)
    events += [
        story.decides(
            catalogue.StepRetrying(error=story.error("greet"), budget="run", used=1, due_at=events[-1].time),
            "greet",
        ),
        *story.begins("greet", 2, "m2"),
        msgspec.structs.replace(late, n=99),
    ]
    view = view_of(events)
    step = view.steps["greet"]
    assert (step.attempt, step.machine, step.status, step.outputs) == (2, "m2", "running", {})
    assert view.timeline[-1].label == "Execution Finished"
    assert view.timeline[-1].attempt == 1


def test_what_is_written_twice_counts_once():
    """A repeated agent fact, a repeated transition and a repeated sequence change nothing."""
    story = Story()
    events = [story.queued(), story.started(), *story.begins("greet")]
    view = view_of(events)
    before = (len(view.timeline), len(view.transitions), dict(view.steps))
    view.apply_all(recorded(events, 100))
    view.apply_all(recorded(events))
    assert (len(view.timeline), len(view.transitions), view.steps) == before


def test_an_ended_step_stays_ended():
    """Nothing that is said of a step after its end changes it."""
    story = Story()
    view = view_of([*story.whole()])
    ended = view.steps["greet"]
    view.apply(
        Recorded(99, story.decides(catalogue.StepScheduled(machine="m2", session=1), "greet", attempt=7))
    )
    assert view.steps["greet"] is ended


def test_an_unknown_kind_is_passed_over():
    """An event of a kind this release does not know leaves the fold as it is, and does not stop it."""
    story = Story()
    view = view_of([story.queued()])
    odd = msgspec.structs.replace(story.started(), data=Unknown("step.dreamt", 1, msgspec.Raw(b"{}")))
    view.apply(Recorded(2, odd))
    assert view.status == "queued"
    assert view.sequence == 2


def test_the_timeline_has_hykos_names_in_order():
    """The lifecycle of a plain container is told by the five of Hyko's names that apply."""
    story = Story()
    view = view_of([story.queued(), story.started(), *story.begins("greet"), *story.ends("greet")])
    assert [moment.label for moment in view.timeline] == [
        "Pulling Image",
        "Image Pulled (cached)",
        "Starting Container",
        "Execution Started",
        "Execution Finished",
    ]
    assert {moment.machine for moment in view.timeline} == {"m1"}


def test_a_call_says_where_it_ran():
    """The first call's container was started for it, that of the next was there; whoever looks sees which it was."""
    story = Story()
    events = [story.queued(), story.started()]
    events += [story.decides(catalogue.StepScheduled(machine="m1", session=1), "greet", attempt=1)]
    for body in (
        catalogue.ContainerStarting(image="fn:1"),
        catalogue.ContainerStarted(container="0123456789abcdef"),
        catalogue.FunctionLoading(function="app:f", container="0123456789abcdef"),
        catalogue.FunctionLoaded(function="app:f", container="0123456789abcdef"),
        catalogue.AttemptStarted(container="0123456789abcdef"),
    ):
        events.append(story.reports(body, "greet"))
    view = view_of(events)
    assert (view.steps["greet"].container, view.steps["greet"].warm) == ("0123456789abcdef", False)
    assert [(moment.label, moment.detail) for moment in view.timeline][-3:] == [
        ("Loading Function", "app:f"),
        ("Function Loaded", "app:f"),
        ("Execution Started", "in 0123456789ab"),
    ]
    again = [story.decides(catalogue.StepScheduled(machine="m2", session=2), "greet", attempt=2)]
    again.append(story.reports(catalogue.AttemptStarted(container="fedcba", warm=True), "greet", 2, "m2"))
    view = view_of([*events, *again[:1]])
    assert (view.steps["greet"].container, view.steps["greet"].warm) == ("", False)
    view = view_of([*events, *again])
    assert (view.steps["greet"].container, view.steps["greet"].warm) == ("fedcba", True)
    assert view.timeline[-1].detail == "in fedcba, warm"


@pytest.mark.parametrize("cut", range(1, 18))
def test_a_fold_can_be_continued(cut: int):
    """Folding the log in two goes gives what folding it in one gives."""
    events = recorded(Story().whole())
    whole, parts = ExecutionView("e1"), ExecutionView("e1")
    whole.apply_all(events)
    parts.apply_all(events[:cut])
    parts.apply_all(events[cut - 1 :])
    assert parts.steps == whole.steps
    assert parts.transitions == whole.transitions
    assert parts.timeline == whole.timeline


def test_cancelling_is_seen_before_its_end():
    """`ending` says what the outcome will be while the status has not changed yet."""
    story = Story()
    ending, cancelled = story.queued(), story.cancelled("enough")
    view = view_of([ending, cancelled[0]])
    assert (view.status, view.ending, view.reason) == ("queued", "cancelled", "enough")
    view.apply(Recorded(3, cancelled[1]))
    assert view.status == "cancelled"
