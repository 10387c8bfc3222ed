from __future__ import annotations

import muster
import muster.client


def test_the_public_names_are_sorted_and_there():
    """`__all__` is sorted, each name can be imported, and nothing is promised that is not there."""
    for package in (muster, muster.client):
        assert list(package.__all__) == sorted(package.__all__)
        for name in package.__all__:
            assert getattr(package, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    """A name that is not public is an AttributeError like anywhere else."""
    assert not hasattr(muster, "nonsense")
