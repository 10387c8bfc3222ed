"""The shipped nats.conf starts, and holds what Muster counts on."""

import re
from pathlib import Path

from tests.fixtures.broker import MAX_PAYLOAD, Broker

NATS_CONF = Path(__file__).parents[2] / "nats.conf"


class ShippedBroker(Broker):
    """A broker with the shipped file, but on its own name, ports and store."""

    def config(self) -> str:
        """The file with what must differ between servers replaced."""
        text = NATS_CONF.read_text()
        for pattern, mine in (
            (r"(?m)^server_name: .*", f'server_name: "{self.name}"'),
            (r"(?m)^listen: .*", f'listen: "127.0.0.1:{self.port}"'),
            (r"(?m)^http: .*", f'http: "127.0.0.1:{self.monitor_port}"'),
            (r'store_dir: ".*"', f'store_dir: "{self.store}"'),
        ):
            text, count = re.subn(pattern, mine, text)
            assert count == 1, pattern
        return text


def test_nats_conf_starts_with_what_muster_counts_on(tmp_path: Path, make_broker):
    """The server comes up with JetStream, synced writes and the payload limit the tests use as well."""
    with ShippedBroker(tmp_path / "shipped") as broker:
        page = broker.monitor("/varz")
        assert page["max_payload"] == make_broker().monitor("/varz")["max_payload"]
        assert page["jetstream"]["config"]["sync_always"] is True
    assert f"max_payload: {MAX_PAYLOAD}\n" in NATS_CONF.read_text()


def test_nats_conf_listens_on_loopback_only():
    """As shipped, nobody beyond this machine can connect: there is no password yet."""
    listens = re.findall(r'(?m)^(?:listen|http): "(.*):\d+"', NATS_CONF.read_text())
    assert listens == ["127.0.0.1", "127.0.0.1"]
