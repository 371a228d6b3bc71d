"""Since when an endpoint is in a gateway's table or out of it, and who has acknowledged that."""

import pytest

from penstock.reconcilers.traffic import GatewayTraffic, Traffic, backend_name
from penstock.rollout.drain import Drain, Drained, Replica, Routed, drained, routable
from penstock_policy.table import Backend, Route, Rule, Share, Table

GATEWAY = ("gateway", "main")
HOME = backend_name("team", "home")
A, B, C = "http://10.0.0.1:8000", "http://10.0.0.2:8000", "http://10.0.0.3:8000"


def table(generation: int, *endpoints: str, routes: tuple[Route, ...] = ()) -> Table:
    """With one backend at these endpoints."""
    home = Backend(HOME, "Deployment", "OpenAI", "home", endpoints, max_sensitivity=0)
    return Table("gateway/main", generation, ("low",), backends=(home,), routes=routes)


def hash_of(generation: int) -> str:
    """Any text will do."""
    return f"hash-{generation}"


def published(*tables: Table) -> GatewayTraffic:
    """A gateway of which these were published, one after the other; the first one was found there."""
    traffic = GatewayTraffic()
    traffic.adopt(tables[0], hash_of(tables[0].generation))
    for each in tables[1:]:
        traffic.published(each, hash_of(each.generation))
    return traffic


def all_of(gateway: GatewayTraffic) -> Traffic:
    """Only that one."""
    return Traffic(enabled=True, gateways={GATEWAY: gateway})


def drain(*endpoints: str) -> Drain:
    """Of these, waited for in vain for no time."""
    return Drain(endpoints=frozenset(endpoints), waited_seconds=0.0, in_flight_seconds=600.0)


class TestEndpoints:
    """What the table says of an endpoint."""

    def test_entered_and_left(self) -> None:
        """Each since the generation that changed it."""
        traffic = published(table(3, A), table(4, A, B), table(5, B))
        assert traffic.since_all_in([B]) == 4
        assert traffic.since_all_in([A]) == 0
        assert traffic.since_all_out([A]) == 5
        assert traffic.since_all_out([B]) == 0

    def test_what_left_before_this_process_began(self) -> None:
        """Nobody remembers when, so it is the generation that was found."""
        assert published(table(7, A)).since_all_out([C]) == 7

    def test_what_was_in_no_table_that_this_process_made(self) -> None:
        """Where it found none: out since its first, whose generation stands above all that a replica may have."""
        traffic = GatewayTraffic()
        traffic.adopt(None, "")
        assert traffic.since_all_out([C]) == 0
        traffic.published(table(4, A), hash_of(4))
        traffic.published(table(5), hash_of(5))
        assert (traffic.since_all_out([C]), traffic.since_all_out([A])) == (4, 5)

    def test_what_is_known_of_a_lost_line_of_tables_counts_no_more(self) -> None:
        """The server's database was lost: a replica may have a table of that line, with the endpoint in it."""
        traffic = published(table(2), table(3, A))
        traffic.adopt(None, "")
        assert traffic.since_all_out([A]) == 0
        traffic.published(table(4), hash_of(4))
        assert traffic.since_all_out([A]) == 4

    def test_what_came_back_is_in(self) -> None:
        """An address that a new pod got."""
        traffic = published(table(3, A), table(4), table(5, A))
        assert traffic.since_all_in([A]) == 5
        assert traffic.since_all_out([A]) == 0

    def test_nothing_known(self) -> None:
        """Before the server was asked, nothing is in and nothing is out."""
        traffic = GatewayTraffic()
        assert (traffic.since_all_in([A]), traffic.since_all_out([A])) == (0, 0)

    def test_nothing_published(self) -> None:
        """A gateway without a table has sent nothing anywhere."""
        traffic = GatewayTraffic()
        traffic.adopt(None, "")
        assert all_of(traffic).departures([A]) == ()


