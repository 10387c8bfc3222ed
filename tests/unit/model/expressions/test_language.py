"""What is loaded with the language of expressions: every command of Muster waits for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fixtures.processes import SOURCES


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("import muster.client, sys; print('prompt_toolkit' in sys.modules)", "False"),
        ("import muster.client, cel.cli; print(cel.cli.__file__ is None)", "False"),
        ("import cel, muster.client; print(cel.cli.__file__ is None)", "False"),
        ("import muster.client, cel; print(cel.evaluate('1 + 1'), hasattr(cel, 'cli'))", "2 False"),
    ],
)
def test_its_command_line_is_not_loaded(program: str, found: str):
    """Muster does without it; a program beside Muster that wants it has it, before as after."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )
    assert (done.stdout.strip(), done.stderr) == (found, "")
