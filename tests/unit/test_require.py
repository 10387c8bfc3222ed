"""A missing service is skipped on a laptop and fails where it was promised."""

import pytest

from tests.fixtures.require import is_required, missing


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("MUSTER_REQUIRE", raising=False)


def test_nothing_is_required_by_default():
    """Without a promise a missing service skips the test, and names what is missing."""
    with pytest.raises(pytest.skip.Exception, match="docker is missing: no engine"):
        missing("docker", "no engine")


@pytest.mark.parametrize(
    ("name", "value", "required"),
    [
        ("MUSTER_REQUIRE", "docker,broker", True),
        ("MUSTER_REQUIRE", " docker ", True),
        ("MUSTER_REQUIRE", "broker", False),
        ("CI", "true", True),
        ("CI", "1", True),
        ("CI", "false", False),
        ("CI", "", False),
    ],
)
def test_promises(monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, required: bool):
    """MUSTER_REQUIRE promises what it lists; CI promises everything."""
    monkeypatch.setenv(name, value)
    assert is_required("docker") is required


def test_promised_service_fails(monkeypatch: pytest.MonkeyPatch):
    """Where a service was promised, its absence is a failure and not a skip."""
    monkeypatch.setenv("MUSTER_REQUIRE", "docker")
    with pytest.raises(pytest.fail.Exception, match="docker is missing: no engine"):
        missing("docker", "no engine")
