"""What the documentation shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.cli import Muster, muster

__all__ = ["muster"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "client.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize(
    "code", EXAMPLES, ids=[f"example-{number}" for number in range(1, len(EXAMPLES) + 1)]
)
def test_the_examples_of_the_client_run(muster: Muster, code: str):
    """Each program in docs/client.md runs to its end as it stands."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=muster.folder,
        env=muster.environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
