"""`muster function`: functions while somebody writes them, with no broker and no agent anywhere."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli import Muster
from tests.fixtures.require import missing

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).resolve().parents[2] / "examples/functions-other"
APP = """\
import logging, os, time
import muster_function

print("imported")
logging.info("weights are there")

def shout(text: str, times: int = 1, muster=None):
    muster.progress(1, 2, "half", "words")
    print("shouting", text)
    logging.getLogger("app").warning("loud")
    return {"loud": text.upper() * times}

class Counter:
    def load(self, start: int):
        print("loading")
        time.sleep(0.5)
        self.n = start
    def execute(self):
        self.n += 1
        return self.n
    def shutdown(self):
        print("shut down")

def copied(given: str, muster):
    with open(given) as source, open(os.path.join(muster.out, "copy.txt"), "w") as target:
        target.write(source.read().upper())

def environment():
    return sorted(name + "=" + value for name, value in os.environ.items() if name[0] == "A")

def refuses():
    raise ValueError("the text is empty")

def crashes():
    print("about to crash", flush=True)
    os._exit(7)

def asks():
    return muster_function.CheckLater("30s", {"job": 17})

def fails():
    raise muster_function.Failure({"code": 4}, "no such user")

def gives_up():
    return muster_function.Failure(reason="not today")

def vanishes():
    os._exit(7)

def sleeps():
    try:
        print("asleep", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Muster]:
    """The command line in the folder of a module with functions."""
    made = Muster(tmp_path_factory.mktemp("alone"))
    made.write("app.py", APP)
    made.write("given.txt", "some text")
    yield made
    made.close()


def test_a_function_is_called(alone: Muster):
    """Its value is on stdout; what it prints, logs and tells is on stderr. A text stays one, whatever it looks like."""
    done = alone("function", "run", "app:shout", "--input", "text=5", "--input", "times=3")
    assert json.loads(done.stdout) == {"loud": "555"}
    for words in ("imported", "INFO root: weights are there", "progress 1 of 2 words: half", "shouting 5"):
        assert words in done.stderr
    assert "WARNING app: loud" in done.stderr
    assert "called in" in done.stderr
    assert "\0" not in done.stderr


def test_it_is_loaded_once(alone: Muster):
    """However often it is called; at its end it shuts down."""
    arguments = ("app:Counter", "--params", '{"start": 10}', "--times", "5", "--json")
    done = alone("function", "run", *arguments)
    found = json.loads(done.stdout)
    assert found["outputs"] == {"value": 15}
    assert len(found["call_s"]) == 5
    assert min(found["call_s"]) < 0.5 <= found["load_s"]
    assert done.stderr.count("loading") == 1
    assert "shut down" in done.stderr


def test_files_go_in_and_come_out(alone: Muster):
    """A file is given as its path, and what the function writes is copied."""
    alone("function", "run", "app:copied", "--input-file", "given=given.txt", "--out", "made")
    assert (alone.folder / "made" / "copy.txt").read_text() == "SOME TEXT"


def test_its_environment_is_its_own(alone: Muster):
    """Nothing of this shell's but what is named."""
    given = ("--env", "AA=1", "--env", "AB", "--json")
    done = alone("function", "run", "app:environment", *given, AB="2", AC="3")
    assert json.loads(done.stdout)["outputs"] == {"value": ["AA=1", "AB=2"]}


def test_a_result_is_told(alone: Muster):
    """What it asked for instead of a value is shown, and nothing is called again."""
    assert "check later" in alone("function", "run", "app:asks").stdout
    result = alone.json("function", "run", "app:asks")["result"]
    assert (result["kind"], result["wait_min"], result["context"]) == ("check_later", 30, {"job": 17})


