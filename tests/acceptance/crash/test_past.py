"""What is told of the cluster before and after one of its machines died."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.crash.plays import lone
from tests.fixtures.processes import BLAMING, STEADY_S, Installation

pytestmark = [pytest.mark.slow]


async def told(site: Installation, *arguments: str) -> list[Any]:
    """The JSON values that a command prints."""
    program = site.muster(arguments[0], *arguments, "--json").launch()
    assert await program.exits() == 0, program.log
    return [json.loads(line) for line in program.log.splitlines()]


async def test_a_machine_that_died_is_there_in_the_past(site: Installation) -> None:
    """At the moment its attempt ran it was online and held the slot; now it is offline, and another had finished it."""
    site.scheduler(policy=BLAMING).launch()
    first = site.agent("m1").launch()
    await site.log.until("machine.connected", machine="m1")
    execution = await site.client.submit(
        lone('test "$MUSTER_ATTEMPT" = 1 && sleep 600; echo "$MUSTER_ATTEMPT"')
    )
    started = await site.log.until("attempt.started", execution=execution)
    first.kill()
    lost = await site.log.until("attempt.superseded", execution=execution)
    site.agent("m2", interval_s=STEADY_S).launch()
    assert await site.log.ended(execution) == ["succeeded"]

    (then,) = await told(site, "cluster", "--at", str(started.sequence))
    assert [machine["name"] for machine in then["machines"]] == ["m1"]
    (machine,) = then["machines"]
    (held,) = machine["held"]
    assert (machine["status"], machine["slots"]["used"]) == ("online", 1)
    assert (held["execution"], held["step"], held["attempt"]) == (execution, "work", 1)
    assert (held["state"], held["superseded"]) == ("started", False)

    (between,) = await told(site, "cluster", "--at", str(lost.sequence))
    (machine,) = between["machines"]
    assert (machine["status"], machine["open"], machine["held"][0]["superseded"]) == ("offline", False, True)

    (now,) = await told(site, "cluster")
    assert {machine["name"]: machine["status"] for machine in now["machines"]} == {
        "m1": "offline",
        "m2": "online",
    }
    assert now["executions"] == []
    assert [m["status"] for m in await told(site, "machines", "--at", str(started.sequence))] == ["online"]
    assert [m["status"] for m in await told(site, "machines", "--at", str(lost.sequence))] == ["offline"]

    (changed,) = await told(site, "diff", execution, "--at", str(started.sequence))
    assert changed["steps"]["work"]["machine"] == {"before": "m1", "after": "m2"}
    assert changed["steps"]["work"]["attempt"] == {"before": 1, "after": 2}
    assert "Attempt Superseded" in [moment["label"] for moment in changed["timeline"]]
