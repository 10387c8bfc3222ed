"""Whatever happens in whatever order: no call gets into a container that is not its own, and none is overfull."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.model.errors import MusterError
from tests.unit.agents.functions.poolside import Poolside, settled
from tests.unit.agents.functions.pretending import Message, Pretender, keeps

KINDS: list[dict[str, Any]] = [
    {"function": "app:f"},
    {"function": "app:g", "params": {"size": 1}},
    {"function": "app:f", "isolation": "execution", "execution": "e1"},
    {"function": "app:f", "isolation": "execution", "execution": "e2"},
    {"function": "app:f", "isolation": "call"},
    {"function": "app:f", "image": "other"},
]
STEP = st.one_of(
    st.tuples(st.just("call"), st.integers(0, len(KINDS) - 1)),
    st.tuples(st.sampled_from(["answer", "crash", "cancel"]), st.integers(0, 9)),
    st.tuples(st.just("tend"), st.sampled_from([0, 1, 100])),
    st.tuples(st.sampled_from(["image", "deaf", "deaf to cancel", "short of memory"]), st.booleans()),
)


class Watch:
    """Looks at every call that reaches a container."""

    def __init__(self, side: Poolside) -> None:
        self.side = side
        self.orders: dict[str, Any] = {}
        self.broken: list[AssertionError] = []

    def calling(self, serving: Pretender, message: Message) -> None:
        """Keep what is wrong: nobody would hear of it from a callback."""
        try:
            self._check(serving, message)
        except AssertionError as error:
            self.broken.append(error)
        keeps(serving, message)

    def _check(self, serving: Pretender, message: Message) -> None:
        """It belongs here, there is room, and the container lives."""
        spec, execution = self.orders[message["id"]]
        assert not serving.ended.done()
        assert len(serving.open) <= self.side.runtime.concurrency
        same = msgspec.structs.replace(serving.launch.container, pull_policy=spec.pull_policy)
        assert same == spec
        assert serving.launch.execution in ("", execution)
        assert (serving.launch.execution == "") == (spec.isolation == "shared")
        if spec.isolation == "call":
            assert len(serving.calls) == 1


async def run(steps: list[tuple[str, Any]], concurrency: int) -> None:
    side = Poolside(functions_max=3, function_idle_s=50, function_ping_s=0.001)
    watch = Watch(side)
    side.runtime.concurrency, side.runtime.calling = concurrency, watch.calling
    tasks: list[asyncio.Task[Any]] = []
    async with side.open():
        for what, value in steps:
            await _step(side, watch, tasks, what, value)
            await settled()
            assert watch.broken == []
        side.runtime.obeys = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, MusterError), error
    assert (side.room.slots, side.room.memory) == (2, 1000)


async def _step(side: Poolside, watch: Watch, tasks: list[asyncio.Task[Any]], what: str, value: Any) -> None:
    open_ = [(serving, id_) for serving in side.runtime.made for id_ in serving.open]
    alive = [serving for serving in side.runtime.made if not serving.ended.done()]
    if what == "call":
        order = side.order(**KINDS[value])
        watch.orders[f"{order.execution}/{order.step}/{order.attempt}"] = (order.container, order.execution)
        tasks.append(side.begin(order))
    elif what == "answer" and open_:
        serving, id_ = open_[value % len(open_)]
        serving.say(id=id_, result={"$returned": 1})
    elif what == "crash" and alive:
        alive[value % len(alive)].end(1)
    elif what == "cancel" and tasks:
        tasks[value % len(tasks)].cancel()
    elif what == "tend":
        side.now += value
        await side.pool.tend()
    elif what == "image":
        side.runtime.digests["busybox"] = "d2" if value else "d1"
    elif what == "deaf":
        side.runtime.pongs = not value
    elif what == "deaf to cancel":
        side.runtime.obeys = not value
    elif what == "short of memory":
        side.available = 0.0 if value else 1.0


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, max_size=25), concurrency=st.integers(1, 3))
def test_no_schedule_breaks_the_rules(steps: list[tuple[str, Any]], concurrency: int):
    """Calls, answers, crashes, cancels, time, unanswered pings: each call is where it may be, nothing is left."""
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(run(steps, concurrency))
