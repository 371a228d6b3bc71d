"""Nothing is relied on, and nothing removed, before every replica has said so."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rollout.drain import Drain, Drained, GatewayState, Replica, Routed, drained, routable

HOME = "deployment/team/home"


def gateway(*generations: int, wanted: int = 5, in_flight: int = 0) -> GatewayState:
    """With replicas at these generations; the first one has requests in flight."""
    replicas = [
        Replica(f"gw-{number}", generation, {HOME: in_flight} if not number else {})
        for number, generation in enumerate(generations)
    ]
    return GatewayState("gateway/main", wanted, replicas)


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
    "requests in flight": ((gateway(5, in_flight=3),), 29, Drained.IN_FLIGHT),
    "in flight for too long": ((gateway(5, in_flight=3),), 30, Drained.DRAINED),
    "nothing in flight": ((gateway(5, 5),), 0, Drained.DRAINED),
}


@pytest.mark.parametrize(("gateways", "waited", "verdict"), DRAINED.values(), ids=DRAINED)
def test_drained(gateways: Sequence[GatewayState], waited: float, verdict: Drained) -> None:
    """Only when no replica can send there any more, and none waits for an answer."""
    assert drained(gateways, Drain(HOME, waited, in_flight_seconds=30))[0] is verdict


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (AWAY, Drained.FORCED),
        (gateway(5, 4), Drained.FORCED),
        (gateway(5, in_flight=1), Drained.FORCED),
        (gateway(5, wanted=0), Drained.NOT_PUBLISHED),
        (gateway(5), Drained.DRAINED),
    ],
)
def test_the_users_deadline_ends_the_wait(state: GatewayState, verdict: Drained) -> None:
    """It has a name of its own; a removal that was never published is not even then begun."""
    drain = Drain(HOME, 0, in_flight_seconds=30, asked_seconds=60, deadline_seconds=60)
    found, words = drained((state,), drain)
    assert found is verdict
    assert verdict is not Drained.FORCED or "deadline of 60 s" in words


def test_the_message_names_who_is_late() -> None:
    """And what is waited for."""
    assert routable([gateway(5, 3)])[1] == "gw-1 of gateway/main did not acknowledge generation 5 yet"


REPLICAS = st.builds(Replica, st.sampled_from("abc"), st.integers(0, 9), st.just({}))
GATEWAYS = st.builds(
    GatewayState, st.just("g"), st.integers(0, 9), st.none() | st.lists(REPLICAS, max_size=3).map(tuple)
)


@given(st.lists(GATEWAYS, max_size=3), st.floats(0, 100))
def test_nothing_is_removed_that_a_replica_may_still_send_to(gateways: list[GatewayState], waited: float) -> None:
    """However long it was waited for."""
    if drained(gateways, Drain(HOME, waited, in_flight_seconds=30))[0] is Drained.DRAINED:
        for each in gateways:
            assert each.generation
            assert each.replicas is not None
            assert all(replica.generation >= each.generation for replica in each.replicas)