@pytest.mark.parametrize(
    ("function", "inputs", "code", "words"),
    [
        ("app:refuses", (), "invalid_argument", "ValueError: the text is empty"),
        ("app:shout", (), "invalid_argument", "the argument text is missing"),
        ("app:shout", ("times=x", "text=a"), "invalid_type", "the argument times must be int"),
        ("app:Counter", (), "invalid_argument", "the argument start is missing"),
        ("app:shot", (), "function_not_found", "Did you mean shout?"),
        ("nowhere:f", (), "function_not_found", "no module nowhere"),
        ("app:crashes", (), "function_crashed", "exit code 7"),
        ("app:fails", (), "execution", "no such user"),
    ],
)
def test_what_goes_wrong(alone: Muster, function: str, inputs: tuple[str, ...], code: str, words: str):
    """It ends with 1 and the error that a step would have; what was printed is there."""
    given = [part for pair in inputs for part in ("--input", pair)]
    done = alone("function", "run", function, *given, "--json", code=1, traceback=True)
    found = json.loads(done.stderr.splitlines()[-1])
    assert found["code"] == code
    assert words in found["message"]
    assert "muster logs" not in found["remedy"]
    if function == "app:crashes":
        assert "about to crash" in done.stderr
    if function == "app:fails":
        assert found["remedy"] == 'It gave {"code": 4}.'
        assert found["value"] == {"code": 4}


def test_a_traceback_is_shown(alone: Muster):
    """The function's own, above the error."""
    done = alone("function", "run", "app:refuses", code=1, traceback=True)
    assert 'raise ValueError("the text is empty")' in done.stderr
    assert "muster_function" not in done.stderr
    assert done.stderr.index("Traceback") < done.stderr.index("muster: ValueError")


@pytest.mark.parametrize(
    ("function", "once", "remedy"),
    [
        ("app:refuses", "ValueError: the text is empty", "Its traceback stands above."),
        ("app:shout", "the argument text is missing", "The inputs of the step are its arguments"),
        ("app:shot", "Did you mean shout?", "Check module and callable"),
        ("app:crashes", "about to crash", "What it printed stands above."),
        ("app:vanishes", "exit code 7", "What it printed stands above."),  # which the module did
        ("app:fails", "no such user", 'It gave {"code": 4}.'),
        ("app:gives_up", "not today", "It gave no value."),
    ],
)
def test_an_error_is_said_once(alone: Muster, function: str, once: str, remedy: str):
    """Nothing stands above the error that the error says itself, and what a failure gave is told."""
    said = alone("function", "run", function, code=1, traceback=True).stderr
    assert said.count(once) == 1
    assert remedy in said.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        *(("run", "app"), ("run", "app:shout", "--input", "text"), ("run", "app:shout", "--params", "[]")),
        *(("run", "app:copied", "--input-file", "given=nowhere"), ("check", "x", "--runtime", "tea")),
        ("check", "x", "--runtime", "process", "--function", "a:b", "--", "node"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant(alone: Muster, arguments: tuple[str, ...]):
    """It is refused before anything starts, and says what to write."""
    done = alone("function", *arguments, code=2)
    assert "imported" not in done.stderr


def test_ctrl_c_ends_the_function(alone: Muster):
    """It may clean up, and nothing of it stays."""
    running = alone.begin("function", "run", "app:sleeps")
    running.until("asleep")
    assert running.interrupt() == 130
    assert "cleaned up" in running.lines


@pytest.mark.parametrize("language", ["awk", "node", "python"])
def test_the_examples_keep_the_rules(alone: Muster, language: str):
    """In three languages: no rule is broken, and few could not be tried."""
    arguments, untried = {
        "awk": (("--", "busybox", "awk", "-f", str(EXAMPLES / "count.awk")), {10, 11, 15}),
        "node": (("--input", "wait_s=1", "--", "node", str(EXAMPLES / "count.mjs")), {15}),
        "python": (("--function", "app:shout"), {10}),
    }[language]
    program = {"awk": "busybox", "node": "node", "python": sys.executable}[language]
    if shutil.which(program) is None:
        missing("process", f"no {program} on this machine")
    done = alone(
        "function", "check", "count", "--runtime", "process", "--json", "--input", "text=to be", *arguments
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(one["rule"] for one in found) == list(range(1, 19))
    assert [one for one in found if one["outcome"] == "broken"] == []
    assert {one["rule"] for one in found if one["outcome"] == "not tried"} <= untried


def test_a_broken_rule_is_shown(alone: Muster):
    """With how it was broken, and exit code 1; what could not be tried then is not called kept."""
    program = "read line; echo no weights >&2; exit 3"
    arguments: tuple[Any, ...] = ("x", "--runtime", "process", "--", "sh", "-c", program)
    done = alone("function", "check", *arguments, code=1)
    assert "✗  1  Load is answered" in done.stdout
    assert "ended with exit code 3; it printed: no weights" in done.stdout
    assert done.stdout.count("not tried: it is not loaded") == 1  # and not with each of the rules
    assert "are broken" in done.stdout
