"""``muster up``: everything on this machine, in one process."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from typing import Any, Final

import click

from muster.cli.agents import agent_of, agent_options
from muster.cli.serving import Shutdown, connect
from muster.cli.stack import running
from muster.cli.terminal import Terminal, archive_option, command, execute
from muster.model.log.names import SCHEDULER
from muster.settings import Settings

PORT: Final = 4222  # where every other command looks for the broker


@command("up", short_help="Start everything on this machine: broker, scheduler, agent, projections.")
@agent_options(
    ("auto", "docker", "process"), "auto", "What steps run in; auto takes Docker where an engine answers."
)
@click.option("--port", type=click.IntRange(1, 65535), help=f"The embedded broker's port; {PORT} by default.")
@archive_option
@click.option("--no-agent", is_flag=True, help="Run nothing here: broker, scheduler and projections only.")
def up(terminal: Terminal, port: int | None, no_agent: bool, **agent: Any) -> None:
    """Start a broker, a scheduler, an agent and the projections, and run them until Ctrl-C.

    The broker keeps its store under --data-dir, so that what happened is still there at the next start. With --url the
    broker there is used and none is started. The agent takes the options of muster agent. Ctrl-C drains in order; a
    second one does not wait for that.

    Examples:
      muster up
      muster up --runtime process --port 4333 --data-dir ./.muster
      muster up --cpus 4 --memory 8Gi --function-idle 1h     leave something for others
      muster up --url nats://10.0.0.1:4222 --slots 2 --label gpu=true
    """
    execute(_up(terminal, None if no_agent else agent_of(agent), port))


async def _up(terminal: Terminal, agent: dict[str, Any] | None, port: int | None) -> None:
    settings = terminal.settings

    leads = asyncio.Event()

    def say(line: str) -> None:
        if line.startswith("scheduler ") and " leads" in line:
            leads.set()
        if terminal.json:
            terminal.emit({"ready": line})
        else:
            terminal.say(line)

    own = terminal.url is None and not os.environ.get("MUSTER_URL")
    with Shutdown() as shutdown:
        async with running(settings, own_broker=own, port=port or PORT, agent=agent, say=say) as stack:
            await _led(stack.settings, leads, shutdown.asked)
            if shutdown.asked.is_set():
                pass
            elif terminal.json:
                terminal.emit(
                    {"url": stack.settings.url, "data_dir": settings.data_dir, "view": settings.view_path}
                )
            else:
                where = "" if stack.settings.url == _default_url() else f" --url {stack.settings.url}"
                terminal.say(
                    f"Everything is up. In another terminal: muster{where} run FILE. Ctrl-C ends it."
                )
            await shutdown.asked.wait()
            terminal.say("draining: what runs is ended in order; Ctrl-C again does not wait")


async def _led(settings: Settings, leads: asyncio.Event, asked: asyncio.Event) -> None:
    """Wait until our scheduler leads, or another one beats, or we are asked to stop."""
    if leads.is_set():
        return
    broker = await connect(settings, "muster-up")

    async def other() -> None:
        async with aclosing(broker.heartbeats.listen()) as beats:
            async for beat in beats:
                if beat.name == SCHEDULER and not beat.leaving:
                    return

    waiting = [asyncio.create_task(work) for work in (leads.wait(), asked.wait(), other())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await broker.close()


def _default_url() -> str:
    from muster.settings import load

    return load().url
