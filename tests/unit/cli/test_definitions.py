"""The commands that look at a workflow without running it: explain, graph, schema, import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from muster.cli import failures, main
from muster.model.definition.schema import schema
from muster.model.definition.validation import load

HELLO = "name: hello\nsteps:\n  - {id: greet, image: 'busybox:1', outputs: {text: {}}}\n"
BLOCK = {"action": "TEXT.JOIN", "parameters": {"x": "{: nowhere :}"}, "id": "a"}


def run(*words: str | Path) -> Result:
    """The command, as a user gives it."""
    return CliRunner().invoke(main.cli, [*map(str, words)], catch_exceptions=True)


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A file with a workflow."""
    (tmp_path / "hello.yaml").write_text(HELLO)
    return tmp_path / "hello.yaml"


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A file of pyconduit in which a tag leads nowhere."""
    (tmp_path / "My Job.json").write_text(json.dumps([BLOCK]))
    return tmp_path / "My Job.json"


def test_explain_says_what_will_run(hello: Path):
    """In words, or as an object with the primitives."""
    assert "1. greet [run] runs busybox:1 on any machine; gives text\n" in run("explain", hello).stdout
    found = json.loads(run("explain", hello, "--json").stdout)
    assert found["primitives"] == {"run": 1}
    assert found["steps"][0] == {
        "path": "greet",
        "stage": 1,
        "primitive": "run",
        "written": "image",
        "what": "runs busybox:1 on any machine",
        "gives": ["text"],
    }


def test_graph_draws_mermaid(hello: Path):
    """As text, or in an object."""
    text = run("graph", hello).stdout
    assert text.startswith('---\ntitle: "hello"\n---\nflowchart TD\n')
    assert json.loads(run("graph", hello, "--json").stdout)["mermaid"] == text


def test_schema_prints_the_schema():
    """For people over many lines, for programs in one."""
    assert json.loads(run("schema").stdout) == json.loads(run("schema", "--json").stdout) == schema()


@pytest.mark.parametrize("command", [["explain"], ["graph"], ["import", "julep"]], ids=lambda words: words[0])
def test_a_wrong_file_is_refused_with_its_place(command: list[str], tmp_path: Path):
    """As by validate: the sentence and its exit code, no traceback."""
    (tmp_path / "w.yaml").write_text("name: [")
    done = run(*command, tmp_path / "w.yaml")
    assert failures.report(done.exception or AssertionError(), json=False) == failures.INVALID
    missing = run(*command, tmp_path / "none.yaml")
    assert failures.report(missing.exception or AssertionError(), json=False) == failures.INVALID


def test_import_prints_the_workflow_and_what_it_lost(job: Path):
    """The workflow on stdout is valid and says at its head what is missing; stderr says everything."""
    done = run("import", "pyconduit", job, "--image", "blocks:1")
    assert done.exit_code == failures.OK
    assert "not carried: step a (TEXT.JOIN): the tag {: nowhere :}" in done.stderr
    head = done.stdout.splitlines()[:2]
    assert head[0] == "# Carried over from My Job.json of pyconduit."
    assert head[1].startswith("# not carried: step a (TEXT.JOIN): the tag {: nowhere :}")
    workflow = load(done.stdout.encode(), name="w.yaml")
    assert (workflow.name, workflow.inputs["image"].default) == ("my-job", "blocks:1")


def test_import_writes_a_file(job: Path, tmp_path: Path):
    """Then stdout is silent, and stderr says how much is missing."""
    done = run("import", "pyconduit", job, "-o", tmp_path / "out.yaml", "--name", "Mine")
    assert done.stdout == ""
    assert done.stderr.endswith(f"{tmp_path}/out.yaml: mine, 1 thing not carried\n")
    assert load((tmp_path / "out.yaml").read_bytes(), name="out.yaml").name == "mine"


@pytest.mark.parametrize(
    ("parameters", "code"), [({}, failures.OK), (BLOCK["parameters"], failures.EXECUTION_FAILED)]
)
def test_strict_asks_that_everything_is_carried(parameters: Any, code: int, tmp_path: Path):
    """The workflow is printed all the same."""
    (tmp_path / "job.json").write_text(json.dumps([BLOCK | {"parameters": parameters}]))
    done = run("import", "pyconduit", tmp_path / "job.json", "--strict", "--image", "b")
    assert done.exit_code == code
    assert load(done.stdout.encode(), name="w.yaml").steps


def test_import_as_json(job: Path):
    """One object with the workflow and the notes."""
    found = json.loads(run("import", "pyconduit", job, "--json").stdout)
    assert found["workflow"]["name"] == "my-job"
    (note,) = found["notes"]
    assert (note["place"], note["lost"]) == ("step a (TEXT.JOIN)", True)
