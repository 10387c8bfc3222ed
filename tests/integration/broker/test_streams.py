"""Getting to the broker: connecting, what it must be, and what it is told to keep."""

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import nkeys
import pytest
from nats.aio.client import Client

from muster.broker.connect import connect
from muster.broker.interface import Unknown
from muster.broker.nats import NatsBroker, api, streams
from muster.broker.nats.connection import Connection
from muster.model.errors import BrokerError, BrokerUnsuitableError
from muster.settings import Settings
from tests.fixtures.broker import Broker as Server
from tests.fixtures.process import free_port
from tests.fixtures.site import decision, ids, sequences

PLAIN = {"name": streams.EVENTS, "subjects": ["muster.events.>"]}


@pytest.fixture
async def open_broker(broker: Server):
    """Connections to the broker of the test, closed with it."""
    opened: list[NatsBroker] = []

    async def make(**settings: Any) -> NatsBroker:
        opened.append(await NatsBroker.connect(Settings(**({"url": broker.url} | settings)), name="test"))
        return opened[-1]

    yield make
    for connection in opened:
        await connection.close()


async def config_of(nc: Client, name: str) -> dict[str, Any]:
    return dict((await nc.jetstream()._api_request(f"$JS.API.STREAM.INFO.{name}"))["config"])


async def test_prepare_makes_the_streams(open_broker, nc):
    """The four streams are made as the design says, and preparing again changes nothing."""
    broker = await open_broker(log_max_age_s=3600, duplicate_window_s=60)
    await broker.prepare()
    await broker.prepare()
    events = await config_of(nc, streams.EVENTS)
    assert events["storage"] == "file"
    assert (events["deny_delete"], events["deny_purge"], events["allow_atomic"]) == (True, False, True)
    assert (events["discard"], events["max_age"], events["duplicate_window"]) == ("new", 0, 60 * 10**9)
    assert (await config_of(nc, streams.COMMANDS))["retention"] == "workqueue"
    beats = await config_of(nc, streams.HEARTBEATS)
    assert (beats["storage"], beats["max_msgs_per_subject"]) == ("memory", 60)
    assert (await config_of(nc, streams.LOGS))["max_age"] == 3600 * 10**9


async def test_prepare_follows_the_settings(open_broker, nc):
    """Limits that may be tuned are brought up to the settings, and the events stay."""
    broker = await open_broker(log_max_age_s=3600)
    await broker.prepare()
    await broker.log.append([decision("d")])
    other = await open_broker(log_max_age_s=7200, log_max_bytes=1 << 20, duplicate_window_s=30)
    await other.prepare()
    logs = await config_of(nc, streams.LOGS)
    assert (logs["max_age"], logs["max_bytes"]) == (7200 * 10**9, 1 << 20)
    assert (await config_of(nc, streams.EVENTS))["duplicate_window"] == 30 * 10**9
    assert await ids(other) == ["d"]


async def test_an_operator_may_limit_the_log(open_broker, nc):
    """A byte limit that an operator gave the event stream is left alone, and a full stream says that it is full."""
    broker = await open_broker()
    await broker.prepare()
    config = await config_of(nc, streams.EVENTS)
    await nc.jetstream()._api_request(
        f"$JS.API.STREAM.UPDATE.{streams.EVENTS}", msgspec.json.encode(config | {"max_bytes": 6000})
    )
    await broker.prepare()
    assert (await config_of(nc, streams.EVENTS))["max_bytes"] == 6000
    outcomes = await broker.log.append([decision(f"d{number}", reason="x" * 900) for number in range(10)])
    stored = len(await ids(broker))
    assert 0 < stored < 10
    sequences(outcomes[:stored])
    assert all(outcome.full and not outcome.replaced for outcome in outcomes[stored:])
    large = await broker.log.append([decision(f"e{number}", reason="x" * 900) for number in range(40)])
    assert all(outcome.full for outcome in large)
    assert len(await ids(broker)) == stored


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"storage": "memory"}, "storage"),
        ({"retention": "interest"}, "retention"),
        ({"allow_atomic": False}, "allow_atomic"),
        ({"discard": "old"}, "discard"),
        ({"subjects": ["muster.events.>", "more"]}, "subjects"),
    ],
)
async def test_a_stream_with_other_settings_is_refused(open_broker, nc, other: dict[str, Any], named: str):
    """A stream of the same name that is something else is named with the setting that is wrong."""
    config = PLAIN | {"deny_delete": True, "allow_atomic": True, "discard": "new", "storage": "file"} | other
    await nc.jetstream()._api_request(f"$JS.API.STREAM.CREATE.{streams.EVENTS}", msgspec.json.encode(config))
    broker = await open_broker()
    with pytest.raises(BrokerUnsuitableError, match=named) as caught:
        await broker.prepare()
    assert "MUSTER_EVENTS" in str(caught.value)


async def test_replicas_need_as_many_servers(open_broker):
    """Asking one server for three replicas is refused with the remedy."""
    broker = await open_broker(replicas=3)
    with pytest.raises(BrokerUnsuitableError, match="as many servers"):
        await broker.prepare()


async def test_files_in_the_way(open_broker, broker: Server):
    """Where the server cannot make the files of a stream at once, it is asked again."""
    in_the_way = broker.store / "jetstream" / "$G" / "streams" / streams.EVENTS
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()  # the server removes it when it fails
    connection = await open_broker()
    await connection.prepare()
    assert "Stream create failed" in broker.log
    assert sequences(await connection.log.append([decision("d")]))


