"""Nothing is relied on, and nothing removed, before every replica has said so."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rollout.drain import Drain, Drained, GatewayState, Replica, Routed, drained, in_flight, routable

HOME, AWAY_FROM_HOME = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


def gateway(*generations: int, wanted: int = 5, busy: int = 0, at: str = HOME) -> GatewayState:
    """With replicas at these generations; the first one has requests in flight there."""
    replicas = [
        Replica(f"gw-{number}", generation, {at: busy} if not number else {})
        for number, generation in enumerate(generations)
    ]
    return GatewayState("gateway/main", wanted, replicas)


def drain(waited: float = 0, **more: float) -> Drain:
    """Of HOME; no request takes longer than half a minute."""
    return Drain(frozenset({HOME}), waited, in_flight_seconds=30, **more)


AWAY = GatewayState("gateway/main", 5, None)

ROUTABLE: dict[str, tuple[Sequence[GatewayState], Routed]] = {
    "no Route": ((), Routed.NOT_ROUTED),
    "the server is away": ((AWAY,), Routed.SERVER_AWAY),
    "not published": ((gateway(4, wanted=0),), Routed.NOT_PUBLISHED),
    "no replica": ((gateway(),), Routed.NO_REPLICA),
    "one is behind": ((gateway(5, 4),), Routed.NOT_ACKNOWLEDGED),
    "all have it": ((gateway(5, 6),), Routed.ROUTABLE),
    "all of one gateway": ((gateway(5), gateway(4)), Routed.NOT_ACKNOWLEDGED),
}


@pytest.mark.parametrize(("gateways", "verdict"), ROUTABLE.values(), ids=ROUTABLE)
def test_routable(gateways: Sequence[GatewayState], verdict: Routed) -> None:
    """Only when no replica could still answer that there is no such backend."""
    assert routable(gateways)[0] is verdict


DRAINED: dict[str, tuple[Sequence[GatewayState], float, Drained]] = {
    "no Route": ((), 0, Drained.DRAINED),
    "the server is away": ((AWAY,), 1e9, Drained.SERVER_AWAY),
    "not published": ((gateway(4, wanted=0),), 1e9, Drained.NOT_PUBLISHED),
    "no replica is left": ((gateway(),), 0, Drained.DRAINED),
    "one is behind": ((gateway(5, 4),), 1e9, Drained.NOT_ACKNOWLEDGED),
    "away before it was published": ((GatewayState("gateway/main", 0, None),), 1e9, Drained.SERVER_AWAY),
    "requests in flight": ((gateway(5, busy=3),), 29, Drained.IN_FLIGHT),
    "in flight for too long": ((gateway(5, busy=3),), 30, Drained.DRAINED),
    "in flight somewhere else": ((gateway(5, busy=3, at=AWAY_FROM_HOME),), 0, Drained.DRAINED),
    "in flight at more places than a replica lists": ((gateway(5, busy=3, at="*"),), 0, Drained.IN_FLIGHT),
    "in flight on another gateway": ((gateway(5), gateway(5, busy=1)), 0, Drained.IN_FLIGHT),
    "nothing in flight": ((gateway(5, 5),), 0, Drained.DRAINED),
}


@pytest.mark.parametrize(("gateways", "waited", "verdict"), DRAINED.values(), ids=DRAINED)
def test_drained(gateways: Sequence[GatewayState], waited: float, verdict: Drained) -> None:
    """Only when no replica can send there any more, and none waits for an answer."""
    assert drained(gateways, drain(waited))[0] is verdict


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (AWAY, Drained.FORCED),
        (gateway(5, 4), Drained.FORCED),
        (gateway(5, busy=1), Drained.FORCED),
        (gateway(5, wanted=0), Drained.NOT_PUBLISHED),
        (GatewayState("gateway/main", 0, None), Drained.SERVER_AWAY),
        (gateway(5), Drained.DRAINED),
    ],
)
def test_the_users_deadline_ends_the_wait(state: GatewayState, verdict: Drained) -> None:
    """It has a name of its own; a removal that was never published is not even then begun."""
    found, words = drained((state,), drain(asked_seconds=60, deadline_seconds=60))
    assert found is verdict
    assert verdict is not Drained.FORCED or "deadline of 60 s" in words


def test_the_message_names_who_is_late() -> None:
    """And what is waited for."""
    assert routable([gateway(5, 3)])[1] == "gw-1 of gateway/main did not acknowledge generation 5 yet"


def test_the_message_stays_short() -> None:
    """However many replicas there are."""
    words = routable([gateway(4, 4, 4, 4, 4)])[1]
    assert words == "gw-0, gw-1, gw-2 and others of gateway/main did not acknowledge generation 5 yet"


def test_the_message_has_no_count() -> None:
    """It would be written anew with every request that ends."""
    assert drained([gateway(5, busy=3)], drain()) == drained([gateway(5, busy=2)], drain())


def test_in_flight_is_the_sum_over_replicas_and_gateways() -> None:
    """Of these endpoints only."""
    assert in_flight([gateway(5, busy=3), gateway(5, busy=4), AWAY], [HOME]) == 7
    assert in_flight([gateway(5, busy=3)], [AWAY_FROM_HOME]) == 0


REPLICAS = st.builds(Replica, st.sampled_from("abc"), st.integers(0, 9), st.just({}))
GATEWAYS = st.builds(
    GatewayState, st.just("g"), st.integers(0, 9), st.none() | st.lists(REPLICAS, max_size=3).map(tuple)
)


@given(st.lists(GATEWAYS, max_size=3), st.floats(0, 100))
def test_nothing_is_removed_that_a_replica_may_still_send_to(gateways: list[GatewayState], waited: float) -> None:
    """However long it was waited for."""
    if drained(gateways, drain(waited))[0] is Drained.DRAINED:
        for each in gateways:
            assert each.generation
            assert each.replicas is not None
            assert all(replica.generation >= each.generation for replica in each.replicas)
