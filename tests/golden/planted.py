"""One-line changes of the engine, each of which at least one history must notice."""

from __future__ import annotations

from typing import Final, NamedTuple

MODEL: Final = "core/muster/model"


class Change(NamedTuple):
    """``old`` stands exactly once in ``file``; ``why`` says what the line is there for."""

    file: str
    old: str
    new: str
    why: str


CHANGES: Final[dict[str, Change]] = {
    # ---- decide
    "loss-half-decided": Change(
        f"{MODEL}/engine/decide.py",
        "if attempt.superseded or attempt.lost_id is not None:",
        "if attempt.lost_id is not None:",
        "a leader that died between superseding an attempt and its retry leaves the second to the next",
    ),
    "waiting-step-of-a-failed-execution": Change(
        f"{MODEL}/engine/decide.py",
        'if execution.ending == "cancelled" or (step.status == "waiting" and step.reason != CONCURRENCY):',
        'if execution.ending == "cancelled":',
        "a step that was tried already is not called skipped",
    ),
    "retry-while-draining": Change(
        f"{MODEL}/engine/decide.py",
        "elif isinstance(next_, Final) or leaving:",
        "elif isinstance(next_, Final):",
        "nothing is tried again in an execution that is ending",
    ),
    "cancel-waits-for-ever": Change(
        f"{MODEL}/engine/decide.py",
        "if execution.ending_due is None or round_.now < execution.ending_due:",
        "if execution.ending_due is None or execution.ending_due:",
        "a machine that does not stop an attempt is not waited for without end",
    ),
    "not-taken-up-for-ever": Change(
        f"{MODEL}/engine/decide.py",
        "elif not attempt.accepted and round_.now >= (due_at := accept_due(round_.state, attempt)):",
        "elif attempt.accepted and round_.now >= (due_at := accept_due(round_.state, attempt)):",
        "an attempt that no agent takes up is lost after a time",
    ),
    "last-error-wins": Change(
        f"{MODEL}/engine/decide.py",
        "step = execution.failed[0]",
        "step = execution.failed[-1]",
        "the error of an execution is that of the first step that failed",
    ),
    "started-every-attempt": Change(
        f"{MODEL}/engine/decide.py",
        "if attempt.started_id is not None and not step.started:",
        "if attempt.started_id is not None:",
        "a step starts once, whatever the number of its attempts",
    ),
    "cause-of-an-end": Change(
        f"{MODEL}/engine/decide.py",
        "cause = execution.latest_id or execution.queued_id",
        "cause = execution.queued_id",
        "the end of an execution names the event that brought it about",
    ),
    "queue-keeps-going-after-failure": Change(
        f"{MODEL}/engine/assignment.py",
        "if not _schedule(round_, slot, wanted, machine):",
        "if _schedule(round_, slot, wanted, machine):",
        "a step that cannot start ends its execution before others of it get a machine",
    ),
    # ---- evolve
    "facts-count-twice": Change(
        f"{MODEL}/engine/evolve.py",
        "if machine is None or event.n is None or event.n <= machine.n:",
        "if machine is None or event.n is None:",
        "a fact that an outbox repeats counts once",
    ),
    "unaccepted-is-lost": Change(
        f"{MODEL}/engine/evolve.py",
        "if attempt.accepted and ref not in listed:",
        "if ref not in listed:",
        "a start that is still on its way is not lost when its agent connects again",
    ),
    "leaving-unnoticed": Change(
        f"{MODEL}/engine/evolve.py",
        "machine.leaving = machine.leaving or attempt.ordered_in == machine.session",
        "machine.leaving = machine.leaving",
        "an agent that stops what it runs gets nothing new before its goodbye",
    ),
    "ready-in-an-ending-execution": Change(
        f"{MODEL}/engine/frames.py",
        "if plain and not execution.leaving(step)",
        "if plain",
        "a success while an execution drains makes nothing ready",
    ),
    "policy-of-the-first-leader": Change(
        f"{MODEL}/engine/evolve.py",
        "state.policy = data.policy or state.policy",
        "state.policy = data.policy if state.term <= 1 and data.policy else state.policy",
        "decisions rest on the policy of who leads",
    ),
    "policy-must-be-recorded": Change(
        f"{MODEL}/engine/evolve.py",
        "state.policy = data.policy or state.policy",
        "state.policy = data.policy  # type: ignore[assignment]",
        "an early release did not record its policy",
    ),
    "online-again-unnoticed": Change(
        f"{MODEL}/engine/evolve.py",
        "machine.offline_session, machine.offline_id = 0, None",
        "machine.offline_id = None",
        "a machine that beats again is given steps again",
    ),
    "patience-from-the-beginning": Change(
        f"{MODEL}/engine/evolve.py",
        "machine.offline_at = event.time",
        "machine.offline_at = None",
        "a machine that is named is waited for from when it went",
    ),
    "timers-are-forgotten": Change(
        f"{MODEL}/engine/state.py",
        "            self._rearm(execution)\n",
        "            pass\n",
        "what was due under one leader is due under the next",
    ),
    "acceptance-is-forgotten": Change(
        f"{MODEL}/engine/state.py",
        'self.arm(accept_due(self, step.attempt), "accept", execution.id, path)',
        "pass",
        "a start that nobody took up under one leader is lost under the next",
    ),
    "executions-in-any-order": Change(
        f"{MODEL}/engine/state.py",
        "found.sort(key=lambda execution: execution.position)",
        "found.sort(key=lambda execution: execution.id)",
        "a round looks at executions in the order in which they were accepted",
    ),
    # ---- control steps
    "an-item-too-many": Change(
        f"{MODEL}/engine/frames.py",
        "and members.running < loop.max_parallel",
        "and members.running <= loop.max_parallel",
        "no more items run at once than were asked for",
    ),
    "items-go-on-after-a-failure": Change(
        f"{MODEL}/engine/frames.py",
        'and not (members.failed and loop.on_failure == "drain")',
        "",
        "after an item has failed no other begins",
    ),
    "skipped-by-its-condition-bars": Change(
        f"{MODEL}/engine/frames.py",
        'NOT_WELL: Final = frozenset({"upstream", "ending"})',
        'NOT_WELL: Final = frozenset({"upstream", "ending", "condition"})',
        "a step that its condition skipped counts as done",
    ),
    "another-token": Change(
        f"{MODEL}/engine/control.py",
        'about = f"{execution.id}/{step.path}/{execution.number}".encode()',
        'about = f"{execution.id}/{step.path}".encode()',
        "a token comes out again, so that a new leader finds the answer to what the old one asked",
    ),
    "asked-for-ever": Change(
        f"{MODEL}/engine/retry.py",
        "if spent < result.max_retries:",
        "if spent <= result.max_retries:",
        "a container is run again as often as it allowed, and no more",
    ),
    "a-child-outlives-its-parent": Change(
        f"{MODEL}/engine/control.py",
        'if child is not None and child.ending != "cancelled":',
        "if child is None:",
        "a cancel travels down to the child",
    ),
    # ---- retry
    "one-try-too-many": Change(
        f"{MODEL}/engine/retry.py",
        "if failure.retriable and spent < allowed:",
        "if failure.retriable and spent <= allowed:",
        "max_attempts counts every try",
    ),
    "hopeless-tried-again": Change(
        f"{MODEL}/engine/retry.py",
        "if failure.retriable and spent < allowed:",
        "if spent < allowed:",
        "what cannot be mended by trying is not tried",
    ),
    "one-budget-for-all-phases": Change(
        f"{MODEL}/engine/retry.py",
        "allowed = plan.max_attempts.get(phase, 1) - 1",
        'allowed = plan.max_attempts.get("load", 1) - 1',
        "each phase has a budget of its own",
    ),
    "even-backoff": Change(
        f"{MODEL}/engine/retry.py",
        "whole = min(plan.initial * plan.factor**spent, plan.max)",
        "whole = min(plan.initial * plan.factor, plan.max)",
        "the wait grows with every retry",
    ),
    "other-jitter": Change(
        f"{MODEL}/engine/retry.py",
        "return whole * (0.5 + drawn(ref) / 2)",
        "return whole * (0.4 + drawn(ref) / 2)",
        "jitter takes up to half off, and comes out again",
    ),
    "losses-without-end": Change(
        f"{MODEL}/engine/retry.py",
        "spent = used.get(LOST, 0)",
        "spent = 0",
        "a step may lose its machine only so often",
    ),
    # ---- placement
    "image-does-not-matter": Change(
        f"{MODEL}/engine/placement.py",
        "return share, image not in machine.images, machine.name",
        "return share, image in machine.images, machine.name",
        "among equals the machine that has the image is chosen",
    ),
    "load-does-not-matter": Change(
        f"{MODEL}/engine/placement.py",
        "share = machine.slots_used / machine.facts.slots",
        "share = 0.0",
        "the machine with the largest free share is chosen",
    ),
    "warmth-does-not-matter": Change(
        f"{MODEL}/engine/placement.py",
        "return machine.idle(function) <= 0, not pulled, share, machine.name",
        "return not pulled, share, machine.name",
        "a call goes where its function is loaded",
    ),
    "calls-count-for-ever": Change(
        f"{MODEL}/engine/cluster.py",
        "_count(self.calling, attempt.function, -1)",
        "pass",
        "a call that is over leaves its place in the container",
    ),
    "one-container-takes-them-all": Change(
        f"{MODEL}/engine/cluster.py",
        "_count(self.calling, attempt.function, 1)",
        "pass",
        "only so many calls go to a warm machine as are idle there",
    ),
    "any-label-will-do": Change(
        f"{MODEL}/engine/placement.py",
        "return all(labels.get(key) == value for key, value in self.labels)",
        "return all(key in labels for key, value in self.labels)",
        "a label has a value",
    ),
    "named-machine-is-waited-for-longer": Change(
        f"{MODEL}/engine/placement.py",
        "wait_s = policy.placement_timeout_s if named else policy.offline_timeout_s",
        "wait_s = policy.offline_timeout_s",
        "a machine that is named has its own patience",
    ),
    "to-one-that-leaves": Change(
        f"{MODEL}/engine/placement.py",
        "if machine.open and machine.fits(wanted.resources)",
        "if machine.online and machine.fits(wanted.resources)",
        "a machine that is leaving gets nothing new",
    ),
    "memory-is-not-counted": Change(
        f"{MODEL}/engine/cluster.py",
        "self.memory_used + resources.memory <= facts.memory",
        "resources.memory <= facts.memory",
        "what runs beside takes memory too",
    ),
    "never-every-core": Change(
        f"{MODEL}/engine/cluster.py",
        "and self.cpus_used + resources.cpus <= facts.cpus + 1e-9",
        "and self.cpus_used + resources.cpus < facts.cpus",
        "cores can be given away to the last",
    ),
    # ---- what decisions say
    "needs-in-any-order": Change(
        f"{MODEL}/engine/execution.py",
        "sorted(found, key=lambda step: step.order)",
        "sorted(found, key=lambda step: step.order, reverse=True)",
        "steps are looked at in the order of the definition",
    ),
    "whole-expression-becomes-text": Change(
        f"{MODEL}/expressions/template.py",
        "        return _evaluate(whole, scope)",
        "        return str(_evaluate(whole, scope))",
        "an expression that is a whole string keeps its type",
    ),
    "step-only-once": Change(
        f"{MODEL}/log/transitions.py",
        'Row("step", "step.started", ("starting", "running", "awaiting_input"), "running")',
        'Row("step", "step.started", ("starting", "awaiting_input"), "running")',
        "every first start of a step is a transition",
    ),
    # ---- reading
    "unknown-attributes-are-dropped": Change(
        f"{MODEL}/log/envelope.py",
        "        line=line,",
        "        line=None,",
        "what this release does not know survives a round trip",
    ),
    "newer-versions-are-refused": Change(
        f"{MODEL}/log/envelope.py",
        "if known is None or int(version) > known.version:",
        "if known is None:",
        "a version that is not known yet is kept as it came",
    ),
    "old-versions-are-not-read": Change(
        f"{MODEL}/log/upcasters.py",
        '    ("execution.cleared", 1): _cleared_v1,\n',
        "",
        "what an older release wrote is read for ever",
    ),
    # ---- the folds of clients and of the view
    "an-error-that-was-mended": Change(
        "core/muster/client/steps.py",
        "reason=data.reason, error=None, **made)",
        "reason=data.reason, **made)",
        "a step that succeeded in the end has no error",
    ),
    "transitions-are-not-counted": Change(
        "projections/muster_projections/executions.py",
        'columns["transitions"] = data.transition.number',
        'columns["transitions"] = 1',
        "the row of an execution says how many transitions it has",
    ),
}