async def test_no_room_for_files(open_broker, monkeypatch: pytest.MonkeyPatch):
    """Where the server goes on being unable to make the files of a stream, the stream and the remedy are told."""

    async def full(connection: Connection, operation: str, *_: Any, **__: Any) -> None:
        code = api.STREAM_NOT_FOUND if "INFO" in operation else streams.CREATE_FAILED
        raise BrokerError("error creating store for stream", api_code=code)

    connection = await open_broker()
    monkeypatch.setattr(streams, "PREPARE_LIMIT_S", 0.1)
    monkeypatch.setattr(api, "call", full)
    with pytest.raises(BrokerUnsuitableError, match=r"MUSTER_EVENTS could not be created.*storage"):
        await connection.prepare()


async def test_other_replicas_are_named(open_broker, monkeypatch: pytest.MonkeyPatch):
    """A stream with another number of replicas is refused with the setting and the command that mend it."""
    broker = await open_broker()
    await broker.prepare()
    other = await open_broker(replicas=3)
    with pytest.raises(BrokerUnsuitableError, match=r"MUSTER_REPLICAS=1.*--replicas 3"):
        await other.prepare()


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"version": "2.11.9"}, "is NATS 2.11.9"),
        ({"jetstream": False}, "without JetStream"),
        ({"max_payload": 1 << 20}, "max_payload: 8MB"),
    ],
)
async def test_an_unsuitable_broker_is_refused(open_broker, info: dict[str, Any], said: str):
    """A broker that is too old, has no JetStream or takes too small messages is refused with the remedy."""
    broker = await open_broker()
    broker._connection.nc._server_info |= info
    with pytest.raises(BrokerUnsuitableError, match=said):
        await broker.prepare()


class Bare(Server):
    """A server without JetStream."""

    def config(self) -> str:
        return f'server_name: "{self.name}"\nlisten: "127.0.0.1:{self.port}"\n'


async def test_a_broker_without_jetstream(tmp_path: Path):
    """A real server without JetStream: prepare says so, and everything else is an error in one sentence at once."""
    with Bare(tmp_path / "bare") as server:
        broker = await connect(Settings(url=server.url, append_deadline_s=1000), name="test")
        try:
            with pytest.raises(BrokerUnsuitableError, match="without JetStream"):
                await broker.prepare()
            with pytest.raises(BrokerError, match="JetStream is not enabled"):
                await broker.log.position()
            [outcome] = await broker.log.append([decision("d")])
            assert "JetStream" in outcome.reason  # an Unknown, and no deadline was waited for
        finally:
            await broker.close()


async def test_no_broker_at_all():
    """Where nothing listens, connecting ends in the time given with the URL and what to do."""
    url = f"nats://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(BrokerError, match=url) as caught:
        await connect(Settings(url=url, connect_timeout_s=0.5), name="test")
    assert time.monotonic() - began < Settings().connect_timeout_s
    assert "muster doctor" in str(caught.value)


async def test_any_of_several_urls_will_do(broker: Server):
    """With a list of URLs the one that answers is used."""
    urls = f"nats://127.0.0.1:{free_port()}, {broker.url}"
    connection = await connect(Settings(url=urls), name="test")
    assert connection.connected
    await connection.close()


async def test_refused_credentials_are_said_at_once(make_broker):
    """A broker that asks for a password one does not have is not waited for."""
    server = make_broker(extra='authorization { user: "u", password: "p" }')
    with pytest.raises(BrokerError, match="refuses these credentials"):
        await connect(Settings(url=server.url, connect_timeout_s=1000), name="test")


async def test_an_nkey_opens_the_door(make_broker, tmp_path: Path):
    """A seed in a file is used; a file that is not there is named."""
    seed = nkeys.encode_seed(b"0" * 32, nkeys.PREFIX_BYTE_USER)
    server = make_broker(
        extra=f"authorization {{ users: [ {{ nkey: {nkeys.from_seed(bytearray(seed)).public_key.decode()} }} ] }}"
    )
    path = tmp_path / "seed"
    path.write_bytes(seed + b"\n")
    connection = await connect(Settings(url=server.url, nkey_seed=str(path)), name="test")
    await connection.prepare()
    await connection.close()
    with pytest.raises(BrokerError, match="cannot be read"):
        await connect(Settings(url=server.url, nkey_seed=str(tmp_path / "none")), name="test")


async def test_a_client_that_ends_by_itself_leaves_nobody_waiting(open_broker):
    """Should nats-py ever close for good, followers end and writes are Unknown, instead of waiting for ever."""
    broker = await open_broker()
    await broker.prepare()
    following = asyncio.ensure_future(anext(broker.log.follow(), None))
    await broker.log.append([decision("d")])
    assert await following is not None
    waiting = asyncio.ensure_future(anext(broker.log.follow(2), None))
    await asyncio.sleep(0.05)
    await broker._connection.nc.close()
    async with asyncio.timeout(30):
        assert await waiting is None
        [outcome] = await broker.log.append([decision("e")])
    assert isinstance(outcome, Unknown)


async def test_closing_twice_and_using_a_closed_connection(open_broker):
    """A closed connection ends everything at once and can be closed again."""
    broker = await open_broker()
    await broker.prepare()
    await broker.close()
    await broker.close()
    assert not broker.connected
    with pytest.raises(BrokerError):
        await broker.log.position()
    assert [batch async for batch in broker.log.follow()] == []
    assert [batch async for batch in broker.commands.receive("gpu-1")] == []
    assert [beat async for beat in broker.heartbeats.listen()] == []


async def test_consumers_do_not_stay(open_broker, nc):
    """A reading leaves no consumer behind."""
    broker = await open_broker()
    await broker.prepare()
    await broker.log.append([decision("d")])
    assert await ids(broker) == ["d"]
    await broker.log.position()  # the deletion was sent before this question
    assert (await nc.jetstream().stream_info(streams.EVENTS)).state.consumer_count == 0
