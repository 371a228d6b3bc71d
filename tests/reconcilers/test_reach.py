"""What lies out of reach, and the cure that each refusal names."""

import pytest

from penstock.cluster.scope import Scope
from penstock.reconcilers.reach import secrets_of_gateway, unwatched
from penstock.reconcilers.world import World

PLACE = ("team", "main")
NOTHING: frozenset[tuple[str, str]] = frozenset()
OUT_OF_REACH: dict[str, tuple[Scope, frozenset[tuple[str, str]], bool]] = {
    "all of them": (Scope(), NOTHING, False),
    "named": (Scope(secrets=("team",)), NOTHING, False),
    "not named": (Scope(secrets=("other",)), NOTHING, True),
    "its token was refused": (Scope(), frozenset({("team", "main-gateway-token")}), True),
    "its credentials were refused": (Scope(), frozenset({("team", "main-gateway-credentials")}), True),
    "another gateway's were refused": (Scope(), frozenset({("team", "other-gateway-token")}), False),
}


def _world(scope: Scope) -> World:
    return World(enqueue=lambda _key: None, enqueue_after=lambda _key, _seconds: None, scope=scope)


@pytest.mark.parametrize(("scope", "refused", "want"), OUT_OF_REACH.values(), ids=OUT_OF_REACH.keys())
def test_secrets_of_a_gateway(scope: Scope, refused: frozenset[tuple[str, str]], want: bool) -> None:  # noqa: FBT001 - a table's column
    """By what is named and by what the API server said."""
    world = _world(scope)
    world.without_secrets.update(refused)
    told = secrets_of_gateway(world, PLACE)
    assert bool(told) is want
    assert all("'team'" in str(each) and "`secretNamespaces`" in str(each) for each in told)


def test_a_reference_into_a_namespace_that_nobody_looks_at() -> None:
    """The field and the cure; none where it is looked at."""
    told = unwatched(_world(Scope(("team",))), "spec.gatewayRef.namespace", "other")
    assert str(told) == (
        "`spec.gatewayRef.namespace` 'other': the operator does not look at this namespace. "
        "List it in the chart's value `watchNamespaces`."
    )
    assert unwatched(_world(Scope(("team",))), "spec.gatewayRef.namespace", "team") is None
    assert unwatched(_world(Scope()), "spec.gatewayRef.namespace", "other") is None
