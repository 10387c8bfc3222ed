"""Functions that do what no function should: each has one clear outcome, and the next call is not the worse for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.acceptance.docker.called import act, call, came, ended, logged, place, raw, vanished
from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack

LARGE = 100_000_000
HASTY = "hasty"
GROWTH_MAX_KB = 60_000
"""Of the agent, while 100 MB come: what it reads at once, and what the allocator of Python keeps of that."""


@pytest.fixture(scope="module")
def m1(stack: Stack, witness: Witness) -> None:
    """Machines that keep a dozen containers, and ask each whether it is well before they call it again.

    The other one does not wait long for the answer: for containers that never give one.
    """
    for name, more in (("m1", {}), (HASTY, {"function_ping_s": 1.0})):
        stack.steady_agent(name, slots=2, functions_max=12, function_ping_after_s=0.0, **more)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What comes of it, what is said, whether the container can be called again, and what comes of that."""

    came: Any
    says: str = ""
    stays: bool = True
    logs: str = ""
    then: Any = None

    @property
    def machine(self) -> str:
        """Where it runs."""
        return "m1" if self.stays else HASTY


PYTHON = {
    "writes_binary": Case(came="mine", logs='"$returned":"forged"'),
    "answers_much": Case(came="output", says="larger than 1048576 bytes"),
    "forks_and_returns": Case(came="from both"),
    "forks_and_raises": Case(came="from the parent", logs="in the child"),
    "forks_and_stays": Case(came="children stay"),
    "exits": Case(came="function_execution", says="SystemExit: 3"),
    "ends_the_process": Case(came="function_crashed", says="exit code 7", stays=False, logs="the last words"),
    "faults": Case(came="function_crashed", says="exit code 139", stays=False, logs="hostile.py"),
    "kills_itself": Case(came="function_crashed", says="exit code 137", stays=False),
    "memory_error": Case(came="function_execution", says="MemoryError"),
    "closes_stdout": Case(came="said without stdout"),
    "closes_everything": Case(came="function_crashed", says="exit code", stays=False),
    "recurses": Case(came="function_execution", says="RecursionError"),
    "nests": Case(came="output", says="cannot be written as JSON"),
    "not_a_number": Case(came="output", says="cannot be written as JSON"),
    "a_set": Case(came="output", says="set is not JSON serializable"),
    "some_bytes": Case(came="output", says="bytes is not JSON serializable"),
    "half_a_surrogate": Case(came="output", says="cannot be written as JSON"),
    "rude": Case(came="function_execution", says="Rude: out of the way"),
    "interrupts": Case(came="function_execution", says="KeyboardInterrupt"),
    "cancels_itself": Case(came="function_execution", says="CancelledError"),
    "mute": Case(came="function_execution", says="its message cannot be shown"),
    "leaves_threads": Case(came=True),
    "asks": Case(came="function_execution", says="EOFError"),
    "reads_stdin": Case(came={"own": "", "raw": "", "child": None}),
    "takes_signals": Case(came="deaf"),
    "breaks_streams": Case(
        came="function_execution", says="LookupError", logs="LookupError: said all the same"
    ),
    "no_streams": Case(came="none"),
}


@pytest.mark.parametrize("what", PYTHON)
def test_what_a_python_function_does_to_its_process(
    stack: Stack, witness: Witness, m1: None, python_image: str, what: str
) -> None:
    """It has its own outcome, and the next call its right answer: in the same container, if that could go on."""
    case = PYTHON[what]
    own = {"environment": {"CASE": what}, "machine": case.machine}
    execution, step = ended(stack, act(python_image, what, **own))
    assert came(step) == case.came
    assert case.says in (step.error.message if step.error else "")
    assert len(stack.events(execution, "attempt.finished", "attempt.failed")) == 1
    if case.logs:
        logged(stack, execution, case.logs)
    again, after = ended(stack, act(python_image, "well", **own))
    assert after.outputs["n"] == 0
    assert (place(stack, again) == place(stack, execution)) == case.stays
    if not case.stays:
        vanished(witness, place(stack, execution))


