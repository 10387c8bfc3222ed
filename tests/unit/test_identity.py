from __future__ import annotations

from uuid import UUID

from muster.identity import from_parts, uuid7


def test_an_id_is_a_uuid_of_version_7():
    """What is made is a UUID of version 7 and of the variant of RFC 9562."""
    made = UUID(uuid7())
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"


def test_ids_sort_by_time():
    """An id made a millisecond later sorts after, whatever chance gave."""
    assert str(from_parts(1_000, b"\xff" * 10)) < str(from_parts(1_001, b"\x00" * 10))


def test_ids_differ():
    """Of many ids made at once no two are the same."""
    assert len({uuid7() for _ in range(1000)}) == 1000
