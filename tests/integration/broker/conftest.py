"""Every kind of broker, one after the other, for tests that ask for ``site``."""

import pytest
import pytest_asyncio

from tests.fixtures.broker import BrokerCluster
from tests.fixtures.site import KINDS, MemorySite, NatsSite


@pytest.fixture(scope="session")
def session_cluster(tmp_path_factory: pytest.TempPathFactory):
    """Three brokers shared by every conformance test; it takes seconds to form."""
    cluster = BrokerCluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest_asyncio.fixture(params=KINDS)
async def site(request: pytest.FixtureRequest):
    """An empty broker of each kind."""
    made: MemorySite | NatsSite
    if request.param.startswith("memory"):
        made = MemorySite(replicated=request.param == "memory-replicated")
    elif request.param == "nats":
        made = NatsSite(request.getfixturevalue("module_broker").port, 1)
        await made.empty()
    else:
        made = NatsSite(request.getfixturevalue("session_cluster").nodes[0].port, 3)
        await made.empty()
    async with made.resources:
        yield made
