"""Durations and sizes as people write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.definition.quantities import seconds, size_bytes


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("500ms", 0.5),
        ("10s", 10.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("2d", 172_800.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        (0, 0.0),
        (7, 7.0),
        (0.25, 0.25),
    ],
)
def test_durations_are_seconds(written: str | float, expected: float):
    """Units add up; a bare number is seconds."""
    assert seconds(written) == pytest.approx(expected)


@pytest.mark.parametrize(
    "written", ["", "5", "5 m", "m", "5minutes", "-5s", "1,5s", "5s ", "s5", -1, True, None, [], "5S"]
)
def test_what_is_no_duration_is_refused_with_the_forms(written: object):
    """The error shows what was written and how durations are written."""
    with pytest.raises(ValueError, match="500ms, 10s, 5m or 1h"):
        seconds(written)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("64Mi", 64 * 2**20),
        ("1Gi", 2**30),
        ("2k", 2_000),
        ("2K", 2_000),
        ("1.5Ki", 1536),
        ("10", 10),
        ("10B", 10),
        ("512MB", 512_000_000),
        (0, 0),
        (4096, 4096),
    ],
)
def test_sizes_are_bytes(written: str | int, expected: int):
    """Two letters count in 1024, one in 1000; a bare number is bytes."""
    assert size_bytes(written) == expected


@pytest.mark.parametrize("written", ["", "Gi", "1 Gi", "-1Gi", "1X", -1, 1.5, True, None])
def test_what_is_no_size_is_refused_with_the_forms(written: object):
    """The error shows what was written and how sizes are written."""
    with pytest.raises(ValueError, match="64Mi, 512M or 1Gi"):
        size_bytes(written)  # type: ignore[arg-type]


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str):
    """Nothing else is ever raised, and what comes back is not negative."""
    for read in (seconds, size_bytes):
        with suppress(ValueError):
            assert read(text) >= 0
