"""Calls of functions, one after the other, as tests of the container engine make them."""

from __future__ import annotations

from typing import Any, Final

from muster.client.steps import StepView
from tests.acceptance.docker.leftovers import Witness
from tests.acceptance.docker.stack import Stack, until

ANSWERED_S: Final = 90.0
WORKED_NS: Final = 100_000_000

SPEAKS: Final = """\
say() { printf '{"jsonrpc":"2.0","id":"%s",%s}\\n' "$1" "$2"; }
loaded() { say load '"result":{"protocol":1,"concurrency":1,"name":"shell"}'; }
returned() { say "$id" "\\"result\\":{\\"\\$returned\\":$1}"; }
hear() {
  while IFS= read -r line; do
    id=${line#*'"id":"'}; id=${id%%'"'*}
    case $line in
      *'"method":"load"'*) load ;;
      *'"method":"ping"'*) say "$id" '"result":{}' ;;
      *'"method":"execute"'*) execute ;;
      *'"method":"cancel"'*) cancel ;;
      *'"method":"shutdown"'*) say shutdown '"result":null'; exit 0 ;;
    esac
  done
}
load() { loaded; }
execute() { returned 1; }
cancel() { :; }
"""
"""A function in shell: what it does otherwise is said behind this, then ``hear`` is called."""


def call(image: str, function: str, inputs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A step that calls a Python function."""
    return {"id": "it", "image": image, "function": function, "inputs": inputs or {}} | more


def act(image: str, what: str, **more: Any) -> dict[str, Any]:
    """A step that has ``hostile.py`` do this. ``case`` keeps containers of cases apart."""
    return call(image, "hostile:act", {"what": what}, **more)


def raw(image: str, script: str, **more: Any) -> dict[str, Any]:
    """A step that calls a function in shell."""
    return (
        {"id": "it", "image": image, "function": "shell"}
        | {
            "command": ["sh", "-c", f"{SPEAKS}{script}\nhear"],
        }
        | more
    )


def ended(stack: Stack, step: dict[str, Any]) -> tuple[str, StepView]:
    """Run one step to its end; its execution, and how it stands then."""
    execution = stack.client.submit({"name": "acceptance", "steps": [step]})
    stack.client.wait(execution, timeout=ANSWERED_S)
    return execution, stack.client.step(execution, "it")


def place(stack: Stack, execution: str) -> str:
    """The container that answered, or was to."""
    return str(stack.event(execution, "attempt.started")["data"]["container"])


def came(step: StepView) -> Any:
    """Its value, or the code of its error."""
    if step.error is not None:
        return step.error.code
    return step.outputs.get("value", step.outputs)


def said(witness: Witness, container: str, *texts: str) -> None:
    """Wait until a function printed all of this: it is where it says that, which attempt.started does not tell."""
    found = witness.engine.containers.get(container)
    until(f"{texts} in {container}", lambda: all(text.encode() in found.logs() for text in texts))


def works(witness: Witness, container: str) -> None:
    """Wait until it has computed for a while from here on, which what only comes and goes does not."""
    began = _cpu_ns(witness, container)
    until(f"{container} works", lambda: _cpu_ns(witness, container) > began + WORKED_NS)


def _cpu_ns(witness: Witness, container: str) -> int:
    stats = witness.engine.api.stats(container, stream=False, one_shot=True)
    return int(stats["cpu_stats"]["cpu_usage"]["total_usage"])


def logged(stack: Stack, execution: str, *texts: str) -> str:
    """What ``muster logs`` says once all of this is in it: the last lines may come after the end."""
    printed = ""

    def found() -> bool:
        nonlocal printed
        answer = stack.muster("logs", execution, "it")
        assert answer.code == 0, answer
        printed = answer.out
        return all(text in printed for text in texts)

    until(f"{texts} in the logs of {execution}", found)
    return printed


def vanished(witness: Witness, container: str) -> None:
    """Wait until the engine knows nothing of it."""
    until(f"{container} is removed", lambda: all(one["Id"] != container for one in witness.present()))
