"""Whose turn it is: who is under way with a key, and who waits for it, in which order.

Theory of operation. A line belongs to a key. Whoever claims the key waits in it, by its place, until fewer are under
way than its claim admits; the first in the line goes first, so that nobody is passed by for ever. What changes a line
stirs it, and ``decide`` looks at every line that is stirred: nothing else can make it anybody's turn. A line is the
fold of events, so that every leader has the same.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import msgspec

from muster.model.sharing.claims import NAMED_MAX, Claim

Who = Any
"""An execution's id, or a step's slot."""
Place = tuple[Any, ...]
"""What a line is ordered by: minus the priority, then what makes it older, then who it is."""


class Line(msgspec.Struct):
    """Those who claim one key. ``leaving`` are under way and known to end, ``fresh`` were not told that they wait,
    ``replacing`` have the oldest of the others cancelled.
    """

    running: dict[Hashable, Place] = {}
    waiting: list[Place] = []
    claims: dict[Hashable, tuple[Claim, Place]] = {}
    leaving: set[Hashable] = set()
    fresh: dict[Hashable, None] = {}
    replacing: dict[Hashable, None] = {}

    def drop(self, who: Hashable) -> None:
        """Take it out of those that wait."""
        self.fresh.pop(who, None)
        self.replacing.pop(who, None)
        if (claimed := self.claims.pop(who, None)) is not None:
            del self.waiting[bisect_left(self.waiting, claimed[1])]

    @property
    def first(self) -> Place:
        """The place of the first that waits, else of the first that is under way."""
        return self.waiting[0] if self.waiting else min(self.running.values(), default=())

    @property
    def next(self) -> Who | None:
        """Whose turn it is."""
        if not self.waiting:
            return None
        who = self.waiting[0][-1]
        return who if len(self.running) < self.claims[who][0].limit else None

    def surplus(self) -> list[tuple[Who, Who]]:
        """Who has to end, and for whom: the oldest, until there is room for the newest that replaces."""
        if not self.replacing:
            return []
        newest = next(reversed(self.replacing))
        claim, place = self.claims[newest]
        others = [other for who, other in self.running.items() if who not in self.leaving]
        others += [other for other in self.waiting if other[1:] < place[1:]]
        others.sort(key=lambda other: other[1:])
        return [(other[-1], newest) for other in others[: max(len(others) + 1 - claim.limit, 0)]]


class Turns:
    """The lines of all keys."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._stirred: set[str] = set()

    # ---- what events change

    def wait(self, claim: Claim, place: Place) -> None:
        """Whoever has this place claims a key."""
        line, who = self._lines.setdefault(claim.key, Line()), place[-1]
        insort(line.waiting, place)
        line.claims[who], line.fresh[who] = (claim, place), None
        if claim.on_conflict == "cancel_running":
            line.replacing[who] = None
        self._stirred.add(claim.key)

    def defer(self, key: str, who: Who) -> None:
        """It was told that it waits."""
        if (line := self._lines.get(key)) is not None:
            line.fresh.pop(who, None)

    def take(self, key: str, who: Who) -> None:
        """It is under way."""
        line = self._lines.get(key)
        if line is not None and who in line.claims:
            line.running[who] = line.claims[who][1]
            line.drop(who)
            self._stirred.add(key)

    def give_up(self, key: str, who: Who) -> None:
        """It will end: it waits no more, and needs not be told to."""
        if (line := self._lines.get(key)) is not None:
            line.drop(who)
            if who in line.running:
                line.leaving.add(who)
            self._stirred.add(key)

    def leave(self, key: str, who: Who) -> None:
        """It has ended."""
        if (line := self._lines.get(key)) is None:
            return
        line.drop(who)
        line.running.pop(who, None)
        line.leaving.discard(who)
        self._stirred.add(key)
        if not line.running and not line.waiting:
            del self._lines[key]
            self._stirred.discard(key)

    def stir_all(self) -> None:
        """Every line is to be looked at."""
        self._stirred = set(self._lines)

    # ---- what decisions ask

    @property
    def stirred(self) -> bool:
        """Whether a line has to be looked at."""
        return bool(self._stirred)

    def taken(self) -> list[str]:
        """The keys of those lines, in an order that depends neither on what they are nor on when each was stirred."""
        stirred, self._stirred = self._stirred, set()
        return self.ordered(stirred)

    def ordered(self, keys: Iterable[str]) -> list[str]:
        """By who comes first in each line."""
        return sorted(keys, key=lambda key: self._lines[key].first)

    def surplus(self, key: str) -> list[tuple[Who, str]]:
        """Who has to end, and the name of the one for whom."""
        line = self._lines.get(key)
        return [(who, self.name(by)) for who, by in line.surplus()] if line is not None else []

    def next(self, key: str) -> Who | None:
        """As ``Line.next``."""
        line = self._lines.get(key)
        return line.next if line is not None else None

    def fresh(self, key: str) -> list[Who]:
        """Those who wait and were not told."""
        line = self._lines.get(key)
        return list(line.fresh) if line is not None else []

    def before(self, key: str, who: Who | None = None) -> tuple[int, list[str]]:
        """How many come before it (before one more, where it does not wait), and the names of the first of them."""
        line = self._lines.get(key)
        if line is None:
            return 0, []
        place = line.claims[who][1] if who in line.claims else None
        ahead = len(line.waiting) if place is None else bisect_left(line.waiting, place)
        return len(line.running) + ahead, [self.name(each) for each in _first(line, ahead)]

    def keys(self) -> list[str]:
        """The keys that anybody claims."""
        return list(self._lines)

    def waits(self, key: str, who: Who) -> bool:
        """Whether it waits for its turn."""
        return key in self._lines and who in self._lines[key].claims

    def claims(self, key: str, who: Who) -> bool:
        """Whether it waits for its turn, or had it and has not ended."""
        return self.waits(key, who) or (key in self._lines and who in self._lines[key].running)

    def name(self, who: Who) -> str:
        """What it is called in events."""
        return str(who)


class StepTurns(Turns):
    """Those of steps, which are called by their execution and their path."""

    def name(self, who: Who) -> str:
        """As ``Turns.name``."""
        return f"{who[0]}/{who[1]}"


def listed(count: int, names: list[str]) -> str:
    """The first of so many."""
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return f"{', '.join(names)}{more}"


def _first(line: Line, ahead: int) -> Iterator[Who]:
    for at, who in enumerate(line.running):
        if at == NAMED_MAX:
            return
        yield who
    for place in line.waiting[: min(ahead, max(NAMED_MAX - len(line.running), 0))]:
        yield place[-1]
