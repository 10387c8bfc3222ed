"""The plugin in a pytest of its own: found or not asked for, async or not, strict or not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from muster.model.proof import fixture
from tests.fixtures.tampered import ended_diamond

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
ROOTS = [str(ROOT / name) for name in ("core", "agents", "projections")]
ENGINE = """
    async def test_runs(muster_engine):
        run = await muster_engine.run({"name": "w", "steps": [{"id": "a", "image": "i", "command": "true"}]})
        assert run.status == "succeeded"
"""


def run_pytest(folder: Path, test: str, *options: str, code: int = 0) -> str:
    """What pytest says of this test file, in a folder of its own, with nothing but the plugin (and what is named)."""
    (folder / "test_it.py").write_text(dedent(test))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers -ra\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "muster.testing.plugin", *options],
        cwd=folder,
        env=os.environ
        | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join(ROOTS),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_a_run_that_asks_for_nothing_pays_nothing(tmp_path: Path):
    """Whoever has Muster installed and does not use the plugin has nothing of Muster's imported."""
    test = """
        import sys

        def test_nothing():
            heavy = {"msgspec", "nats", "cel", "muster.client", "muster.model", "asyncio"}
            assert heavy & set(sys.modules) <= {"asyncio"}
            assert [name for name in sys.modules if name.startswith("muster")] == [
                "muster", "muster.testing", "muster.testing.plugin"
            ]
    """
    run_pytest(tmp_path, test, "-p", "no:cacheprovider")


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_it_works_in_both_modes_of_pytest_asyncio(tmp_path: Path, mode: str):
    """An async test awaits the engine, whether or not it had to be marked as async."""
    mark = "\n    import pytest\n    pytestmark = pytest.mark.asyncio\n" if mode == "strict" else ""
    options = ["-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"]
    run_pytest(tmp_path, mark + ENGINE, *options, "-o", f"asyncio_mode={mode}")


def test_it_works_without_any_plugin_for_async(tmp_path: Path):
    """A plain test asks for results; marks choose how the engine is made, and are known to strict pytest."""
    test = """
        import pytest

        pytestmark = pytest.mark.muster_engine(runtime="noop", machines={"gpu-1": {"labels": {"gpu": "true"}}})

        @pytest.mark.muster_engine(policy={"lost_max": 0})
        def test_runs(muster_engine):
            step = {"id": "a", "image": "i", "machine": {"labels": {"gpu": "true"}}}
            run = muster_engine.run({"name": "w", "steps": [step]}).result()
            assert run.steps["a"].machine == "gpu-1"
            muster_engine.save(run.id, "run.jsonl")

        def test_replays(muster_replay):
            run = muster_replay("run.jsonl")
            assert run.status == "succeeded"
            run.check()
    """
    assert "2 passed" in run_pytest(tmp_path, test)
    assert (tmp_path / "run.jsonl").read_text().count("\n") > 5


def test_a_fixture_is_found_beside_the_test_and_below_the_root(tmp_path: Path):
    """The path is that of the test's own folder; where nothing is there, that of the root."""
    folder = tmp_path / "tests"
    folder.mkdir()
    lines = b"\n".join(map(fixture.line, ended_diamond().log))
    (folder / "beside.jsonl").write_bytes(lines)
    (tmp_path / "rooted.jsonl").write_bytes(lines)
    (tmp_path / "test_other.py").write_text("")
    test = """
        import pytest

        @pytest.mark.parametrize("name", ["beside.jsonl", "rooted.jsonl"])
        def test_replays(muster_replay, name):
            muster_replay(name).check()

        def test_names_what_is_not_there(muster_replay):
            with pytest.raises(Exception, match="tests/none.jsonl: there is no such file"):
                muster_replay("none.jsonl")
    """
    (folder / "test_in.py").write_text(dedent(test))
    assert "3 passed" in run_pytest(tmp_path, "")


def test_a_failing_check_shows_the_difference(tmp_path: Path):
    """A decision that would come out otherwise fails the test with what was and what would be decided."""
    lines = b"\n".join(map(fixture.line, ended_diamond().log))
    (tmp_path / "run.jsonl").write_bytes(
        lines.replace(b'"data":{"machine":"m1"', b'"data":{"machine":"m2"', 1)
    )
    said = run_pytest(tmp_path, 'def test_it(muster_replay): muster_replay("run.jsonl").check()', code=1)
    assert "this release decides otherwise at sequence" in said
    assert "replayed.py" not in said.split("short test summary")[0]


def test_what_the_page_shows_works(tmp_path: Path):
    """The tests in docs/testing.md pass as they stand there, in the example's project."""
    shutil.copytree(ROOT / "examples/testing", tmp_path, dirs_exist_ok=True)
    (tmp_path / "pyproject.toml").unlink()
    page = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    marks = [block + "def test_marked(muster_engine): ...\n" for block in blocks if "def test_" not in block]
    assert len(marks) == 1
    code = "import pytest\n\n" + "\n".join([block for block in blocks if "def test_" in block] + marks)
    options = ["-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"]
    (tmp_path / "tests/test_page.py").write_text(code)
    said = run_pytest(tmp_path, "", *options, "-o", "asyncio_mode=auto", "tests/test_page.py")
    assert f"{code.count('def test_')} passed" in said


@pytest.mark.broker
def test_a_broker_of_the_tests_own(tmp_path: Path):
    """A private server is started, a client of its settings reaches it, and it is gone afterwards."""
    test = """
        import asyncio, socket
        import pytest
        from muster.broker.connect import connect

        URLS = []

        def test_there(muster_broker):
            async def prepared():
                broker = await connect(muster_broker.settings, name="test")
                await broker.prepare()
                last = (await broker.log.position()).last
                await broker.close()
                return last

            assert asyncio.run(prepared()) == 0
            assert muster_broker.url.startswith("nats://127.0.0.1:")
            URLS.append(muster_broker.url)

        def test_gone():
            port = int(URLS[0].rpartition(":")[2])
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", port), 1)
    """
    assert "2 passed" in run_pytest(tmp_path, test)
