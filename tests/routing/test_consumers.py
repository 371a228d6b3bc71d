"""Consumers: what they may call, as what they count, and which are left out."""

from collections.abc import Sequence

import pytest

from builders.routing import consumer, consumer_of, deployment, gateway, inputs, route
from penstock.routing.build import Built, build_table
from penstock.routing.inputs import ConsumerInput
from penstock.routing.problems import Kind, ProblemReason
from penstock_policy.table import Consumer


def _build(*consumers: ConsumerInput, keys: dict[str, str] | None = None) -> Built:
    routes = (route("one"), route("two", names=["two"]), route("far", namespace="others"), route("off", to="other"))
    return build_table(inputs(*routes, deployment(), deployment(namespace="others"), *consumers, keys=keys), 1)


def _reasons(built: Built) -> list[tuple[str, ProblemReason, str, bool]]:
    found = [each for each in built.problems if each.kind is Kind.CONSUMER]
    return [(each.name, each.reason, each.refusal.field, each.refuses) for each in found]


def test_a_consumer_as_the_table_has_it() -> None:
    limits = {"requestsPerMinute": 600, "tokensPerMinute": 400_000}
    one = consumer(tier="gold", sensitivityFloor="medium", limits=limits, labels={"team": "support", "x": "y"})
    assert consumer_of(_build(one).table) == Consumer(
        name="team/bot",
        key_sha256="sha-of-team/bot",
        routes=frozenset({"team/*"}),
        tier="gold",
        team="support",
        sensitivity_floor=1,
        requests_per_minute=600,
        tokens_per_minute=400_000,
    )


def test_a_consumer_that_says_nothing() -> None:
    want = Consumer("none/bot", "sha-of-none/bot", routes=frozenset({"none/*"}))
    assert consumer_of(_build(consumer(namespace="none")).table, "none/bot") == want


ROUTES: dict[str, tuple[Sequence[str], set[str], Sequence[str]]] = {
    "left out: all of its namespace on this gateway": ([], {"team/*"}, []),
    "named": (["two"], {"team/two"}, []),
    "one that is not there is left out": (["two", "gone"], {"team/two"}, ["gone"]),
    "of another namespace it names none": (["far"], set(), ["far"]),
    "of another gateway neither": (["off"], set(), ["off"]),
    "names that all lead nowhere allow nothing": (["gone", "off"], set(), ["gone", "off"]),
}


@pytest.mark.parametrize(("named", "want", "missing"), ROUTES.values(), ids=ROUTES)
def test_routes_that_it_may_call(named: Sequence[str], want: set[str], missing: Sequence[str]) -> None:
    built = _build(consumer(routeRefs=[{"name": name} for name in named]))
    assert consumer_of(built.table).routes == want
    problems = [each for each in built.problems if each.kind is Kind.CONSUMER]
    assert [(each.reason, each.refusal.value) for each in problems] == [
        (ProblemReason.ROUTE_NOT_FOUND, name) for name in missing
    ]


FLOORS: dict[str, tuple[str | None, int, bool]] = {
    "left out: the lowest": (None, 0, False),
    "a level": ("medium", 1, False),
    "a level that nobody knows: the highest": ("secret", 2, True),
}


@pytest.mark.parametrize(("floor", "want", "told"), FLOORS.values(), ids=FLOORS)
def test_floors(floor: str | None, want: int, *, told: bool) -> None:
    built = _build(consumer(sensitivityFloor=floor))
    assert consumer_of(built.table).sensitivity_floor == want
    assert _reasons(built) == [("team/bot", ProblemReason.LEVEL_UNKNOWN, "spec.sensitivityFloor", False)] * told


def test_a_floor_that_is_there_twice_is_the_higher_one() -> None:
    of = gateway(sensitivityLevels=["low", "high", "low"])
    built = build_table(inputs(consumer(sensitivityFloor="low"), of=of), 1)
    assert consumer_of(built.table).sensitivity_floor == 2


def test_a_consumer_without_a_key_is_left_out() -> None:
    built = _build(consumer(), consumer("other"), keys={"team/other": "sha"})
    assert [each.name for each in built.table.consumers] == ["team/other"]
    assert _reasons(built) == [("team/bot", ProblemReason.KEY_MISSING, "spec.keySecretRef", True)]


def test_of_two_consumers_with_one_key_the_older_has_it() -> None:
    keys = {"team/bot": "sha", "others/old": "sha"}
    built = _build(consumer(age=9), consumer("old", namespace="others", age=1), keys=keys)
    assert [each.name for each in built.table.consumers] == ["others/old"]
    assert _reasons(built) == [("team/bot", ProblemReason.KEY_TAKEN, "spec.keySecretRef", True)]
    # Whose key it is stays a secret.
    assert "others/old" not in str(built.problems[-1])
    assert not [problem for problem in built.problems if "sha" in str(problem)]


def test_consumers_are_sorted_by_name() -> None:
    built = _build(consumer("b", age=1), consumer("a", age=2), consumer("c", age=0))
    assert [each.name for each in built.table.consumers] == ["team/a", "team/b", "team/c"]
