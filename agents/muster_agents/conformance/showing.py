"""What ``muster function`` shows: prints and records on stderr as they come, results and verdicts on stdout."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from muster.cli.terminal import Terminal
from muster.cli.words import harmless
from muster.model.definition.workflow import ContainerSpec
from muster.model.errors import MusterError
from muster_agents.conformance.verdict import Verdict
from muster_agents.functions.alone import Called

SIGNS: Final = {"kept": "✓", "broken": "✗", "not tried": "–"}
STYLES: Final = {"kept": "green", "broken": "red", "not tried": "dim"}


class Shown:
    """For one command."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._console = terminal.console()
        self._why = ""
        self._heard = False

    # ---- while it runs

    def printed(self, chunk: bytes) -> None:
        """The function printed this."""
        self._heard = True
        self._write(chunk.decode("utf-8", "backslashreplace"))

    def said(self, stream: str, chunk: bytes) -> None:
        """A container that is checked printed this; its marks are not for people."""
        if self._terminal.json:
            return
        for line in chunk.decode("utf-8", "backslashreplace").splitlines():
            if text := line.partition("\0")[0]:
                sys.stderr.write(f"      {stream}: {harmless(text)}\n")
        sys.stderr.flush()

    def told(self, method: str, params: Mapping[str, Any]) -> None:
        """The function told this."""
        if method == "log":
            logger = params.get("logger") or "root"
            self.printed(f"{str(params.get('level')).upper()} {logger}: {params.get('text')}\n".encode())
        elif method == "progress":
            total, unit = params.get("total"), params.get("unit")
            text = f"progress {params.get('current')}" + ("" if total is None else f" of {total}")
            text += f" {unit}" if unit else ""
            text += f": {params['message']}" if params.get("message") else ""
            self.printed(f"{text}\n".encode())

    # ---- what came of it

    def failed(self, error: MusterError) -> MusterError:
        """Show the traceback, and say what helps where there is no execution; of a failure, its value."""
        traceback = error.data.get("traceback")
        if isinstance(traceback, str):
            self._write(unsaid(traceback, error.message))
        if "muster logs" not in error.info().remedy:
            return error
        data = {name: value for name, value in error.data.items() if name != "remedy"}
        return type(error)(error.message, remedy=self._remedy(error), **data)

    def _remedy(self, error: MusterError) -> str:
        if error.data.get("value") is not None:
            return f"It gave {json.dumps(error.data['value'], ensure_ascii=False)}."
        if "value" in error.data:
            return "It gave no value."
        if "traceback" in error.data:
            return "Its traceback stands above."
        return "What it printed stands above." if self._heard else "It printed nothing."

    def finished(self, calls: Sequence[Called], load_s: float) -> None:
        """All calls of ``muster function run``."""
        last, seconds = calls[-1], [call.seconds for call in calls]
        if self._terminal.json:
            found: dict[str, Any] = {"outputs": last.outputs}
            if last.result is not None:
                found = {"result": last.result}
            self._terminal.emit(found | {"load_s": load_s, "call_s": seconds})
            return
        if last.result is None:
            self._terminal.say(self._terminal.safe(json.dumps(last.outputs, indent=2, ensure_ascii=False)))
        else:
            self._terminal.say(_asked(last))
        often = "" if len(seconds) == 1 else f", {len(seconds)} times, in the middle"
        middle = statistics.median(seconds)
        sys.stderr.write(f"loaded in {_ms(load_s)}, called{often} in {_ms(middle)}\n")

    def verdict(self, verdict: Verdict) -> None:
        """Of one rule."""
        if self._terminal.json:
            self._terminal.emit(verdict)
            return
        from rich.text import Text

        line = Text(f"{SIGNS[verdict.outcome]} {verdict.rule:2}  {verdict.title}", STYLES[verdict.outcome])
        if verdict.why and (verdict.outcome, verdict.why) != (
            "not tried",
            self._why,
        ):  # what many share is said once
            line.append(
                f"\n      {'' if verdict.outcome == 'broken' else 'not tried: '}{harmless(verdict.why)}"
            )
        self._why = verdict.why
        self._console.print(line)

    def concluded(self, verdicts: Sequence[Verdict], spec: ContainerSpec) -> None:
        """All verdicts in a line."""
        if self._terminal.json:
            return
        broken, kept = (sum(one.outcome == what for one in verdicts) for what in ("broken", "kept"))
        if broken:
            what = f"{broken} of {len(verdicts)} rules {'is' if broken == 1 else 'are'} broken"
        else:
            what = f"{kept} of {len(verdicts)} rules are kept, and none is broken"
        self._terminal.say(f"{spec.function} in {spec.image}: {what}.")

    def _write(self, text: str) -> None:
        sys.stderr.write(harmless(text) if sys.stderr.isatty() else text)
        sys.stderr.flush()


def unsaid(traceback: str, message: str) -> str:
    """The traceback without its end, where that is what the message says.

    The one may have the class with its module, the other a place behind.
    """
    lines, said = traceback.rstrip().splitlines(), message.splitlines()
    end = lines[-len(said) :] if said else []
    if end and end[1:] == said[1:] and (end[0].endswith(said[0]) or said[0].startswith(end[0])):
        lines = lines[: -len(said)]
    return "".join(f"{line}\n" for line in lines)


def _asked(call: Called) -> str:
    assert call.result is not None
    found = msgspec.to_builtins(call.result)
    kind = found.pop("kind")
    return f"It asks for {kind.replace('_', ' ')}: {json.dumps(found, ensure_ascii=False)}"


def _ms(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
