"""The command: help with examples, and what can be asked without a broker."""

import json

import pytest
from click.testing import CliRunner

from muster.settings import load
from muster_projections.command import projections
from muster_projections.registry import chosen


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(projections, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    "command", [[], ["run"], ["rebuild"], ["verify"], ["status"], ["path"], ["schema"]], ids=" ".join
)
def test_help_has_examples(command):
    """Every command shows how it is used."""
    shown = _run(*command, "--help")
    assert "Examples:\n  muster projections" in shown.replace("    muster", "  muster")


def test_the_path_is_printed():
    """The path of the view, whether or not it exists."""
    assert _run("path").strip() == str(load().view_path)
    assert json.loads(_run("path", "--json")) == {"view": str(load().view_path), "exists": False}


def test_the_schema_is_printed():
    """Every table with its columns, for people and for programs."""
    shown = _run("schema")
    found = {each["table"]: each for each in json.loads(_run("schema", "--json"))}
    for projection in chosen():
        for table in projection.tables:
            assert f"### `{table.name}`" in shown
            assert [column["name"] for column in found[table.name]["columns"]] == list(table.names)
