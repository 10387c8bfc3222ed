"""Whether the past is whole: every object of the manifest, every sequence of the log, every number a writer gave.

One reading over both sides of the border, in order and in flat memory. What is missing is told from what was erased by
the markers of clearing, which name the places they left empty; objects that are damaged are named and passed over, so
that one of them does not hide the rest. Executions may move and be cleared meanwhile: before a gap is reported it is
looked once more whether somebody has explained it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final

from muster.archive import packing
from muster.archive.archive import Archive, lost, whole
from muster.archive.findings import Verified
from muster.archive.history import History
from muster.archive.manifest import Entry
from muster.archive.numbers import Numbers
from muster.archive.objects import Head, Objects
from muster.broker.interface import Broker, Position
from muster.model.errors import ArchiveDamagedError, ArchiveUnavailableError, BrokerError
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.retention import Range, joined
from muster.model.log.subjects import cleared

READ_BATCH: Final = 1000
"""Events handed over at once: nobody waits for the first of them."""


class Checked(Archive):
    """An archive whose objects are looked through as they are opened; those that are not whole are left out."""

    def __init__(self, archive: Archive, report: Verified) -> None:
        super().__init__(archive.log, archive.bucket, archive.folder)
        self._report = report
        self._seen: set[int] = set()
        self._unreachable: dict[str, tuple[str, int]] = {}
        self.lost: list[Range] = []

    async def open(self, entries: Sequence[Entry]) -> list[tuple[Entry, str, bytes]]:
        """See ``Archive.open``; what is wrong is reported instead of raised."""
        good = []
        for entry in entries:
            self._seen.add(entry.first)
            try:
                found = await super().open([entry])
                for _, name, data in found:
                    _look_through(entry, name, data)
            except ArchiveUnavailableError as error:
                _, events = self._unreachable.get(entry.place, ("", 0))
                self._unreachable[entry.place] = error.message, events + entry.events
                self.lost.append((entry.first, entry.last))
            except ArchiveDamagedError as error:
                self.lost.append((entry.first, entry.last))
                self._damaged(entry, error)
            else:
                self._report.objects += len(found)
                self._report.archived += sum(each.events for each, _, _ in found)
                good += found
        return good

    def _heads(self, objects: Objects) -> AsyncGenerator[list[Head], None]:
        return objects.heads(anew=True)  # what was told before was told to the archive that others read

    def _damaged(self, entry: Entry, error: ArchiveDamagedError) -> None:
        self._report.find(
            "object",
            f"{lost(entry)}: {error.message}",
            first=entry.first,
            last=entry.last,
            execution=error.data.get("name"),
        )

    async def open_rest(self) -> None:
        """Look through those that no reading had to open, since all they hold still stands in the stream."""
        gone = self.manifest.erased
        await self.open(
            [e for e in self.manifest.entries.values() if e.first not in self._seen and e.sha256 not in gone]
        )
        for place, (message, events) in self._unreachable.items():
            self._report.find("place", f"{events} events were archived to {place}: {message}")


def _look_through(entry: Entry, name: str, data: bytes) -> None:
    """Raise ArchiveDamagedError unless the object holds what the manifest says, of the execution it is named by."""
    events, last = 0, entry.first - 1
    for recorded in packing.unpack(whole(entry, name, data), name):
        if recorded.sequence <= last or (events == 0 and recorded.sequence != entry.first):
            raise ArchiveDamagedError(f"its sequences do not rise at {recorded.sequence}", name=name)
        if recorded.event.execution != name:
            raise ArchiveDamagedError(f"the event at {recorded.sequence} is of another execution", name=name)
        events, last = events + 1, recorded.sequence
    if (events, last) != (entry.events, entry.last):
        raise ArchiveDamagedError(
            f"it holds {events} events up to {last}, and the log says {entry.events} up to {entry.last}",
            name=name,
        )


class Markers:
    """What was cleared: the places that are empty, and whether an older release left some that nobody names."""

    def __init__(self) -> None:
        self.count = 0
        self.silent = 0
        self._ranges: list[Range] = []
        self._firsts: list[int] = []

    async def read(self, broker: Broker) -> None:
        """All markers of the log."""
        ranges: list[Range] = []
        self.count = self.silent = 0
        async with aclosing(broker.log.read(subjects=[subjects.CLEARED])) as batches:
            async for batch in batches:
                for recorded in batch:
                    if isinstance(data := recorded.event.data, c.ExecutionCleared):
                        self.count += 1
                        ranges += data.sequences
                        self.silent = recorded.sequence if data.events is None else self.silent
                if len(ranges) > 100_000:
                    ranges = joined(ranges, len(ranges))
        self._ranges = joined(ranges, max(1, len(ranges)))
        self._firsts = [first for first, _ in self._ranges]

    def unexplained(self, first: int, last: int) -> list[Range]:
        """The parts of a gap that no marker names."""
        return without(first, last, self._ranges, self._firsts)


def without(first: int, last: int, ranges: Sequence[Range], firsts: Sequence[int]) -> list[Range]:
    """What of ``first`` to ``last`` is in none of the ranges, which are in order and apart."""
    left: list[Range] = []
    at = max(0, bisect_right(firsts, first) - 1)
    for low, high in ranges[at:]:
        if low > last:
            break
        if high < first:
            continue
        if low > first:
            left.append((first, low - 1))
        first = high + 1
    if first <= last:
        left.append((first, last))
    return left


async def verify(broker: Broker, progress: Callable[[int, int], object]) -> Verified:
    """Look through everything. ``progress`` gets the sequence that was come to, and the last. Raises BrokerError."""
    report = Verified()
    position = await broker.log.position()
    report.sequence = position.last
    archive = Checked(broker.archive, report)
    markers = Markers()
    await markers.read(broker)
    await archive.manifest.refresh(also_erased=True)
    gaps = await _read_through(broker, archive, position, report, progress)
    await archive.open_rest()
    await _explain(broker, archive, markers, gaps, report)
    await _look_at_strays(broker, archive, report)
    for broken in archive.manifest.breaks:
        report.find("chain", broken)
    report.chain = archive.manifest.chained
    report.erased = markers.count
    return report


async def _read_through(
    broker: Broker,
    archive: Checked,
    position: Position,
    report: Verified,
    progress: Callable[[int, int], object],
) -> list[Range]:
    """Every event; gives the gaps between them."""
    gaps: list[Range] = []
    numbers, expected = Numbers(report), 1
    history = History(broker.log, archive, READ_BATCH, _never)
    async with aclosing(history.read(stop=position.last)) as batches:
        async for batch in batches:
            for recorded in batch:
                if recorded.sequence > expected:
                    gaps.append((expected, recorded.sequence - 1))
                expected = recorded.sequence + 1
                numbers.look(recorded)
            report.events += len(batch)
            progress(expected - 1, position.last)
    if expected <= position.last:
        gaps.append((expected, position.last))
    return gaps


async def _never() -> bool:
    """A connection that breaks ends this: what was read by then proves nothing."""
    return False


async def _explain(
    broker: Broker, archive: Checked, markers: Markers, gaps: Sequence[Range], report: Verified
) -> None:
    """Report the gaps that neither a marker nor a damaged object explains, after looking for markers once more."""
    await markers.read(broker)
    spans = joined(archive.lost, max(1, len(archive.lost)))
    firsts = [first for first, _ in spans]
    for gap in gaps:
        for first, last in markers.unexplained(*gap):
            for low, high in without(first, last, spans, firsts):
                said = f"the event {low} is" if low == high else f"the events {low} to {high} are"
                if high < markers.silent:
                    report.warn(
                        "gap",
                        f"{said} gone; a clear of an older release, which did not say what it erased, may be why",
                        first=low,
                        last=high,
                    )
                else:
                    report.find(
                        "gap",
                        f"{said} missing, and nothing says that they were archived or cleared",
                        first=low,
                        last=high,
                    )


async def _look_at_strays(broker: Broker, archive: Checked, report: Verified) -> None:
    """Objects that the manifest does not name: of a move under way, or left by one."""
    manifest = archive.manifest
    for objects in await archive.places():
        try:
            async with aclosing(objects.heads(anew=True)) as listing:
                async for heads in listing:
                    for head in heads:
                        entry = manifest.entries.get(head.first)
                        if entry is None or entry.sha256 in manifest.erased:
                            marker = await broker.log.last(cleared(head.name))
                            if (await objects.get([head.name]))[0] is not None:
                                _stray(head, report, cleared=marker is not None)
        except (ArchiveDamagedError, BrokerError) as error:
            report.warn("stray", f"the objects at {objects.place} cannot be listed: {error.message}")


def _stray(head: Head, report: Verified, *, cleared: bool) -> None:
    if cleared:
        said = f"the object of {head.name}, which was cleared, is still there"
        report.find("erasure", said, first=head.first, execution=head.name)
    else:
        said = f"no log.archived names the object of {head.name}: a move under way, or one that was given up"
        report.warn("stray", said, first=head.first, execution=head.name)
