from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner

from muster.cli import failures, main
from muster.model.errors import BrokerError, ExecutionTimeoutError, InputMissingError, WorkflowInvalidError

OURS = [name for name, (place, _) in main.COMMANDS.items() if place]


def load(name: str) -> click.Command:
    command = main.cli.get_command(click.Context(main.cli), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", OURS)
def test_the_list_says_what_the_command_says(name: str):
    """The line in the list of commands, which is known without loading, is the command's own."""
    assert main.COMMANDS[name][1] == load(name).short_help
    assert load(name).name == name


@pytest.mark.parametrize("name", OURS)
def test_every_command_has_examples_and_the_global_options(name: str):
    """The help of each command shows examples, line by line, and --url, --data-dir and --json."""
    text = CliRunner().invoke(main.cli, [name, "--help"]).output
    assert f"\n    muster {name}" in text
    for option in ("--url", "--data-dir", "--json"):
        assert option in text


def test_help_lists_every_command_and_exit_code():
    """`muster --help` names all commands and what the exit codes mean."""
    text = CliRunner().invoke(main.cli, ["--help"]).output
    for name in main.COMMANDS:
        assert f"\n  {name} " in text
    for code in failures.EXIT_CODES:
        assert f"\n    {code} " in text


def test_help_loads_no_library_that_is_slow():
    """The list of commands is shown without loading the broker's library, rich, msgspec or any command."""
    code = (
        "import sys\nfrom muster.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " {'nats', 'rich', 'msgspec', 'docker', 'sqlite3', 'yaml'} or name == 'muster.cli.run'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputMissingError(input="name"), failures.INVALID),
        (WorkflowInvalidError(problems=["a.yaml:1:2: no", "a.yaml:3:4: neither"]), failures.INVALID),
        (BrokerError(), failures.UNREACHABLE),
        (ExecutionTimeoutError(), failures.UNREACHABLE),
        (BaseExceptionGroup("two", [BrokerError()]), failures.UNREACHABLE),
        (click.UsageError("no such option"), failures.INVALID),
        (FileNotFoundError(2, "No such file", "x.yaml"), failures.INVALID),
        (KeyboardInterrupt(), failures.INTERRUPTED),
        (ValueError("what"), failures.DEFECT),
    ],
)
def test_every_error_has_its_exit_code_and_no_traceback(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Each kind of error ends with the code that is documented for it and says one sentence, no traceback."""
    monkeypatch.delenv("MUSTER_DEBUG", raising=False)
    assert failures.report(error, json=False) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.startswith("muster: ") or code == failures.INTERRUPTED


def test_an_error_in_json_has_code_message_and_remedy(capsys: pytest.CaptureFixture[str]):
    """With --json the error is one object on stderr."""
    failures.report(WorkflowInvalidError("2 problems", problems=["one", "two"]), json=True)
    said: dict[str, Any] = json.loads(capsys.readouterr().err)
    assert said["code"] == "workflow_invalid"
    assert said["problems"] == ["one", "two"]
    assert said["remedy"]


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """MUSTER_DEBUG=1 shows where an error came from."""
    monkeypatch.setenv("MUSTER_DEBUG", "1")
    try:
        raise ValueError("what")
    except ValueError as error:
        failures.report(error, json=False)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["run"], ["events", "--from", "0"], ["show", "--what"]])
def test_a_wrong_command_line_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    """What cannot be understood exits with 2 and says where to look."""
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == failures.INVALID
    assert "--help" in capsys.readouterr().err
