"""The archive as one process reaches it: the manifest, and the places that it names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path
from typing import Final

from muster.archive.directory import DirectoryObjects
from muster.archive.manifest import Entry, Manifest
from muster.archive.objects import Head, Objects
from muster.broker.interface import EventLog
from muster.model.errors import ArchiveDamagedError, ArchiveUnavailableError

FILE: Final = "file://"


class Archive:
    """``bucket`` is the broker's own place; ``folder`` a directory, where the settings name one.

    What is archived goes to the directory if there is one. What is read is looked for where the manifest says that it
    is: every ``file://`` of it in ``folder``, where one is given (it may be elsewhere now, or on another machine).
    """

    def __init__(self, log: EventLog, bucket: Objects, folder: Path | None) -> None:
        self.manifest = Manifest(log)
        self.log = log
        self.bucket = bucket
        self.folder = folder
        self._places: dict[str, Objects] = {bucket.place: bucket}
        self._names: dict[str, dict[int, str]] = {}
        self._listed_to: dict[str, int] = {}
        self._listing = asyncio.Lock()
        self.home = bucket if folder is None else self.at(f"{FILE}{folder}")

    def at(self, place: str) -> Objects:
        """The objects of a place. Raises ArchiveUnavailableError for one that cannot be reached from here."""
        found = self._places.get(place)
        if found is None:
            if not place.startswith(FILE):
                raise ArchiveUnavailableError(place=place)
            found = DirectoryObjects(self.folder or Path(place.removeprefix(FILE)))
            self._places[place] = found
        return found

    async def places(self) -> list[Objects]:
        """Every place the manifest names, and none where nothing was ever archived. Raises BrokerError."""
        await self.manifest.refresh()
        return [self.at(place) for place in {entry.place: None for entry in self.manifest.entries.values()}]

    async def find(self, execution: str) -> bytes | None:
        """The object of an execution, whatever place it is in. Raises ArchiveUnavailableError."""
        for objects in await self.places():
            [data] = await objects.get([execution])
            if data is not None:
                return data
        return None

    async def open(self, entries: Sequence[Entry]) -> list[tuple[Entry, str, bytes]]:
        """The objects of these entries with the names of their executions; those erased meanwhile are left out.

        Raises ArchiveDamagedError where one is missing, or is not the one that was archived.
        """
        found: list[tuple[Entry, str, bytes]] = []
        by_place: dict[str, list[tuple[Entry, str]]] = {}
        for entry in entries:
            if name := await self._name(entry):
                by_place.setdefault(entry.place, []).append((entry, name))
        for place, wanted in by_place.items():
            got = await self.at(place).get([name for _, name in wanted])
            for (entry, name), data in zip(wanted, got, strict=True):
                if data is None and await self._erased(entry):
                    continue
                found.append((entry, name, whole(entry, name, data)))
        return found

    async def _name(self, entry: Entry) -> str:
        names = self._names.setdefault(entry.place, {})
        if entry.first not in names:
            async with self._listing:
                await self._list(entry, names)
        name = names.get(entry.first, "")
        if not name and not await self._erased(entry):
            raise _missing(entry)
        return name

    async def _list(self, entry: Entry, names: dict[int, str]) -> None:
        """Learn the names of the place, unless that was done since the entry was told: it was there by then."""
        if self._listed_to.get(entry.place, 0) >= entry.told:
            return
        told = self.manifest.sequence
        async with aclosing(self._heads(self.at(entry.place))) as listing:
            async for heads in listing:
                names.update((head.first, head.name) for head in heads)
        self._listed_to[entry.place] = told

    def _heads(self, objects: Objects) -> AsyncGenerator[list[Head], None]:
        return objects.heads()

    async def _erased(self, entry: Entry) -> bool:
        if entry.sha256 not in self.manifest.erased:
            await self.manifest.refresh(also_erased=True)
        return entry.sha256 in self.manifest.erased


def whole(entry: Entry, name: str, data: bytes | None) -> bytes:
    """The object, if it is there and the one the manifest names. Raises ArchiveDamagedError."""
    if data is None:
        raise _missing(entry)
    if sha256(data).digest() != entry.sha256:
        raise ArchiveDamagedError(
            f"The archived object of {name} was changed: its hash is not the one in the log.", name=name
        )
    return data


def _missing(entry: Entry) -> ArchiveDamagedError:
    return ArchiveDamagedError(
        f"{lost(entry)[0].upper()}{lost(entry)[1:]}, and no object there holds them.",
        first=entry.first,
        last=entry.last,
    )


def lost(entry: Entry) -> str:
    """The events of an object, for a sentence about their loss."""
    return f"{entry.events} events from {entry.first} to {entry.last} were archived to {entry.place}"
