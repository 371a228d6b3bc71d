"""What a table that is being made may hold counts as in it: nobody can say yet that it is out."""

import pytest

from penstock.reconcilers.traffic import GatewayTraffic, Traffic
from penstock.rollout.drain import Drain, Drained, Replica, drained
from penstock_policy.table import Backend, Table

GATEWAY = ("gateway", "main")
A, B = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


def verdict(gateway: GatewayTraffic, endpoint: str) -> Drained:
    """With one replica, of which the server has heard what is in `said`."""
    traffic = Traffic(enabled=True, gateways={GATEWAY: gateway})
    return drained(traffic.departures([endpoint]), Drain(frozenset({endpoint}), 0.0, 600.0))[0]


def gateway(making: str, *, published: bool = True) -> GatewayTraffic:
    """Of which a table with one endpoint is being made, beside an empty one that is everywhere."""
    made = GatewayTraffic()
    home = Backend("deployment/team/home", "Deployment", "OpenAI", "home", (), max_sensitivity=0)
    made.adopt(Table("gateway/main", 3, ("low",), backends=(home,)) if published else None, "hash-3")
    made.said, made.making = (Replica("gw-0", 3 if published else 0),), frozenset({making})
    return made


@pytest.mark.parametrize("published", [True, False])
def test_it_is_not_out(published: bool) -> None:  # noqa: FBT001 - a table's column
    """Not even where nothing was published before."""
    assert verdict(gateway(A, published=published), A) is Drained.NOT_PUBLISHED


def test_others_are_not_touched() -> None:
    """What no table is made with is out as before."""
    assert verdict(gateway(A), B) is Drained.DRAINED


def test_a_database_that_was_lost() -> None:
    """Nothing is published any more, but a replica has a table of the former line: it may send anywhere."""
    made = gateway(B, published=False)
    made.said, made.making = (Replica("gw-0", 7),), frozenset()
    assert verdict(made, A) is not Drained.DRAINED
