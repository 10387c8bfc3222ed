"""The entry point ``muster``: finds the command, loads only that one, and turns every error into a sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import click

from muster.cli import failures
from muster.cli.terminal import Terminal, global_options, help_of

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("muster.cli.up:up", "Start everything on this machine: broker, scheduler, agent, projections."),
    "run": ("muster.cli.run:run", "Run a workflow and follow it to its end."),
    "submit": ("muster.cli.submit:submit", "Submit a workflow and print the execution's id."),
    "watch": ("muster.cli.watch:watch", "Follow an execution to its end."),
    "list": ("muster.cli.list:list_", "List executions, newest first."),
    "show": ("muster.cli.show:show", "Show everything about one execution."),
    "diff": ("muster.cli.diff:diff", "Show what changed in an execution between two points."),
    "logs": ("muster.cli.logs:logs", "Print what an execution's steps printed."),
    "artifacts": ("muster.cli.artifacts:artifacts", "List and fetch the files of an execution."),
    "cancel": ("muster.cli.cancel:cancel", "Cancel an execution."),
    "resume": ("muster.cli.resume:resume", "Give a step the input it waits for."),
    "rerun": ("muster.cli.rerun:rerun", "Run an ended execution again, or only what failed."),
    "clear": ("muster.cli.clear:clear", "Erase finished executions from the log."),
    "schedules": ("muster.cli.schedules:schedules", "List, add, pause and remove schedules."),
    "events": ("muster.cli.events:events", "Print events of the log, or record an execution."),
    "log": ("muster.cli.log:log", "Verify the log and its archive; archive old executions."),
    "machines": ("muster.cli.machines:machines", "List the machines that answer, and those that do not."),
    "functions": ("muster.cli.functions:functions", "List the functions that are loaded, and where."),
    "cluster": ("muster.cli.cluster:cluster", "Show the whole cluster, now or at any past point."),
    "function": ("", "Call a function on this machine; check an image against the protocol."),
    "agent": ("", "Run attempts on this machine."),
    "scheduler": ("muster.cli.scheduler:scheduler", "Decide what runs where."),
    "projections": ("", "Keep, rebuild and verify the views."),
    "replay": ("muster.cli.replay:replay", "Make recorded decisions again and compare."),
    "validate": ("muster.cli.validate:validate", "Check workflow files and name every problem."),
    "explain": (
        "muster.cli.explain:explain",
        "Say in words what a workflow will run, where and in what order.",
    ),
    "graph": ("muster.cli.graph:graph", "Draw a workflow as a Mermaid flowchart."),
    "import": ("muster.cli.importing:import_", "Make a workflow of another system's file."),
    "schema": ("muster.cli.schema:schema", "Print the JSON Schema of workflow files, for editors."),
    "doctor": ("muster.cli.doctor:doctor", "Check broker, engine, clock, view, schedulers and machines."),
}
"""Where each command is and its one line of help; an empty place means that a plug-in brings it."""

PLUGINS: Final = "muster.commands"


class Commands(click.Group):
    """Loads a command when it is called: ``muster --help`` must not wait for a broker's library."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Ours in the order of a day's work, then what else is plugged in."""
        return [*COMMANDS, *sorted(name for name in _plugged() if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Load the command."""
        place, _ = COMMANDS.get(cmd_name, ("", ""))
        if not place:
            point = _plugged().get(cmd_name)
            return None if point is None else point.load()
        module, _, name = place.partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """As click does, but a reader that has gone is no error of the command line."""
        with _patient_pipe():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """As make_context."""
        with _patient_pipe():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without loading those whose line is known."""
        rows = []
        for name in self.list_commands(ctx):
            line = COMMANDS.get(name, ("", ""))[1]
            if not line and (command := self.get_command(ctx, name)) is not None:
                line = command.get_short_help_str(100)
            rows.append((name, line))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@contextmanager
def _patient_pipe() -> Iterator[None]:
    """End with 0 where the reader of a pipe (head, less) has what it wanted: click would make that a 1."""
    try:
        yield
    except BrokenPipeError:
        # Python writes what is left at exit, and must not complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(failures.OK) from None


def _plugged() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=PLUGINS)}


EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {text}" for code, text in failures.EXIT_CODES.items())


@click.group(
    "muster",
    cls=Commands,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(None, "--version", package_name="muster-engine", prog_name="muster")
@global_options
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Muster runs workflows of containers on machines you own, and keeps everything that happened in one log.

    Examples:
      muster up                                  start everything here
      muster run hello.yaml --input name=you     run a workflow and watch it
      muster show EXECUTION                      what happened, step by step
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        return
    terminal = ctx.ensure_object(Terminal)
    # Plug-ins read the settings their own way: what stands before a command's name reaches them like this.
    if terminal.url:
        os.environ["MUSTER_URL"] = terminal.url
    if terminal.data_dir:
        os.environ["MUSTER_DATA_DIR"] = str(terminal.data_dir)


cli.help = help_of(cli.callback) if cli.callback else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(args=list(arguments), prog_name="muster", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        code = failures.report(error, json="--json" in arguments)
    sys.exit(code if isinstance(code, int) else failures.OK)


if __name__ == "__main__":
    main()
