"""What can go wrong with a view, beside what can go wrong with the broker.

MusterError
└── ViewError
    ├── ViewMissingError
    ├── ViewBusyError
    ├── ViewOutdatedError
    └── ViewUnreadableError
ProjectionInvalidError
ExecutionAmbiguousError
"""

from __future__ import annotations

from muster.model.errors import MusterError


class ViewError(MusterError):
    """Something is wrong with the view {path}."""

    code = "view"
    remedy = "Rebuild it from the log: muster projections rebuild."


class ViewMissingError(ViewError):
    """There is no view at {path}."""

    code = "view_missing"
    remedy = "Start the projections (muster up, or muster projections run), or make it: muster projections rebuild."


class ViewBusyError(ViewError):
    """Another process ({holder}) keeps the view {path}."""

    code = "view_busy"
    remedy = "Stop it first, or use another file."


class ViewOutdatedError(ViewError):
    """The view {path} was made by other projections: another release's, or not the ones installed here."""

    code = "view_outdated"
    remedy = (
        "Start the projections, which rebuild it by themselves, or do it now: muster projections rebuild."
    )


class ViewUnreadableError(ViewError):
    """The file {path} is not a view of Muster."""

    code = "view_unreadable"
    remedy = "Move it away if it is yours, or let it be replaced: muster projections rebuild."


class ProjectionInvalidError(MusterError):
    """A projection that is installed cannot be used."""

    code = "projection_invalid"
    remedy = "Correct it, or uninstall the package that brings it."


class ExecutionAmbiguousError(MusterError):
    """More than one execution begins with {prefix}."""

    code = "execution_ambiguous"
    remedy = "Give more of the id; see muster list."
