"""The options of an agent, which `muster agent` and `muster up` share."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from muster.cli import main, up
from muster.cli.agents import agent_of, agent_options, machine_name
from muster.model.errors import InvalidArgumentError, NameInvalidError
from muster_agents.command import agent
from muster_agents.options import AgentOptions


@click.command()
@agent_options(("auto", "noop"), "auto", "What steps run in.")
@click.pass_context
def shown(ctx: click.Context, /, **given: Any) -> None:
    ctx.obj.update(agent_of(given))


def told(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    CliRunner().invoke(shown, arguments, obj=found, catch_exceptions=False, standalone_mode=False)
    return found


def test_what_is_not_said_is_left_to_the_agent():
    """Only its name, its labels and its runtime are known without a word."""
    assert told() == {"name": machine_name(), "labels": {}, "runtime": "auto"}


def test_each_option_is_one_of_the_agents():
    """All of them together are what an agent can be told, in its own units."""
    found = told(
        *("--name", "m1", "--label", "a=b", "--slots", "3", "--runtime", "noop", "--cpus", "1.5"),
        *("--memory", "2Gi", "--gpus", "0,GPU-a", "--function-idle", "1h", "--functions-max", "0"),
    )
    assert AgentOptions(**found) == AgentOptions(
        name="m1",
        labels={"a": "b"},
        slots=3,
        runtime="noop",
        cpus=1.5,
        memory=2 << 30,
        gpus=["0", "GPU-a"],
        function_idle_s=3600,
        functions_max=0,
    )


@pytest.mark.parametrize(("text", "gpus"), [("0", 0), ("2", 2), ("3,", ["3"]), ("GPU-a", ["GPU-a"])])
def test_gpus_are_counted_or_named(text: str, gpus: object):
    """A number alone is how many; with a comma, or where it is no number, it says which."""
    assert told("--gpus", text)["gpus"] == gpus


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--gpus", "1,1"), "twice"),
        (("--gpus", ","), "names none"),
        (("--gpus", "-1"), "names none"),
        (("--memory", "lots"), "16Gi"),
        (("--memory", "0"), "more than 0"),
        (("--cpus", "0"), "x>0"),
        (("--function-idle", "soon"), "no duration"),
        (("--functions-max", "-1"), "x>=0"),
        (("--label", "a"), "a"),
        (("--name", "scheduler"), "reserved"),
        (("--name", "Not_Legal!"), "not a legal name"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], words: str):
    """Before anything starts."""
    with pytest.raises((click.UsageError, InvalidArgumentError, NameInvalidError)) as found:
        told(*arguments)
    assert words in str(found.value)


def test_both_commands_have_them():
    """What `muster agent` takes, `muster up` takes as well."""
    names = {option.name for option in shown.params}
    assert names <= {option.name for option in agent.params} & {option.name for option in up.up.params}
    assert "--function-idle" in CliRunner().invoke(main.cli, ["up", "--help"]).output
