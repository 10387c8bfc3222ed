"""What a container says of itself in $MUSTER_OUTPUT."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.model.errors import OutputError
from muster.model.plan.results import Result, read


@pytest.mark.parametrize(
    "document", [None, b"", b"{}", b'{"n": 1}', b'"$result"', b'["$result"]', b'{"$result": ']
)
def test_what_says_nothing_of_itself_is_no_result(document: bytes | None):
    """Outputs, and what is wrong with them, are somebody else's."""
    assert read(document) is None


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ({"$result": "skip"}, Result(kind="skip")),
        ({"$result": "skip", "reason": "old"}, Result(kind="skip", reason="old")),
        ({"$result": "retry"}, Result(kind="retry", wait_max=1.0)),
        (
            {"$result": "retry", "wait_min": "2s", "wait_max": "1m", "max_retries": 5},
            Result(kind="retry", wait_min=2.0, wait_max=60.0, max_retries=5),
        ),
        (
            {"$result": "retry", "wait_min": 5, "wait_max": 1},
            Result(kind="retry", wait_min=5.0, wait_max=5.0),
        ),
        ({"$result": "retry", "max_retries": 0}, Result(kind="retry", wait_max=1.0, max_retries=0)),
        (
            {"$result": "retry", "wait_min": None, "wait_max": None, "max_retries": None},
            Result(kind="retry", wait_max=1.0),
        ),
        (
            {"$result": "check_later", "wait_for": "30s", "context": {"a": [1]}},
            Result(kind="check_later", wait_min=30.0, wait_max=30.0, context={"a": [1]}),
        ),
        ({"$result": "check_later"}, Result(kind="check_later")),
        ({"$result": "failure", "value": 3, "reason": "no"}, Result(kind="failure", value=3, reason="no")),
    ],
)
def test_a_result_is_read(written: dict[str, Any], found: Result):
    """What is not said has its default; nothing at all is needed."""
    assert read(json.dumps(written).encode()) == found


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"$result": "retri"}, "$result is 'retri'"),
        ({"$result": 3}, "$result is 3"),
        ({"$result": "skip", "wait_min": 1}, "skip has no key wait_min"),
        ({"$result": "retry", "max_retries": -1}, "max_retries is -1"),
        ({"$result": "retry", "max_retries": True}, "max_retries is True"),
        ({"$result": "retry", "wait_min": "soon"}, "wait_min: 'soon' is not a duration"),
        ({"$result": "check_later", "wait_for": "9999d"}, "wait_for is longer than a year"),
    ],
)
def test_a_result_that_cannot_be_used_is_an_output_error(written: dict[str, Any], sentence: str):
    """It says what is wrong."""
    with pytest.raises(OutputError) as refused:
        read(json.dumps(written).encode())
    assert sentence in refused.value.message
