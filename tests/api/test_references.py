"""What specs point with."""

from penstock.api.inferencepool import PoolPrice
from penstock.api.quantities import Money
from penstock.api.references import AllowedNamespaces, AllowedRoutes, Amount, LabelSelector, NamespacesFrom, Toleration


def test_prices_become_money() -> None:
    """Decimal strings outside, micro-units inside."""
    assert Amount(amount="30.00", currency="EUR").money == Money("EUR", 30_000_000)
    assert PoolPrice(per_gpu_hour="2.95").money == Money("USD", 2_950_000)


def test_a_selector_wants_every_label() -> None:
    """All of them, with these values; others do not matter."""
    selector = LabelSelector(match_labels={"tier": "gold", "team": "search"})
    assert selector.matches({"tier": "gold", "team": "search", "other": "x"})
    assert not selector.matches({"tier": "gold"})
    assert not selector.matches({"tier": "gold", "team": "ads"})


def test_consent_is_wide_for_pools_and_narrow_for_routes() -> None:
    """A pool left open admits all namespaces, a backend only its own, however little is written."""
    assert AllowedNamespaces().from_ is NamespacesFrom.ALL
    assert AllowedRoutes().namespaces.from_ is NamespacesFrom.SAME
    assert AllowedRoutes.model_validate({"namespaces": {}}).namespaces.from_ is NamespacesFrom.SAME


def test_a_toleration_compares_as_pods_do() -> None:
    """What is copied from a pod means the same here."""
    assert Toleration(key="gpu", value="present").operator == "Equal"
