"""What holds for every table: no order matters, constraints only take away, borders hold by an oracle of our own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builders.routing import (
    ALL,
    consumer,
    deployment,
    gateway,
    hosted,
    inputs,
    local,
    provider,
    revision,
    route,
    rule,
    selected,
)
from penstock.api.route import RouteSpec
from penstock.routing.build import build_table
from penstock.routing.explain import explain_all
from penstock.routing.inputs import Inputs, Revision, RouteInput
from penstock_policy.decision import Decision, Index, Request, decide
from penstock_policy.table import Price
from penstock_policy.wire import decode, encode

LEVELS = ["low", "medium", "high"]
EU = {"DE", "FR"}
"""Of the countries that are drawn here."""

_levels = st.sampled_from([None, None, *LEVELS, "high", "secret"])
_countries = st.sampled_from([["DE"], ["DE"], ["DE", "FR"], ["FR"], ["US"], ["DE", "US"], []])
_NAMESPACES = ("team", "gateway")
_namespaces = st.sampled_from(_NAMESPACES)
_allowed = st.sampled_from([ALL, None, selected(a="b")])
_ages = st.integers(0, 2)


@st.composite
def _references(draw: st.DrawFn) -> dict[str, Any]:
    namespace = draw(st.sampled_from([None, *_NAMESPACES]))
    if draw(st.booleans()):
        return local(draw(st.sampled_from(["chat", "small"])), namespace=namespace)
    return hosted(model=draw(st.sampled_from(["large", "large", "large", "gone"])), namespace=namespace)


@st.composite
def _rules(draw: st.DrawFn, *, last: bool) -> dict[str, Any]:
    """A rule; most of what they say is good."""
    fields: dict[str, Any] = {"fallback": draw(st.lists(_references(), max_size=2))}
    shares = draw(st.lists(_references(), min_size=1, max_size=3))
    backends = [share | {"weight": draw(st.sampled_from([0, 1, 5]))} for share in shares]
    if not last:
        fields["match"] = {
            "tasks": draw(st.sampled_from([["legal"], ["legal"], []])),
            "sensitivities": draw(st.sampled_from([[], [], [], ["low", "medium"], ["high"], ["secret"]])),
        }
    fields["constraints"] = {
        "jurisdictions": draw(st.sampled_from([[], ["EU"], ["EU"], ["DE"], ["EU", "US"], ["EU", "ZZ"]])),
        **draw(st.sampled_from([{}, {}, {}, {"maxPricePerMillionTokens": {"amount": "5", "currency": "USD"}}])),
    }
    if draw(st.integers(0, 9)) == 9:
        fields["verify"] = {"checks": [{"type": "CitationsRequired"}]}
    return rule("last" if last else "first", *backends, **fields)


@st.composite
def _routes(draw: st.DrawFn, name: str) -> RouteInput:
    labels = draw(st.sampled_from([{}, {"a": "b"}]))
    rules = [draw(_rules(last=False)), draw(_rules(last=True))]
    names = draw(st.lists(st.sampled_from(["x", "y", "team/x"]), min_size=1, unique=True))
    return route(name, *rules, namespace=draw(_namespaces), age=draw(_ages), names=names, labels=labels)


@st.composite
def _revisions(draw: st.DrawFn, name: str) -> Revision:
    pools = draw(
        st.sampled_from([1, 1, 1, 2]).flatmap(lambda count: st.lists(_countries, min_size=count, max_size=count))
    )
    return revision(
        name, *pools, pods=draw(st.sampled_from([1, 2, 1, 0])), serving=draw(st.sampled_from([True, True, True, False]))
    )


@st.composite
def _worlds(draw: st.DrawFn) -> Inputs:
    """A gateway with two Routes, and in each namespace two deployments, a provider and a Consumer."""
    parts: list[Any] = [draw(_routes("one")), draw(_routes("two"))]
    for namespace in _NAMESPACES:
        parts += [
            deployment(
                name,
                *(
                    draw(_revisions(f"{namespace}-{name}-{number}"))
                    for number in range(draw(st.sampled_from([1, 1, 2])))
                ),
                namespace=namespace,
                max_sensitivity=draw(_levels),
                allowed_routes=draw(_allowed),
                price=draw(st.sampled_from([Price(1_000_000, 2_000_000), Price(9_000_000), None])),
                draining=draw(st.integers(0, 3)) == 3,
            )
            for name in ("chat", "small")
        ]
        spec = {"maxSensitivity": draw(_levels), "countries": draw(_countries), "allowedRoutes": draw(_allowed)}
        parts.append(provider(namespace=namespace, **spec))
        parts.append(
            consumer(
                namespace=namespace,
                age=draw(_ages),
                sensitivityFloor=draw(st.sampled_from([None, None, None, "medium", "secret"])),
            )
        )
    of = gateway(modelNameGrants=[{"namespace": "team", "names": ["x"]}])
    keys = {f"{namespace}/bot": draw(st.sampled_from(["k1", "k2"])) for namespace in _NAMESPACES}
    return inputs(*parts, of=of, keys=keys)


@dataclass(frozen=True)
class _Asked:
    """A request as it is drawn; its model name and its Consumer are chosen among those of the table."""

    name: int
    caller: int
    task: str
    level: str
    draw: float

    def of(self, inputs_of: Inputs) -> Decision | None:
        table = build_table(inputs_of, 1).table
        everything = frozenset(each.name for each in table.routes)
        callers = [replace(each, routes=everything) for each in table.consumers]
        names = [name for each in table.routes for name in each.model_names]
        caller = callers[self.caller % len(callers)]
        request = Request(names[self.name % len(names)], caller, task=self.task, sensitivity_asked=self.level)
        decision = decide(Index.of(table), request, self.draw)
        return decision if isinstance(decision, Decision) else None


_asked = st.builds(
    _Asked,
    name=st.integers(0, 5),
    caller=st.integers(0, 1),
    task=st.sampled_from(["", "legal"]),
    level=st.sampled_from(["", "", *LEVELS, "secret"]),
    draw=st.floats(0, 1, exclude_max=True),
)


@given(_worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_does_not_matter(world: Inputs, random: Any) -> None:
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(items, len(items)))

    other = replace(
        world,
        routes=shuffled(world.routes),
        providers=shuffled(world.providers),
        consumers=shuffled(world.consumers),
        deployments=tuple(replace(each, revisions=shuffled(each.revisions)) for each in shuffled(world.deployments)),
        keys=dict(shuffled(tuple(world.keys.items()))),
    )
    first, second = build_table(world, 1), build_table(other, 1)
    assert encode(first.table) == encode(second.table)
    assert (first.problems, first.attachments) == (second.problems, second.attachments)
    assert decode(encode(first.table)) == first.table


def _more(constraints: Mapping[str, Any]) -> Callable[[RouteInput], RouteInput]:
    """Add them to every rule of a Route; jurisdictions only where there are none, since more of them admit more."""

    def changed(asked: RouteInput) -> RouteInput:
        document = asked.spec.model_dump(by_alias=True)
        for each in document["rules"]:
            stated = {key: value for key, value in each["constraints"].items() if value}
            each["constraints"] = {**constraints, **stated}
        return replace(asked, spec=RouteSpec.model_validate(document))

    return changed


_CONSTRAINTS: list[dict[str, Any]] = [
    {"jurisdictions": ["EU"]},
    {"jurisdictions": ["ZZ"]},
    {"maxPricePerMillionTokens": {"amount": "5", "currency": "USD"}},
    {"maxPricePerMillionTokens": {"amount": "5", "currency": "EUR"}},
    {"timeToFirstTokenMilliseconds": 100, "totalLatencyMilliseconds": 50},
]


@given(_worlds(), _asked, st.sampled_from(_CONSTRAINTS))
def test_a_constraint_never_adds_a_hop(world: Inputs, asked: _Asked, constraints: dict[str, Any]) -> None:
    before = asked.of(world)
    after = asked.of(replace(world, routes=tuple(_more(constraints)(each) for each in world.routes)))
    if after is not None:
        assert before is not None
        assert {hop.name for hop in after.hops} <= {hop.name for hop in before.hops}


@given(_worlds(), _asked, st.sampled_from(["low", "secret"]))
def test_a_lower_clearance_never_adds_a_hop(world: Inputs, asked: _Asked, level: str) -> None:
    before = asked.of(world)
    after = asked.of(replace(world, deployments=tuple(replace(d, max_sensitivity=level) for d in world.deployments)))
    if after is not None:
        assert before is not None
        assert {hop.name for hop in after.hops} <= {hop.name for hop in before.hops}


def _may_answer(world: Inputs, decision: Decision, backend: str, level: int) -> bool:
    """The oracle: from what users wrote, and from nothing that the table says."""
    asking = next(each for each in world.routes if each.key == decision.route.name)
    said = next(each for each in asking.spec.rules if each.name == decision.rule.name)
    kind, namespace, name, *_ = backend.split("/")
    if kind == "deployment":
        one = next(each for each in world.deployments if (each.namespace, each.name) == (namespace, name))
        pools = [pool for each in one.revisions for pool in each.pools]
        places = set().union(*pools) if all(pools) else set()
        highest, allowed = "high" if one.max_sensitivity is None else one.max_sensitivity, one.allowed_routes
        usable = not one.draining and any(each.serving and each.endpoints for each in one.revisions)
        cost = None if one.price is None else max(one.price.input_micros, one.price.output_micros)
    else:
        spec = next(each.spec for each in world.providers if (each.namespace, each.name) == (namespace, name))
        places, highest, allowed = set(spec.countries), spec.max_sensitivity or "low", spec.allowed_routes
        usable, cost = True, None
    clear = LEVELS.index(highest) if highest in LEVELS else 0
    constraints = said.constraints
    inside = True
    if constraints is not None and constraints.jurisdictions:
        lawful = set[str]().union(*(EU if code == "EU" else {code} for code in constraints.jurisdictions))
        inside = bool(places) and places <= lawful and "ZZ" not in constraints.jurisdictions
    cheap = constraints is None or constraints.max_price_per_million_tokens is None or (cost or 10**9) <= 5_000_000
    consents = namespace == asking.namespace or (
        allowed is not None and (allowed.namespaces.from_ == "All" or (asking.namespace_labels.get("a") == "b"))
    )
    return level <= clear and inside and cheap and usable and consents and said.verify is None


@given(_worlds(), _asked)
def test_no_decision_reaches_a_backend_that_may_not_answer(world: Inputs, asked: _Asked) -> None:
    decision = asked.of(world)
    if decision is None:
        return
    stated = LEVELS.index(asked.level) if asked.level in LEVELS else 2 if asked.level else 0
    assert decision.level >= stated
    for hop in decision.hops:
        assert _may_answer(world, decision, hop.name, decision.level), hop.name


@given(_worlds())
def test_names_are_of_one_route_and_every_route_can_be_explained(world: Inputs) -> None:
    built = build_table(world, 1)
    names = [name for each in built.table.routes for name in each.model_names]
    assert len(names) == len(set(names))
    assert len({each.key_sha256 for each in built.table.consumers}) == len(built.table.consumers)
    for told in explain_all(built).values():
        assert told.headline
        for each in told.rules:
            assert each.answers or each.sentence
