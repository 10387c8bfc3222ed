"""``python -m tests.golden.record NAME…``: play scenarios for real, and write down what was logged.

Without a name it lists what there is; ``--all`` records everything. Names of machines and times of day are those of
the scenario; what would tell where it was recorded (host names, folders, ports) is replaced. Whatever comes out
differently from what is expected of the history is shown, and the expectation written anew: look at the difference
(``git diff``) before it is committed. See README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import re
import socket
import sys
import tempfile
from pathlib import Path

from muster.fixtures import load
from muster.model.log.envelope import Recorded
from muster.model.proof import fixture
from tests.fixtures.broker import Broker
from tests.golden.expected import write as expect
from tests.golden.scenario import DERIVED, SCENARIOS, Scenario
from tests.golden.stage import Stage
from tests.golden.store import HISTORIES, history

KEPT = {
    "cleared-v1": "written by the last release whose execution.cleared was of version 1",
    "cleared-as-it-was-seen-v1": "as cleared-v1",
}
"""Histories of older releases: they cannot be recorded again, and must be read for ever."""

_REPLACED = (
    (re.compile(rb'"hostname":"[^"]*"'), b'"hostname":"machine"'),
    (re.compile(rb'"boot_id":"[^"]*"'), b'"boot_id":"00000000-0000-4000-8000-000000000000"'),
    (re.compile(rb"127\.0\.0\.1:\d+"), b"registry.example:5000"),
)
_TELLING = re.compile(rb"/(tmp|work|root|home|opt|srv|var|usr|etc)/")

for _part in (
    "flow",
    "failing",
    "asking",
    "keeping",
    "leaving",
    "leading",
    "containers",
    "constructs",
    "functions",
    "files",
    "typed",
    "sharing",
    "again",
    "timetable",
    "strange",
):
    importlib.import_module(f"tests.golden.scenarios.{_part}")


def redacted(line: bytes) -> bytes:
    """The line without what tells where it was recorded. Raises ValueError where something is left."""
    for pattern, replacement in _REPLACED:
        line = pattern.sub(replacement, line)
    left = telling(line)
    if left:
        raise ValueError(f"this tells where it was recorded ({left!r}): {line[:2000]!r}")
    return line


def telling(line: bytes) -> bytes | None:
    """What in the line tells where it was recorded, or None."""
    found = _TELLING.search(line) or re.search(rb"\b%s\b" % re.escape(socket.gethostname().encode()), line)
    return found[0] if found else None


async def play(scenario: Scenario, folder: Path) -> list[Recorded]:
    """The log of the scenario, played on a fresh broker."""
    with Broker(folder / "broker") as server:
        async with Stage(folder / "stage", server) as stage:
            await asyncio.wait_for(scenario.scene(stage), 90)
            await stage.rest()
            return await stage.history()


def write(name: str, log: list[Recorded]) -> None:
    """Write the history down, and what is expected of it from now on."""
    HISTORIES.mkdir(exist_ok=True)
    lines = [redacted(fixture.line(recorded)) for recorded in log]
    history(name).write_bytes(b"\n".join(lines) + b"\n")
    expect(name)


def record(name: str) -> None:
    """Record one history."""
    if name in KEPT:
        raise SystemExit(f"{name} cannot be recorded again: {KEPT[name]}.")
    if name in DERIVED:
        log = DERIVED[name].cut(load(history(DERIVED[name].source)))
    elif name in SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="golden-") as folder:
            log = asyncio.run(play(SCENARIOS[name], Path(folder)))
    else:
        raise SystemExit(f"there is no scenario {name}; without a name they are listed.")
    write(name, log)
    print(f"{name}: {len(log)} events, {history(name).stat().st_size} bytes", flush=True)


def main(arguments: list[str]) -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.record", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true", help="record every scenario, and what is made of them")
    chosen = parser.parse_args(arguments)
    known = [*SCENARIOS, *DERIVED]
    if not chosen.names and not chosen.all:
        for name in known:
            print(f"{name:32}{(SCENARIOS.get(name) or DERIVED[name]).about}")
    failed = []
    for name in known if chosen.all else chosen.names:
        try:
            record(name)
        except Exception as error:  # the others can be recorded all the same
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
    if failed:
        raise SystemExit(f"not recorded: {' '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
