"""The agent as a whole, with the noop and the process runtime, on the in-memory broker."""

from tests.unit.agents.scene import Scene, order, shell


async def test_an_attempt_is_accepted_started_and_finished(scene: Scene):
    """A start becomes three facts, in order, numbered, and named after machine, step and attempt."""
    async with scene.agent():
        await scene.start(order())
        await scene.until("attempt.finished")
        assert await scene.kinds() == ["attempt.accepted", "attempt.started", "attempt.finished"]
        events = [recorded.event for recorded in await scene.events("e1")]
        assert [event.n for event in events] == [1, 2, 3]
        assert {(event.machine, event.step, event.attempt) for event in events} == {("m1", "work", 1)}


async def test_a_process_runs(scene: Scene):
    """A command runs as a process: its lifecycle is told and its lines are shipped before its end is."""
    async with scene.agent(runtime="process"):
        await scene.start(shell("echo hello; echo oops >&2; exit 0"))
        finished = await scene.until("attempt.finished")
        assert finished.exit_code == 0
        assert await scene.kinds() == [
            "attempt.accepted",
            "container.starting",
            "container.started",
            "attempt.started",
            "container.exited",
            "attempt.finished",
        ]
        assert sorted(await scene.lines()) == ["hello", "oops"]
