"""Projections of other distributions, found by their entry points.

Only who folds looks for them: a reader of the view never runs, nor waits for, somebody else's code.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from muster_projections import soundness
from muster_projections.bookkeeping import TABLES
from muster_projections.failures import ProjectionInvalidError
from muster_projections.projection import Projection

GROUP: Final = "muster.projections"


def found(own: Iterable[Projection]) -> tuple[Projection, ...]:
    """Those that are installed, by name. ``own`` are Muster's, whose names and tables are taken.

    Raises ProjectionInvalidError, naming the entry point, for the first that cannot be used.
    """
    names = {each.name: "Muster itself" for each in own}
    tables = {table.name: "Muster itself" for each in own for table in each.tables}
    tables |= {table.name: "Muster's own bookkeeping" for table in TABLES}
    plugged: list[Projection] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        projection = _loaded(point)
        if wrong := soundness.complaint(projection):
            raise _invalid(point, wrong)
        if holder := names.get(projection.name):
            raise _invalid(point, f"its name {projection.name!r} is taken by {holder}")
        names[projection.name] = _told(point)
        for table in projection.tables:
            if holder := tables.get(table.name):
                raise _invalid(point, f"its table {table.name!r} is taken by {holder}")
            tables[table.name] = _told(point)
        plugged.append(soundness.guarded(projection))
    return tuple(sorted(plugged, key=lambda each: each.name))


def _loaded(point: EntryPoint) -> Projection:
    try:
        loaded = point.load()
        made = loaded() if isinstance(loaded, type) and issubclass(loaded, Projection) else loaded
    except Exception as error:  # it is somebody else's code, and may fail in any way
        raise _invalid(point, f"it cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(made, Projection):
        raise _invalid(point, "it is no subclass of muster_projections.Projection, nor an instance of one")
    return made


def _told(point: EntryPoint) -> str:
    source = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
    return f"the entry point {point.name} = {point.value}{source}"


def _invalid(point: EntryPoint, wrong: str) -> ProjectionInvalidError:
    package = "the package that brings it" if point.dist is None else point.dist.name
    return ProjectionInvalidError(
        f"The projection of {_told(point)} cannot be used: {wrong}.",
        remedy=f"Correct it, or uninstall {package}. The view can be read meanwhile.",
        entry_point=point.name,
    )
