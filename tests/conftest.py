"""Fixtures for every test, and which service each test needs.

A test asks for a service by asking for its fixture, and the mark follows from that:
`-m "not docker"` never lies.
"""

import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.blocking import no_blocking
from tests.fixtures.broker import (
    broker,
    broker_cluster,
    make_broker,
    module_broker,
    nc,
    session_broker,
)
from tests.fixtures.engine import busybox_image, docker_cleanup, docker_engine, registry
from tests.fixtures.environment import own_environment
from tests.fixtures.python_image import python_image

__all__ = [
    "broker",
    "broker_cluster",
    "busybox_image",
    "docker_cleanup",
    "docker_engine",
    "make_broker",
    "module_broker",
    "nc",
    "no_blocking",
    "own_environment",
    "python_image",
    "registry",
    "session_broker",
]

CROWDED = {"broker_cluster", "docker_engine", "stack"}
CROWDED_TIMEOUT_S = 240
"""Of tests for which a whole Muster is started, as for all in tests/acceptance, or a cluster of brokers, or that share
an engine: how long that takes is not what is tested.
"""
NEEDS = {
    "docker": {"docker_engine"},
    "broker": {"broker", "broker_cluster", "make_broker", "module_broker", "session_broker"},
}


# How fast an example is says how busy the machine is. What CI draws is the same each time (Hypothesis sees to that).
settings.register_profile("muster", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("muster")

PROPERTY_S = 600
"""A property test computes for seconds, each of its examples for little; beside others on a busy machine it takes ten
times as long, and one that hangs is still found.
"""


def pytest_configure() -> None:
    """A shell makes what it starts in the background deaf to Ctrl-C, and so would be all that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_property(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "obj", None), "hypothesis")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the services its fixtures need, which the report carries as `needs` properties, and each
    property test with the time that it may take.
    """
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        crowded = names & CROWDED or "acceptance" in item.path.parts
        if crowded and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(CROWDED_TIMEOUT_S))
        for service, fixtures in NEEDS.items():
            if names & fixtures:
                item.add_marker(service)
            if item.get_closest_marker(service):
                item.user_properties.append(("needs", service))
        if _is_property(item) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PROPERTY_S))