def test_what_calls_share_is_the_process(stack: Stack, witness: Witness, m1: None, python_image: str) -> None:
    """The working directory, the environment and globals of a call are there in the next one, if it shares."""
    for isolation, kept in (("shared", True), ("call", False)):
        more = {"environment": {"CASE": "moves"}, "isolation": isolation, "machine": "m1"}
        ended(stack, act(python_image, "moves", **more))
        _, after = ended(stack, act(python_image, "looks_around", **more))
        shared = {"folder": "/tmp", "mood": "changed", "words": ["kept"]}
        assert (after.outputs == shared) == kept, after


def test_a_million_lines(stack: Stack, witness: Witness, m1: None, python_image: str) -> None:
    """The call succeeds, its last lines are in the log, and a line says how many were left out."""
    own = {"environment": {"CASE": "lines"}, "machine": "m1"}
    execution, step = ended(stack, act(python_image, "million_lines", **own))
    assert came(step) == "all said"
    logged(stack, execution, "lines were dropped here", "line 999999")
    again, after = ended(stack, act(python_image, "well", **own))
    assert after.outputs["n"] == 0
    assert place(stack, again) == place(stack, execution)
    assert "line 9" not in logged(stack, again), "each line is logged with its own call"


def test_more_memory_than_it_may(stack: Stack, witness: Witness, m1: None, python_image: str) -> None:
    """The kernel kills it: that is told as such, and what was asked for is in the details."""
    step = act(python_image, "eats_memory", resources={"memory": "64Mi"})
    execution, found = ended(stack, step)
    assert came(found) == "out_of_memory"
    assert found.error is not None
    assert found.error.details["memory"] == 64 << 20
    vanished(witness, place(stack, execution))


# ---- functions in shell: nothing stands between them and the agent

LONG = f"tr '\\0' x </dev/zero | head -c {LARGE}"
GARBAGE = r"""
execute() {
  head -c 300 /dev/urandom; echo
  echo '{not json'; echo '{"jsonrpc":"2.0"}'; echo '[1]'; echo 'just text'
  returned 1
}
"""
ANSWERS_MUCH = f"""
execute() {{
  n=$((n+1))
  if [ $n -gt 1 ]; then returned 1; return; fi
  printf '{{"jsonrpc":"2.0","id":"%s","result":{{"$returned":"' "$id"; {LONG}; echo '"}}}}'
}}
"""

SHELL = {
    "garbage between the lines": (
        GARBAGE,
        Case(came=1, logs="just text"),
    ),
    "answers twice": (
        'execute() { n=$((n+1)); returned $n; returned 99; say someone \'"result":{"$returned":98}\'; }',
        Case(came=1, then=2),
    ),
    "answers with 100 MB": (
        ANSWERS_MUCH,
        Case(came="output", says="Let the function write it to a file", then=1),
    ),
    "100 MB that are no answer": (f"execute() {{ {LONG}; echo; returned 1; }}", Case(came=1)),
    "100 MB without an end": (f"execute() {{ returned 1; {LONG}; }}", Case(came=1, stays=False)),
    "an error without words": ('execute() { say "$id" \'"error":{}\'; }', Case(came="function_execution")),
    "an error of its own": (
        'execute() { say "$id" \'"error":{"code":"E7","message":["no"],"data":5}\'; }',
        Case(came="function_execution", says='["no"]'),
    ),
    "a result of its own": ('execute() { say "$id" \'"result":7\'; }', Case(came="output")),
    "closes stdout": ("execute() { returned 1; exec >&-; }", Case(came=1, stays=False)),
    "ends well in mid-call": (
        "execute() { exit 0; }",
        Case(came="function_crashed", says="exit code 0", stays=False),
    ),
    "ends after its answer": ("execute() { returned 1; exit 3; }", Case(came=1, stays=False)),
    "children hold its streams": ("execute() { sleep 3600 & returned 1; }", Case(came=1)),
    "stops reading": ("execute() { returned 1; sleep 3600; }", Case(came=1, stays=False)),
}


@pytest.mark.parametrize("name", SHELL)
def test_what_a_function_may_write(
    stack: Stack, witness: Witness, m1: None, busybox_image: str, name: str
) -> None:
    """It has its own outcome, and the next call is answered, by another container where this one cannot."""
    script, case = SHELL[name]
    execution, step = ended(stack, raw(busybox_image, script, machine=case.machine))
    assert came(step) == case.came
    told = "" if step.error is None else f"{step.error.message} {step.error.remedy}"
    assert case.says in told
    if case.logs:
        logged(stack, execution, case.logs)
    again, after = ended(stack, raw(busybox_image, script, machine=case.machine))
    assert came(after) == (case.then or case.came)
    assert (place(stack, again) == place(stack, execution)) == case.stays
    if not case.stays:
        vanished(witness, place(stack, execution))


