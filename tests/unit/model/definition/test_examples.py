"""The workflows that people copy: the examples and the blocks of the reference."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muster.model.definition.validation import formulas, load
from muster.model.definition.workflow import (
    Backoff,
    Case,
    ForEach,
    Input,
    MachineSelector,
    Map,
    Output,
    Resources,
    Retry,
    Step,
    Timeouts,
    WaitForInput,
    Workflow,
)
from muster.model.expressions import bounds
from muster.model.log.commands import AttemptOrder
from muster.model.plan import inputs, outputs
from muster.model.plan import tree as plan
from muster.model.plan.lowering import lower

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
OF_FUNCTIONS = ROOT / "examples" / "functions" / "functions.yaml"
TEXTS = sorted((ROOT / "examples" / "text").glob("*.txt"))
REFERENCE = (ROOT / "docs" / "workflow.md").read_text(encoding="utf-8")
PARTS = (
    *(
        Backoff,
        Case,
        ForEach,
        Input,
        MachineSelector,
        Map,
        Output,
        Resources,
        Retry,
        Step,
        Timeouts,
        WaitForInput,
    ),
    Workflow,
)
BLOCKS = re.findall(
    r"```yaml\n(.*?)```", REFERENCE + (ROOT / "docs" / "functions.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize("path", [*EXAMPLES, OF_FUNCTIONS], ids=lambda path: path.name)
def test_every_example_is_valid(path: Path):
    """Each loads without a problem and is called what its file is called."""
    assert load(path.read_bytes(), name=path.name).name == path.stem


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_of_the_reference_is_valid(block: str):
    """What the page shows can be copied."""
    assert load(block.encode(), name="docs/workflow.md").steps


def test_the_reference_names_every_key_and_function():
    """A key, a phase or a function that exists stands on the page, as code."""
    keys = {field for part in PARTS for field in part.__struct_encode_fields__}
    prose = re.sub(r"```.*?```", "", REFERENCE, flags=re.DOTALL)
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", prose))))
    assert keys | formulas.FUNCTIONS | bounds.MACROS <= words


# ---- running them, with the shell of this machine and the shell of an image


def shells() -> list[Any]:
    busybox = pytest.mark.skipif(shutil.which("busybox") is None, reason="there is no busybox here")
    return ["sh", pytest.param("busybox", marks=busybox)]


@pytest.fixture(params=shells())
def tools(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The PATH of the steps: that of this machine, or nothing but busybox."""
    if request.param == "sh":
        return os.environ["PATH"]
    found = shutil.which("busybox")
    assert found is not None
    for name in ("awk", "cat", "echo", "head", "printf", "sed", "sh", "sort", "tr", "uniq", "wc"):
        (tmp_path / name).symlink_to(found)
    return str(tmp_path)


def run_step(order: AttemptOrder, path: str, folder: Path) -> dict[str, Any] | None:
    """The outputs of an attempt, or None where it failed."""
    given, written = folder / "inputs.json", folder / "outputs.json"
    given.write_bytes(msgspec.json.encode(order.inputs))
    written.unlink(missing_ok=True)
    shell = shutil.which("sh", path=path) or "sh"
    command = [shell if word == "/bin/sh" else word for word in order.container.command or []]
    files = {"MUSTER_INPUT": str(given), "MUSTER_OUTPUT": str(written), "MUSTER_ATTEMPT": str(order.attempt)}
    done = subprocess.run(
        command,
        env={"PATH": path} | files | order.container.environment,
        capture_output=True,
        check=False,
        timeout=30,
    )
    document = written.read_bytes() if written.exists() else None
    return outputs.collect(order.outputs, document, done.stdout) if done.returncode == 0 else None


def run(example: str, path: str, folder: Path, **given: Any) -> dict[str, Any]:
    """The outputs of the example; its steps run one after the other."""
    workflow = load((ROOT / "examples" / example).read_bytes(), name=example)
    planned = lower(workflow)
    scope: dict[str, Any] = {
        "inputs": inputs.accept(workflow, given),
        "steps": {},
        "execution": {"id": "x1", "workflow": workflow.name},
    }
    for step in planned.steps.values():
        for attempt in range(1, step.retry.max_attempts["run"] + 1):
            order = plan.order(step, execution="x1", attempt=attempt, workflow=workflow.name, scope=scope)
            if (found := run_step(order, path, folder)) is not None:
                scope["steps"][step.path] = {"outputs": found}
                break
        else:
            pytest.fail(f"{example}: {step.path} failed")
    return plan.outputs(planned, scope)


def test_hello_greets(tools: str, tmp_path: Path):
    """A value in the environment is never read as a command."""
    assert run("hello.yaml", tools, tmp_path, name="$(exit 1) 'x'; y") == {
        "greeting": "Hello, $(exit 1) 'x'; y!"
    }


def test_the_diamond_adds_up(tools: str, tmp_path: Path):
    """7 * 7 + 7 * 2 is 63."""
    found = run("diamond.yaml", tools, tmp_path)
    assert found == {"sum": 63, "text": "7 squared and doubled adds up to 63"}


def test_the_retry_goes_well_at_last(tools: str, tmp_path: Path):
    """The third attempt is the first that succeeds."""
    assert run("retry.yaml", tools, tmp_path) == {"attempts": 3}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_the_words_are_counted(path: Path, tools: str, tmp_path: Path):
    """The counts of the shell are those of Python."""
    text = path.read_text(encoding="utf-8")
    words = [word.strip("'") for word in re.findall(r"[a-z']+", text.lower()) if word.strip("'")]
    found = run("wordcount.yaml", tools, tmp_path, text=text, top=5)
    assert (found["words"], found["different"]) == (len(words), len(set(words)))
    counts = {word: words.count(word) for word in set(words)}
    most = sorted(counts, key=lambda word: (-counts[word], word))[:5]
    assert found["frequent"] == [{"word": word, "count": counts[word]} for word in most]
    assert found["letters"] == {letter: text.lower().count(letter) for letter in found["letters"]}
    assert found["report"].splitlines()[2:] == [f"{counts[word]:6d}  {word}" for word in most]


@pytest.mark.parametrize("text", ["", "'' \n\t", 'Ä "it\'s" $(a) \\n `b` x'])
def test_odd_texts_are_counted_too(text: str, tools: str, tmp_path: Path):
    """An empty text has no words, and nothing in a text is special to the shell."""
    found = run("wordcount.yaml", tools, tmp_path, text=text)
    assert found["words"] == len(re.findall(r"[a-z]+(?:'[a-z]+)*", text))