class TestReplicas:
    """What counts as acknowledged."""

    def test_the_same_table_under_another_generation(self) -> None:
        """A database that was lost counts from 1 again; the content is the same."""
        gateway = published(table(1, A))
        all_of(gateway).heard(GATEWAY, [Replica("gw-0", 50)], {"gw-0": hash_of(1)})
        assert gateway.is_everywhere(1)
        assert gateway.ahead == 0

    def test_a_table_of_another_line(self) -> None:
        """It is ahead, and has acknowledged nothing of ours."""
        gateway = published(table(1, A))
        all_of(gateway).heard(GATEWAY, [Replica("gw-0", 50)], {"gw-0": "another"})
        assert not gateway.is_everywhere(1)
        assert gateway.ahead == 50

    def test_the_same_generation_with_another_content(self) -> None:
        """A database was restored: what replicas were given since is of the same number, and not the same."""
        gateway = published(table(4, A))
        all_of(gateway).heard(GATEWAY, [Replica("gw-0", 4)], {"gw-0": "another"})
        assert not gateway.is_everywhere(4)
        assert (gateway.ahead, gateway.next_generation) == (4, 5)

    def test_an_older_table_is_adopted(self) -> None:
        """The next one goes above what was published before."""
        gateway = published(table(3, A), table(4, A, B))
        gateway.adopt(table(3, A), hash_of(3))
        assert gateway.next_generation == 5
        gateway.adopt(None, "")
        assert gateway.next_generation == 5

    def test_a_pod_that_the_server_does_not_hear(self) -> None:
        """It may have any table: a partition is no acknowledgement."""
        gateway = published(table(3, A), table(4))
        traffic = all_of(gateway)
        traffic.heard(GATEWAY, [Replica("gw-0", 4)])
        assert drained(traffic.departures([A]), drain(A))[0] is Drained.DRAINED
        gateway.pods = frozenset({"gw-0", "gw-1"})
        assert drained(traffic.departures([A]), drain(A))[0] is Drained.NOT_ACKNOWLEDGED

    def test_the_server_is_away(self) -> None:
        """Nobody knows, so nothing is relied on and nothing is removed."""
        gateway = published(table(3, A), table(4))
        gateway.named = frozenset({HOME})
        traffic = all_of(gateway)
        assert drained(traffic.departures([A]), drain(A))[0] is Drained.SERVER_AWAY
        assert routable(traffic.arrivals(HOME, [A]))[0] is Routed.SERVER_AWAY
        assert not gateway.is_everywhere(0)

    def test_routable_once_all_have_it(self) -> None:
        """The generation that brought the last of its endpoints."""
        gateway = published(table(3, A), table(4, A, B))
        gateway.named = frozenset({HOME})
        traffic = all_of(gateway)
        traffic.heard(GATEWAY, [Replica("gw-0", 4), Replica("gw-1", 3)])
        assert routable(traffic.arrivals(HOME, [A]))[0] is Routed.ROUTABLE
        assert routable(traffic.arrivals(HOME, [A, B]))[0] is Routed.NOT_ACKNOWLEDGED

    def test_who_asks_is_told_once(self) -> None:
        """And asks again if it still has to wait."""
        traffic = all_of(published(table(3, A)))
        traffic.asking.add(("team", "home"))
        assert traffic.heard(GATEWAY, []) == {("team", "home")}
        assert traffic.heard(GATEWAY, []) == set()


@pytest.mark.parametrize(("known", "built"), [(False, False), (True, False)])
def test_settled_only_when_all_were_read_and_made(known: bool, built: bool) -> None:  # noqa: FBT001 - a table's columns
    """Before that, no Route naming a deployment means nothing."""
    traffic = all_of(GatewayTraffic(known=known, built=built))
    assert not traffic.settled
    traffic.gateways[GATEWAY].known = traffic.gateways[GATEWAY].built = True
    assert traffic.settled


def test_routes_since() -> None:
    """A Route is as it is since the table that changed it; pods that come and go change no Route."""

    def route(weight: int) -> Route:
        return Route("team/chat", ("chat",), (Rule("all", (Share(HOME, weight),)),))

    gateway = published(table(3, A, routes=(route(1),)), table(4, A, B, routes=(route(1),)))
    assert gateway.routes == {"team/chat": 3}
    gateway.published(table(5, A, B, routes=(route(2),)), hash_of(5))
    assert gateway.routes == {"team/chat": 5}
    all_of(gateway).heard(GATEWAY, [Replica("gw-0", 4)])
    assert gateway.waiting() == ["team/chat"]
