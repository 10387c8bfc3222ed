"""Secrets in what a real function says: its prints, its exceptions, and what its harness says of its arguments."""

import pytest

from tests.unit.agents.scene import Scene, order

TOKEN = "sk-4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"
APP = """
import logging, os, sys

def prints(token, times=1):
    print("stdout has", token)
    print("stderr has", token, file=sys.stderr)
    logging.warning("a log has %s", token)
    return token

def raises(token):
    raise ValueError("refused: " + os.environ["DB_PASSWORD"] + " and " + repr(token))

def counts(token: int):
    return token
"""
LONG = TOKEN * 9


@pytest.fixture
def app(processes: Scene):
    folder = processes.settings.data_dir
    (folder / "vault.py").write_text(APP)

    def made(name: str, **inputs: str):
        return order(
            function=f"vault:{name}",
            working_dir=str(folder),
            inputs=inputs,
            environment={"DB_PASSWORD": "hunter2-hunter2"},
        )

    return made


async def test_what_a_function_prints_has_stars(processes: Scene, app):
    """Every line, whoever wrote it; what the function returns is a value, and as it was."""
    async with processes.agent():
        await processes.start(app("prints", token=TOKEN))
        finished = await processes.until("attempt.finished")
        lines = await processes.lines()
    assert sorted(line.partition("has ")[2] for line in lines if "has " in line) == ["***"] * 3
    assert TOKEN not in str(lines)
    assert finished.outputs == {"value": TOKEN}


@pytest.mark.parametrize(
    ("name", "token", "code", "words"),
    [
        ("raises", TOKEN, "invalid_argument", "refused: *** and '***'"),
        ("counts", TOKEN, "invalid_type", "must be int, not str: '***'"),
        ("counts", LONG, "invalid_type", "must be int, not str: '***"),
    ],
)
async def test_an_error_of_a_function_has_stars(processes: Scene, app, name, token, code, words):
    """Message and traceback, also where the harness shows the value of an argument, and cuts a long one."""
    async with processes.agent():
        await processes.start(app(name, token=token))
        failed = await processes.until("attempt.failed")
        lines = await processes.lines()
    assert failed.error.code == code
    assert words in failed.error.message
    for secret in (TOKEN[:12], "hunter2"):
        assert secret not in str(failed)
        assert secret not in str(lines)
