"""``muster log``: prove the log and its archive, and move old executions between them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import click

from muster.cli import failures
from muster.cli.quantities import Duration
from muster.cli.terminal import Terminal, archive_option, command, execute, global_options

if TYPE_CHECKING:
    from muster.archive.findings import Finding, Verified
    from muster.broker.interface import Broker

ANSWER_LIMIT_S: Final = 60.0  # between two words of the scheduler, which come with every hundred executions


@click.group("log", short_help="Verify the log and its archive; archive old executions.")
@global_options
def log() -> None:
    """The log holds everything that happened. Executions that ended long ago are moved out of it into the archive.

    \b
    Examples:
      muster log verify
      muster log archive --older-than 7d
    """  # noqa: D301  # a mark of click's: do not wrap


@command("archive", short_help="Move executions that ended long ago into the archive.")
@click.option(
    "--older-than",
    "older_than",
    type=Duration(),
    help="Those that ended longer ago than this, such as 30d, 12h or 0s; by default the scheduler's own limit.",
)
def archive(terminal: Terminal, older_than: float | None) -> None:
    """Have the scheduler archive now what ended longer ago, and say what was moved.

    It does so by itself every minute for what ended more than 30 days ago. Whatever reads the past reads the archive
    too: nothing is lost from sight.

    Examples:
      muster log archive --older-than 7d
      muster log archive --older-than 0s --json
    """
    execute(_archive(terminal, older_than))


async def _archive(terminal: Terminal, older_than_s: float | None) -> None:
    from muster.client.client import Client
    from muster.identity import uuid7
    from muster.model.log.commands import Archive
    from muster.model.log.names import SCHEDULER

    command = Archive(id=uuid7(), older_than_s=older_than_s)
    async with Client(settings=terminal.settings) as client:
        start = (await client.broker.log.position()).last + 1
        await client.broker.commands.send(SCHEDULER, "archive", command)
        count = events = size = 0
        place = ""
        async with aclosing(_answers(client.broker, start, command.id)) as answers:
            async for data in answers:
                place = data.place
                count += len(data.objects)
                events += sum(moved.events for moved in data.objects)
                size += sum(moved.bytes for moved in data.objects)
                if data.left and not terminal.json:
                    terminal.say(f"{count} executions moved, {data.left} to go")
    if terminal.json:
        terminal.emit({"executions": count, "events": events, "bytes": size, "place": place})
    elif count:
        terminal.say(f"{count} executions with {events} events moved to {place} ({size} bytes)")
    else:
        terminal.say("Nothing to archive: no execution ended that long ago.")


async def _answers(broker: Broker, start: int, command: str) -> Any:
    """Every ``log.archived`` the command led to, up to the last. Raises what the command was refused with."""
    from muster.client.patience import NO_SCHEDULER
    from muster.model.errors import ExecutionTimeoutError, from_info
    from muster.model.log import catalogue as c
    from muster.model.log import subjects
    from muster.model.log.names import NO_EXECUTION, SCHEDULER

    refused = subjects.events(writer=SCHEDULER, execution=NO_EXECUTION, noun="command", verb="refused")
    async with aclosing(broker.log.follow(start, subjects=[subjects.ARCHIVED, refused])) as batches:
        while True:
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    batch = await anext(batches)
            except TimeoutError:
                message, remedy = NO_SCHEDULER
                raise ExecutionTimeoutError(message, remedy=remedy) from None
            for recorded in batch:
                data = recorded.event.data
                if isinstance(data, c.CommandRefused) and data.command == command:
                    raise from_info(data.error)
                if isinstance(data, c.LogArchived) and recorded.event.cause == command:
                    yield data
                    if not data.left:
                        return


@command("verify", short_help="Check that nothing of the past is missing or was changed.")
@archive_option
@click.pass_context
def verify(ctx: click.Context, terminal: Terminal) -> None:
    """Read all of the log and its archive, and check that nothing is missing or was changed. Exits with 1 if so.

    Every archived object must be there with the hash that the log names; every sequence must be in the log, in the
    archive, or named by the marker of a clear; the scheduler's numbers of each execution and of the log.archived
    events must be without a gap. What is missing is named.

    Examples:
      muster log verify
      muster log verify --json | jq .findings
    """
    report = execute(_verify(terminal))
    if terminal.json:
        _emit(terminal, report)
    else:
        _print(terminal, report)
    ctx.exit(failures.OK if report.ok else failures.EXECUTION_FAILED)


async def _verify(terminal: Terminal) -> Verified:
    from muster.archive.verify import verify as look_through
    from muster.cli.reading import reading
    from muster.client.client import Client

    async with Client(settings=terminal.settings) as client:
        with reading(terminal, "Verifying") as progress:
            return await look_through(client.broker, progress)


def _emit(terminal: Terminal, report: Verified) -> None:
    from msgspec import to_builtins

    terminal.emit({"ok": report.ok, **to_builtins(report)})


def _print(terminal: Terminal, report: Verified) -> None:
    for finding in report.findings:
        terminal.say(f"WRONG  {_line(terminal, finding)}")
    for warning in report.warnings:
        terminal.say(f"NOTE   {_line(terminal, warning)}")
    if report.more:
        terminal.say(f"       and {report.more} more")
    archived = (
        f", {report.archived} of them in {report.objects} archived executions" if report.objects else ""
    )
    cleared = f"; {report.erased} executions were cleared" if report.erased else ""
    terminal.say(f"{report.events} events up to {report.sequence}{archived}{cleared}.")
    if report.ok:
        terminal.say("Nothing is missing, nothing was changed.")
    else:
        terminal.say(f"{len(report.findings) + report.more} findings: see docs/archive.md for what to do.")


def _line(terminal: Terminal, finding: Finding) -> str:
    return terminal.safe(finding.message)


log.add_command(archive)
log.add_command(verify)
