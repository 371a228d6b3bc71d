"""Model names: own ones always, bare ones by grant, and the older Route where two claim one."""

from collections.abc import Sequence

import pytest

from builders.routing import deployment, gateway, inputs, route
from penstock.routing.build import Built, build_table
from penstock.routing.inputs import RouteInput
from penstock.routing.problems import ProblemReason

GRANTED = gateway(modelNameGrants=[{"namespace": "team", "names": ["granted", "a/b"]}])

CLAIMS: dict[str, tuple[str, Sequence[str], Sequence[str], Sequence[str]]] = {
    "the gateway's namespace has every bare name": ("gateway", ["x"], ["gateway/x", "x"], []),
    "elsewhere a grant is needed": ("team", ["x"], ["team/x"], ["x"]),
    "and is enough": ("team", ["granted"], ["granted", "team/granted"], []),
    "a grant is for one namespace": ("others", ["granted"], ["others/granted"], ["granted"]),
    "one name without a grant does not hinder the others": (
        "team",
        ["granted", "x"],
        ["granted", "team/granted", "team/x"],
        ["x"],
    ),
    "an own name may be written out": ("team", ["team/x"], ["team/x"], []),
    "another namespace's own name is a bare one": ("team", ["others/x"], ["team/others/x"], ["others/x"]),
    "a bare name may hold a slash": ("team", ["a/b"], ["a/b", "team/a/b"], []),
}


def _names(built: Built) -> dict[str, tuple[str, ...]]:
    return {each.name: each.model_names for each in built.table.routes}


def _taken(built: Built) -> list[tuple[str, str, str]]:
    return [
        (problem.name, problem.refusal.value, problem.refusal.reason)
        for problem in built.problems
        if problem.reason is ProblemReason.NAME_TAKEN
    ]


def _build(*routes: RouteInput) -> Built:
    return build_table(inputs(*routes, deployment(), deployment(namespace="gateway"), of=GRANTED), 1)


@pytest.mark.parametrize(("namespace", "names", "want", "refused"), CLAIMS.values(), ids=CLAIMS)
def test_claims(namespace: str, names: Sequence[str], want: Sequence[str], refused: Sequence[str]) -> None:
    built = _build(route("r", namespace=namespace, names=names))
    assert built.table.routes[0].model_names == tuple(want)
    problems = [each for each in built.problems if each.reason is ProblemReason.NAME_NOT_GRANTED]
    assert [problem.refusal.value for problem in problems] == list(refused)
    assert all(f"'{namespace}/{problem.refusal.value}'" in problem.refusal.cure for problem in problems)


def test_the_older_route_has_the_name_and_the_newer_says_so() -> None:
    built = _build(
        route("newer", namespace="gateway", names=["granted"], age=9),
        route("older", namespace="team", names=["granted"], age=1),
    )
    assert _names(built) == {"team/older": ("granted", "team/granted"), "gateway/newer": ("gateway/granted",)}
    assert _taken(built) == [("gateway/newer", "granted", "belongs to Route team/older, which is older")]


def test_of_two_routes_of_one_second_the_first_by_name_has_it() -> None:
    built = _build(route("b", names=["granted"]), route("a", names=["granted"]))
    assert _names(built) == {"team/a": ("granted", "team/granted"), "team/b": ()}
    assert [(name, value) for name, value, _ in _taken(built)] == [("team/b", "team/granted"), ("team/b", "granted")]


def test_nobody_takes_the_own_name_of_a_namespace_by_being_older() -> None:
    built = _build(
        route("squatter", namespace="gateway", names=["team/x"], age=0),
        route("owner", namespace="team", names=["x"], age=9),
    )
    assert _names(built) == {"gateway/squatter": ("gateway/team/x",), "team/owner": ("team/x",)}
    assert _taken(built) == [("gateway/squatter", "team/x", "belongs to Route team/owner, whose own name it is")]


def test_routes_stand_in_the_order_of_their_age() -> None:
    built = _build(route("c", age=1), route("b", age=3), route("a", age=2))
    assert [each.name for each in built.table.routes] == ["team/c", "team/a", "team/b"]


def test_a_route_that_is_not_admitted_holds_no_name() -> None:
    closed = gateway(allowedRoutes=None)
    parts = (route("outsider", names=["gateway/x"]), route("own", namespace="gateway", names=["x"], age=9))
    built = build_table(inputs(*parts, deployment(namespace="gateway"), of=closed), 1)
    assert _names(built) == {"gateway/own": ("gateway/x", "x")}
