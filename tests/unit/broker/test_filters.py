"""NATS subject filters, where no NATS server looks at them."""

import pytest

from muster.broker.filters import matcher


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("*.b", "a.b", True),
        ("a.*.c", "a.b/17/x.c", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.*.>", "a.b", False),
        ("a.*.>", "a.b.c.d", True),
    ],
)
def test_filters_match_as_the_server_does(pattern: str, subject: str, expected: bool):
    """``*`` is exactly one token and a closing ``>`` is one or more."""
    assert matcher([pattern])(subject) is expected


def test_no_filter_matches_everything_and_several_match_any():
    """No filter lets everything through; of several, one is enough."""
    assert matcher([])("a.b")
    assert matcher(["x", "a.*"])("a.b")
    assert not matcher(["x", "y.>"])("a.b")
