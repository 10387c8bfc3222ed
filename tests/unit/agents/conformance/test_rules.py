"""Every rule of the protocol is kept by a function that does, and found broken in one that breaks just that."""

from __future__ import annotations

import re
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from muster.model.definition.workflow import ContainerSpec
from muster_agents.conformance import rules
from muster_agents.conformance.rules import FIRST, SECOND
from muster_agents.conformance.verdict import Examination, Verdict, examine
from muster_agents.options import AgentOptions
from muster_agents.runtimes.process import ProcessRuntime

PROGRAM = str(Path(__file__).with_name("flawed.py"))
DOCS = Path(__file__).resolve().parents[4] / "docs/function-protocol.md"
FLAWS: list[tuple[str, set[int], str]] = [
    ("is silent", {1}, "nothing came on its stdout. Flush each line"),
    ("ends", {1}, "ended with exit code 3; it printed: no weights"),
    ("fails", {1}, "answered with an error: -32011"),
    ("takes no calls", {1}, "its concurrency is 0"),
    ("says another version", {1}, "does not say protocol 1"),
    ("takes any version", {2}, "not with -32012"),
    ("supports nothing", {2}, "does not hold 1"),
    ("pings oddly", {3, 4, 6, 11}, "has no list of calls"),
    ("dies of torn lines", {4}, "ended with exit code 1"),
    ("knows everything", {5}, "not with -32601"),
    ("answers notifications", {6, 16}, "it answered"),
    ("answers nothing", {7}, "did not answer check/call/1"),
    ("answers another", {7, 16}, "did not answer"),
    ("speaks Latin-1", {7}, "its answer is no JSON in UTF-8"),
    ("gives no number", {7}, "its answer is no message that can be read"),
    ("says something else", {7}, "neither $returned nor $result"),
    ("asks for tea", {7}, "$result is 'tea'"),
    ("ends at the second call", {8}, "ended with exit code 1"),
    ("answers only what fits", {9}, "did not answer check/call/3"),
    ("tells of others", {13}, "someone/else/1"),
    ("tells no level", {13}, "loud"),
    ("says much", {7, 14}, "its answer has 2097"),
    ("answers one of two", {10}, "did not answer check/call/5"),
    ("forgets the cancelled", {12}, "did not answer check/call/7"),
    ("forgets marks", {15}, "the mark of check/call/1 did not come"),
    ("answers twice", {16}, "more than once"),
    ("ends badly", {17}, "exit code 4"),
    ("stays", {17}, "goes on"),
    ("ignores SIGTERM", {18}, "was killed"),
]


async def verdicts(folder: Path, flaw: str, limit_s: float = 5.0) -> list[Verdict]:
    """What is found."""
    runtime = ProcessRuntime(AgentOptions(name="check"), folder)
    await runtime.open()
    spec = ContainerSpec(image="none", function="flawed", entrypoint=[sys.executable, PROGRAM, flaw])
    what = Examination(spec=spec, inputs={"text": "x"}, message_bytes=1 << 20, limit_s=limit_s)
    try:
        async with aclosing(examine(runtime, what, lambda *_: None)) as found:
            return [verdict async for verdict in found]
    finally:
        await runtime.close()


@pytest.mark.parametrize("flaw", ["", "ignores torn lines", "prints a line"])
async def test_rules_that_are_kept(tmp_path: Path, flaw: str):
    """By a function that does nothing wrong; what it says beside the protocol is its own business."""
    found = await verdicts(tmp_path, flaw)
    assert sorted(verdict.rule for verdict in found) == sorted(FIRST | SECOND)
    assert [verdict for verdict in found if verdict.outcome == "broken"] == []
    assert {verdict.rule for verdict in found if verdict.outcome == "not tried"} == {11}


@pytest.mark.parametrize(("flaw", "broken", "words"), FLAWS, ids=[row[0] for row in FLAWS])
async def test_rules_that_are_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flaw: str, broken: set[int], words: str
):
    """Each is named, with how; what cannot be tried after it is not called kept."""
    monkeypatch.setattr(rules, "GRACE_S", 1.0)
    found = await verdicts(tmp_path, flaw, limit_s=2.0 if words.startswith("did not answer") else 5.0)
    assert {verdict.rule for verdict in found if verdict.outcome == "broken"} == broken
    first = next(verdict for verdict in found if verdict.outcome == "broken")
    assert words in first.why
    after = range(3, 18) if broken == {1} else range(8, 13) if 7 in broken else ()
    assert {verdict.outcome for verdict in found if verdict.rule in after} <= {"not tried"}


def test_every_rule_has_a_rule():
    """No rule is without a function that breaks it, but for 11: there the call must take its time."""
    assert set.union(*(broken for _, broken, _ in FLAWS)) | {11} == set(FIRST | SECOND)


def test_the_docs_have_every_rule():
    """By its number, in order."""
    rows = re.findall(r"^\| (\d+) \| .+ \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number in rows] == sorted(FIRST | SECOND)
