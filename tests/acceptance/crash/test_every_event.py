"""A scheduler is killed with -9 before and behind every single event it appends; in the end nothing of it is seen.

Also inside rounds that are half written: few events are sent one by one, and many as one batch. The workflow that uses
every construct is ``whole.yaml``; the others end in other ways, or have one long round.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from muster.model.definition.validation import from_object, load
from muster.model.definition.workflow import Step, Workflow
from tests.acceptance.crash.whole_stage import Stage, before, behind, told
from tests.fixtures.broker import Broker
from tests.fixtures.processes import Installation
from tests.fixtures.severing import Severing

WHOLE = (Path(__file__).parent / "whole.yaml").read_text()
SLEEPER = {"image": "none", "command": "exec sleep 30", "stop_grace_period": "1s"}
BROKEN: dict[str, Any] = {
    "name": "broken",
    "on_failure": "cancel",
    "workflows": {"inner": {"name": "inner", "steps": [{"id": "triggers", **SLEEPER}]}},
    "steps": [
        {"id": "call", "workflow": "inner"},
        {"id": "trigger", "wait_for_input": {}},
        {
            "id": "each",
            "needs": ["trigger"],
            "for_each": {
                "in": [1, 2],
                "max_parallel": 1,
                "steps": [
                    {"id": "wrong", "image": "none", "command": "exit 3", "on_failure": [{"id": "tell", "log": "x"}]},
                    {"id": "barred", "log": "x", "needs": ["wrong"]},
                ],
            },
        },
        {"id": "after", "log": "x", "needs": ["each"]},
        {"id": "tidy", "always": True, "image": "none", "command": "true", "needs": ["each"]},
    ],
    "on_finish": [{"id": "bye", "log": "${{ error.name }}"}],
}  # fmt: skip
CANCELLED: dict[str, Any] = {
    "name": "cancelled",
    "workflows": {"inner": {"name": "inner", "steps": [{"id": "pending", **SLEEPER}, {"id": "nap", "sleep": "1h"}]}},
    "steps": [{"id": "call", "workflow": "inner"}, {"id": "trigger", "wait_for_input": {}}],
    "on_finish": [{"id": "bye", "log": "x"}],
}  # fmt: skip
WIDE: dict[str, Any] = {
    "name": "wide",
    "steps": [
        {"id": "each", "for_each": {"in": [*range(16)], "steps": [{"id": "say", "log": "${{ item }}"}]}}
    ],
}
"""One round of more events than are sent one by one."""

DEFINITIONS: dict[str, tuple[Workflow, str]] = {
    "whole": (load(WHOLE.encode(), name="whole.yaml"), "succeeded"),
    "broken": (from_object(BROKEN), "failed"),
    "cancelled": (from_object(CANCELLED), "cancelled"),
    "wide": (from_object(WIDE), "succeeded"),
}
PARTS = {"whole": 8, "broken": 3, "cancelled": 2, "wide": 3}
CASES = [(name, part) for name, parts in PARTS.items() for part in range(parts)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest_asyncio.fixture
async def stage(site: Installation, broker: Broker) -> AsyncIterator[Stage]:
    """One for each case: who starts reads the whole log, so that on a common one each cut would cost more."""
    async with Severing(broker.port) as severing:
        agent, projections = site.agent(slots=8).launch(), site.projections().launch()
        stage = Stage(site, severing)
        await agent.says("8 slots")
        await projections.says("keep")
        yield stage


async def test_every_construct_occurs_in_another() -> None:
    """Else the cuts would show less than they say: every key of a step is used, and each deeper than at the top."""
    plain = {"description", "entrypoint", "working_dir", "user", "network_mode", "read_only", "pull_policy"}
    plain |= {"stop_grace_period", "timeouts", "machine", "resources", "id"}
    constructs = {field.encode_name for field in msgspec.structs.fields(Step)} - plain
    assert {key for key in constructs if f"{key}:" not in WHOLE} == set()


@pytest.mark.parametrize(("name", "part"), CASES)
async def test_a_scheduler_may_die_at_any_event(stage: Stage, name: str, part: int) -> None:
    """Killed there and started again: outputs, outcomes and view are those of a run that nobody disturbed."""
    workflow, outcome = DEFINITIONS[name]
    id_, undisturbed = await stage.run(workflow)
    assert stage.site.log.ends[id_] == outcome
    events, facts = stage.severing.passed, len(stage.facts(id_, 0))
    assert events > 15
    for number in range(1 + part, events + 1, PARTS[name]):
        cuts = [before(number), behind(number), *([told(number)] if number <= facts else [])]
        for which, cut in enumerate(cuts):
            _, seen = await stage.run(workflow, cut)
            # Whether it stood still when somebody was asked is an event or two more or less, and the last thing that
            # the agent says may be read together with the end.
            assert stage.was_cut or number > events - 6 or which == 2
            assert seen == undisturbed, f"{('before', 'behind', 'told')[which]} {number}"
