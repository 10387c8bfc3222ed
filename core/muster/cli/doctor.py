"""``muster doctor``: whether everything is as it must be, and how to mend what is not."""

from __future__ import annotations

import click

from muster.cli import failures
from muster.cli.terminal import Terminal, command, execute

_STYLES = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}


@command("doctor", short_help="Check broker, engine, clock, view, schedulers and machines.")
@click.pass_context
def doctor(ctx: click.Context, terminal: Terminal) -> None:
    """Check the broker, its streams, the engine, the clock, the view, the scheduler and the machines.

    Each line is OK, WARN or FAIL and says how to mend it; exits with 1 if any is FAIL.

    Examples:
      muster doctor
      muster doctor --json | jq 'select(.level != "OK")'
    """
    from muster.cli.checks import every

    checks = execute(every(terminal.settings))
    console = None if terminal.json else terminal.console()
    for check in checks:
        if console is None:
            terminal.emit(check)
            continue
        from rich.text import Text

        console.print(
            Text.assemble((f"{check.level:<4}", _STYLES[check.level]), f"  {check.name:<12}  {check.message}")
        )
        if check.remedy:
            console.print(Text(f"{'':<20}{check.remedy}", style="dim"))
    ctx.exit(failures.EXECUTION_FAILED if any(check.level == "FAIL" for check in checks) else failures.OK)
