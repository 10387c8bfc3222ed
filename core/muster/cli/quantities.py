"""Times and amounts as options take them: as in workflow files."""

from __future__ import annotations

from typing import Any

import click

from muster.model.definition.quantities import seconds, size_bytes


class Duration(click.ParamType[float]):
    """A duration, such as 30s or 10m, as seconds; a plain number is seconds too."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        try:
            return float(value) if plain(str(value)) else seconds(str(value))
        except ValueError:
            self.fail(f"{value!r} is no duration, such as 30s, 10m or 7d", param, ctx)


class Size(click.ParamType[int]):
    """An amount of memory, such as 16Gi, as bytes."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes."""
        try:
            return size_bytes(int(value) if str(value).isdecimal() else value)
        except ValueError:
            self.fail(f"{value!r} is no size, such as 512Mi or 16Gi", param, ctx)


def plain(text: str) -> bool:
    """Whether it is a number without a unit."""
    return text.replace(".", "", 1).isdecimal()
