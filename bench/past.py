"""A long past, made quickly: one play of executions that fail, retry, get lost and end, told again and again under
other ids. Every line is one that a scheduler or an agent could have written, of the size that they write.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import nats
from stack import BenchError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the plays are those of the tests

from muster.archive.directory import MARK, SUFFIX
from muster.archive.manifest import digest
from muster.archive.packing import Packer
from muster.broker.nats import NatsBroker
from muster.identity import from_parts
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.envelope import Basis, Event, Recorded, decode, encode
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster.model.log.retention import Moved
from muster.settings import Settings
from tests.fixtures.histories import History, history

STREAM: Final = "MUSTER_EVENTS"
PLAY: Final = {"seed": 5, "executions": 450, "machines": 20, "mishaps": 0.1}
CHUNK: Final = (
    4_000  # published before one acknowledgement is waited for: the broker drops what it has no room for
)
OBJECTS: Final = 100  # named by one log.archived, as the leader does


async def fill(url: str, count: int, seed: int = 1) -> int:
    """Put so many events into an empty stream, and say how many it has then."""
    broker = await NatsBroker.connect(Settings(url=url), name="muster-bench")
    client = await nats.connect(url, pending_size=64 << 20)
    try:
        await broker.prepare()
        last = 0
        for number, event in enumerate(_events(count, seed), 1):
            subject, line = subjects.event(event), encode(event)
            if number % CHUNK and number < count:
                await client.publish(subject, line)
            else:
                last = (await client.jetstream().publish(subject, line)).seq
        if last != count:
            raise BenchError(f"{count} events were published, and the stream ends at {last}")
        return last
    finally:
        await client.close()
        await broker.close()


def _events(count: int, seed: int) -> Iterator[Event]:
    play = history(**PLAY)
    chance = random.Random(seed)
    turn = made = 0
    while made < count:
        for event in _told_again(play, turn, chance):
            if made == count:
                return
            made += 1
            yield event
        turn += 1


def _told_again(play: History, turn: int, chance: random.Random) -> Iterator[Event]:
    """The play with new ids, later times and higher numbers."""
    ids: dict[str, str] = {NO_EXECUTION: NO_EXECUTION}
    later = (play.now - play.events[0].event.time) * turn
    highest = len(play.events)  # no machine has used more numbers in one turn
    for recorded in play.events:
        event = recorded.event
        execution = ids.get(event.execution)
        if execution is None:
            at = int((event.time + later).timestamp() * 1000)
            execution = ids[event.execution] = str(from_parts(at, chance.randbytes(10)))
        time = event.time + later
        number = event.id.rpartition(":")[2]
        decided = event.writer == SCHEDULER
        yield msgspec.structs.replace(
            event,
            id=f"{execution}:{number}" if decided else f"{event.writer}:{turn}:{number}",
            execution=execution,
            time=time,
            n=None if event.n is None else event.n + turn * highest,
            cause=f"{event.machine or 'client'}:{turn}:{number}" if decided else None,
            basis=str(Basis(recorded.sequence, time - timedelta(milliseconds=1), recorded.sequence))
            if decided
            else None,
            line=None,
        )


async def archive(url: str, folder: Path) -> int:
    """Move every execution into the archive at ``folder``, as a leader does; how many events that were."""
    broker = await NatsBroker.connect(Settings(url=url, archive=folder), name="muster-bench")
    folder.mkdir()
    (folder / MARK).write_text("made by a bench\n")
    try:
        moved, names = [], []
        play = len(history(**PLAY).events)
        last = (await broker.log.position()).last
        for start in range(1, last + 1, play):  # no execution goes on beyond its telling
            packers: dict[str, Packer] = {}
            async for batch in broker.log.read(start, stop=start + play - 1):
                for recorded in batch:
                    if recorded.event.execution != NO_EXECUTION:
                        packers.setdefault(recorded.event.execution, Packer()).add([recorded])
            moved += [_kept(folder, name, packer) for name, packer in packers.items()]
            names += packers
        previous = ""
        for start in range(0, len(moved), OBJECTS):
            previous = await _name(broker, folder, moved[start : start + OBJECTS], previous, moved[0].first)
        last = (await broker.log.position()).last
        for name in names:
            await broker.log.erase(name, last + 1)
        return sum(each.events for each in moved)
    finally:
        await broker.close()


def _kept(folder: Path, name: str, packer: Packer) -> Moved:
    data, moved = packer.object()
    (folder / f"{name}{SUFFIX}").write_bytes(data)
    return moved


async def _name(broker: NatsBroker, folder: Path, objects: Sequence[Moved], previous: str, first: int) -> str:
    body = c.LogArchived(place=f"file://{folder}", objects=list(objects), previous=previous, first=first)
    event = Event(
        id=f"-:archived:{objects[0].first}",
        writer=SCHEDULER,
        time=_START,
        data=body,
        cause="timer:archive",
        basis=str(Basis(1, _START, 1)),
    )
    [outcome] = await broker.log.append([event])
    return digest(Recorded(outcome.sequence, decode(encode(event))))


_START = history(1, executions=1).now


def main() -> None:
    """``fill URL EVENTS`` or ``archive URL FOLDER``; prints how many events that were."""
    what, url, amount = sys.argv[1:]
    print(asyncio.run(fill(url, int(amount)) if what == "fill" else archive(url, Path(amount))))


if __name__ == "__main__":
    main()
