"""A process is killed at each point where that could matter, and nothing of it is to be seen in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from muster.fault import POINTS
from muster.identity import uuid7
from tests.acceptance.crash.plays import BROKEN, DIAMOND, outcome, reflected
from tests.fixtures.broker import Broker
from tests.fixtures.processes import ALONE_S, Installation

COUNTS = {
    "scheduler.append": (1, 2, 3, 4, 6),
    "scheduler.send": (1, 2, 4),
    "scheduler.ack": (1, 2),
    "scheduler.elect": (1,),
    "scheduler.beat": (1, 2),
    "agent.accept": (1, 2, 4),
    "agent.append": (1, 2, 3, 5, 8),
    "agent.ack": (1, 2, 4),
    "agent.beat": (1, 2),
}
"""How often each point is passed before the process halts there. The two workflows pass each at least so often."""

CASES = [(point, count) for point in POINTS for count in COUNTS.get(point.rpartition(".")[0], ())]
PASSED = list(dict.fromkeys(point for point, _ in CASES))
"""Those of the projections are passed by a rebuild (test_rebuild_killed), those of archiving and clearing by what is
asked for there (test_retention)."""

DEATHS = 3
"""As often as a step may lose its machine (``Policy.lost_max``): one more, and it would have to fail."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


class Stage:
    """A running Muster whose scheduler and agent are killed over and over, and what undisturbed runs gave."""

    def __init__(self, site: Installation) -> None:
        self.site = site
        self.programs = {"scheduler": site.scheduler(takeover_after_s=ALONE_S), "agent": site.agent()}
        self.ready = {"scheduler": "leads (term", "agent": "4 slots"}
        self.undisturbed: list[str] = []

    async def run(self, point: str = "", counts: Sequence[int] = ()) -> list[str]:
        """Run both workflows; whoever passes ``point`` halts there, is killed and started again, once for each count.

        Gives what the view says once everything has come to rest.
        """
        victim, faults = self.programs.get(point.partition(".")[0]), [f"{point}:{count}" for count in counts]
        ids = [uuid7(), uuid7()]
        if victim is not None:
            assert await victim.end() == 0
            victim.launch(fault=faults.pop(0))
        async with asyncio.TaskGroup() as submits:
            for workflow, id_ in zip((DIAMOND, BROKEN), ids, strict=True):
                submits.create_task(self.site.client.submit(workflow, execution=id_))
            if victim is not None:
                for fault in [*faults, ""]:
                    await victim.halted()
                    victim.kill()
                    victim.launch(fault=fault)
        assert await self.site.log.ended(*ids) == ["succeeded", "failed"]
        for name, program in self.programs.items():
            await program.says(self.ready[name])
        await self.site.log.at_rest()
        for id_ in ids:
            self.site.log.each_step_once(id_)
        await reflected(self.site.view, self.site.log)
        return [line for id_ in ids for line in await asyncio.to_thread(outcome, self.site.view, id_)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Installation(tmp_path_factory.mktemp("stage"), module_broker.url) as site:
        stage = Stage(site)
        for program in (*stage.programs.values(), site.projections()):
            program.launch()
        stage.undisturbed = await stage.run()
        yield stage


@pytest.mark.parametrize(("point", "count"), CASES)
async def test_a_death_leaves_no_trace(stage: Stage, point: str, count: int) -> None:
    """Whoever is killed with -9 at this point and started again: both workflows end as if nothing had happened."""
    assert await stage.run(point, [count]) == stage.undisturbed


@pytest.mark.parametrize("point", PASSED)
async def test_deaths_one_after_the_other(stage: Stage, point: str) -> None:
    """Whoever dies at this point, and each time it is back dies there again, leaves no trace of it either."""
    assert await stage.run(point, [1] * DEATHS) == stage.undisturbed
