"""What is shown of any past point, read from every kind of broker."""

from typing import Any

from muster.broker.interface import Broker
from muster.cli.cluster import folded as cluster_at
from muster.cli.list import Listing, Wanted, from_log
from muster.cli.machines import told
from muster.cli.moment import Point, locate
from muster.cli.roster import Roster
from muster.cli.show import as_object
from muster.cli.standing import Cluster
from muster.client.follower import ExecutionView
from muster.client.reach import so_far
from muster.model.log import subjects
from muster.model.log.envelope import encode
from tests.fixtures.histories import history
from tests.fixtures.site import Site


async def test_at_n_is_the_first_n_events(site: Site):
    """Show, list, machines and cluster at n are folds of the first n events, wherever the log is kept."""
    broker = await site.connect()
    events = history(7, executions=4, mishaps=0.6).events
    for recorded in events:
        await site.put(subjects.event(recorded.event), encode(recorded.event))
    ids = {recorded.event.execution for recorded in events} - {"-"}
    for n in [*range(0, len(events), 37), len(events)]:
        first, views = events[:n], {id_: ExecutionView(id_) for id_ in ids}
        listing, roster, cluster = Listing(), Roster(), Cluster()
        listing.apply_all(first)
        roster.apply_all(first)
        cluster.apply_all(first)
        for id_, view in views.items():
            view.apply_all(recorded for recorded in first if recorded.event.execution == id_)
        found = await shown(broker, n, ids)
        assert found["list"] == list(reversed(listing.rows.values()))
        assert found["machines"] == [
            (machine.name, machine.status, machine.since) for machine in roster.machines()
        ]
        assert found["cluster"] == cluster.standing()
        assert found["show"] == {id_: as_object(view) for id_, view in views.items()}
    assert (await locate(broker, len(events))) == Point(len(events), events[-1].event.time)


async def shown(broker: Broker, n: int, ids: set[str]) -> dict[str, Any]:
    """All that can be shown at n."""
    machines = (await told(broker, n)).machines()
    cluster = await cluster_at(broker, Point(n, None), lambda _: None)
    return {
        "list": await from_log(broker, Wanted(None, None, 1000), n),
        "machines": [(machine.name, machine.status, machine.since) for machine in machines],
        "cluster": cluster.standing(),
        "show": {id_: as_object(await so_far(broker, id_, n)) for id_ in ids},
    }