def test_the_second_answer_is_nobodys(stack: Stack, witness: Witness, m1: None, busybox_image: str) -> None:
    """The first one counts; the call that comes next gets its own, in the same container."""
    script, _ = SHELL["answers twice"]
    places = set()
    for n in (1, 2, 3):
        execution, step = ended(
            stack, raw(busybox_image, script, environment={"CASE": "second"}, machine="m1")
        )
        assert came(step) == n
        assert len(stack.events(execution, "attempt.finished")) == 1
        places.add(place(stack, execution))
    assert len(places) == 1
    assert "answers what it was not asked, or a second time" in stack.agents["m1"].log


def test_100_mb_are_not_read_into_memory(
    stack: Stack, witness: Witness, m1: None, busybox_image: str
) -> None:
    """A line that is longer than it may be is passed over as it comes."""
    script, _ = SHELL["answers with 100 MB"]
    step = raw(busybox_image, script, environment={"CASE": "memory"}, machine="m1")
    pid = stack.agents["m1"].pid
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = memory_kb(pid)
    assert came(ended(stack, step)[1]) == "output"
    assert memory_kb(pid) - before < GROWTH_MAX_KB
    assert came(ended(stack, step)[1]) == 1


def memory_kb(pid: int) -> int:
    """The most it had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


LOADS = {
    "never answers": ("load() { :; }", {"load": "1s"}, "step_timeout", "longer than its timeout of 1 s"),
    "reads nothing": ("sleep 3600", {"load": "1s"}, "step_timeout", "longer than its timeout of 1 s"),
    "another version": (
        'load() { say load \'"error":{"code":-32012,"message":"too new","data":{"supported":[7]}}\'; }',
        {},
        "function_load",
        "too new",
    ),
    "no such function": (
        'load() { say load \'"error":{"code":-32010,"message":"who is that"}\'; }',
        {},
        "function_not_found",
        "who is that",
    ),
    "something else": ("load() { say load '\"result\":[1]'; }", {}, "function_load", "got `array`"),
    "100 MB": (
        f'load() {{ printf \'{{"jsonrpc":"2.0","id":"load","result":"\'; {LONG}; echo \'"}}\'; }}',
        {},
        "function_load",
        "bytes",
    ),
    "ends": ("load() { echo why >&2; exit 4; }", {}, "function_load", "exit code 4"),
}


@pytest.mark.parametrize("name", LOADS)
def test_what_does_not_load(stack: Stack, witness: Witness, m1: None, busybox_image: str, name: str) -> None:
    """It fails in the phase load, and its container is gone."""
    script, timeouts, code, says = LOADS[name]
    execution, step = ended(stack, raw(busybox_image, script, timeouts=timeouts))
    assert step.error is not None
    assert (step.error.code, step.error.phase) == (code, "load")
    assert says in step.error.message
    vanished(witness, str(stack.event(execution, "container.started")["data"]["container"]))


def test_a_load_that_takes_too_long_in_python(
    stack: Stack, witness: Witness, m1: None, python_image: str
) -> None:
    """The harness is stopped as well, and the next call has a container of its own."""
    step = call(python_image, "outcomes:Slow", timeouts={"load": "1s"}, stop_grace_period="2s")
    execution, found = ended(stack, step)
    assert came(found) == "step_timeout"
    vanished(witness, str(stack.event(execution, "container.started")["data"]["container"]))


def test_children_end_with_the_container(stack: Stack, witness: Witness, m1: None, python_image: str) -> None:
    """They do not keep it from being called, nor from ending when its agent does."""
    execution, _ = ended(
        stack, act(python_image, "forks_and_stays", environment={"CASE": "children"}, machine="m1")
    )
    container = place(stack, execution)
    assert len(witness.engine.api.top(container)["Processes"]) >= 4
    stack.agents["m1"].stop()
    vanished(witness, container)
    stack.agents["m1"].start()
