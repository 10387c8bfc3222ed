from __future__ import annotations

from typing import Any

import pytest

from muster.model.errors import InvalidArgumentError
from muster.settings import load


@pytest.mark.parametrize(
    ("environment", "flags", "name"),
    [
        ({"MUSTER_REPLICAS": "x"}, {}, "MUSTER_REPLICAS"),
        ({"MUSTER_REPLICAS": "0"}, {}, "MUSTER_REPLICAS"),
        ({}, {"replicas": "x"}, "--replicas"),
        ({"MUSTER_DATA_DIR": "~nobody-at-all/x"}, {}, "MUSTER_DATA_DIR"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(environment: dict[str, str], flags: dict[str, Any], name: str):
    """A value that is no setting is refused in one sentence that names the variable or the flag."""
    with pytest.raises(InvalidArgumentError, match=f"^{name} is ") as caught:
        load(environment, **flags)
    assert name in caught.value.advice


def test_flags_win_over_the_environment():
    """A flag counts more than the environment, and one that is None was not given."""
    environment = {"MUSTER_URL": "nats://a:1", "MUSTER_REPLICAS": "3"}
    assert load(environment, url=None).url == "nats://a:1"
    found = load(environment, url="nats://b:1")
    assert (found.url, found.replicas) == ("nats://b:1", 3)
