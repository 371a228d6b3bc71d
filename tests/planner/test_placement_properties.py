"""What holds for every fleet: nothing is promised twice, crosses a border or a ceiling, or depends on order.

How many fleets each property sees is the Hypothesis profile's matter (`make soak` asks for 100,000).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.fleet import NOW, fleet, pool, settled, tenant, variants
from penstock.api.formats import Precision
from penstock.api.inferencepool import InferencePoolSpec
from penstock.catalogue.blocs import contains
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Node, Pool, Tenant
from penstock.planner.placement import place
from penstock.planner.plan import Decision

pytestmark = pytest.mark.property
over_many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

ACCELERATORS = ("H100-SXM-80GB", "A100-SXM-80GB", "B200-SXM-180GB", "MI300X", "L40S-48GB")
POOL_NAMES = ("alpha", "beta", "gamma")

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def some_nodes(draw: Draw, name: str) -> tuple[Node, ...]:
    """Up to three nodes of one or mixed shapes, partly taken, now and then cordoned or not ready."""
    built = []
    for index in range(draw(st.sampled_from((1, 2, 3, 1, 0)))):
        gpus = draw(st.sampled_from((8, 4, 2)))
        built.append(
            Node(
                name=f"{name}-{index}",
                gpus=gpus,
                used=draw(st.sampled_from((0, 1, gpus // 2, gpus))),
                ready=draw(st.integers(0, 9)) < 9,
                schedulable=draw(st.integers(0, 9)) < 9,
            )
        )
    return tuple(built)


@st.composite
def some_pools(draw: Draw) -> tuple[Pool, ...]:
    """Up to three pools; some without a price, a country or a known accelerator."""
    return tuple(
        pool(
            name,
            accelerator=draw(st.sampled_from((*ACCELERATORS, *ACCELERATORS, None))),
            on=draw(some_nodes(name)),
            price=draw(st.sampled_from(("0.50", "1.00", "2.00", "2.95", "3.00", None))),
            countries=draw(st.sampled_from((("DE",), ("US",), ("DE", "IE"), ("SE", "US"), ()))),
            **draw(st.sampled_from(({}, {}, {"growth": {"maxNodes": 5}}))),
        )
        for name in POOL_NAMES[: draw(st.sampled_from((2, 3, 2, 1)))]
    )


@st.composite
def some_spec(draw: Draw) -> dict[str, Any]:
    """A spec with or without preferences, borders, a ceiling, a load and variants."""
    model = draw(st.sampled_from(("org/small", "org/large") * 4 + ("org/huge", "org/unheard-of")))
    spec: dict[str, Any] = {"model": model, "placement": {}}
    if model == "org/large":
        spec["variants"] = variants(
            *draw(st.lists(st.sampled_from((Precision.FP8, Precision.NVFP4, Precision.INT4)), unique=True))
        )
    spec["placement"]["pools"] = draw(st.sampled_from(((), (), ("beta", "alpha"), ("gamma", "alpha", "beta"), ())))
    spec["placement"]["jurisdictions"] = draw(st.sampled_from(((), (), (), ("EU",), ("US", "DE"))))
    spec["placement"]["fallbackAfterSeconds"] = draw(st.sampled_from((0, 300)))
    ceiling = draw(st.sampled_from((None, None, None, "30.00", "3.00")))
    if ceiling:
        spec["placement"]["maxPricePerReplicaHour"] = {"amount": ceiling}
    spec["workload"] = draw(
        st.sampled_from(({}, {"concurrency": 40}, {"maxContextTokens": 16_384}, {"requestsPerSecond": "3"}))
    )
    spec["rollout"] = {"surgePolicy": draw(st.sampled_from(("Wait", "Recreate")))}
    return spec


@st.composite
def some_tenants(draw: Draw) -> tuple[Tenant, ...]:
    """Up to five deployments in two namespaces, one of them under a quota."""
    left = draw(st.integers(0, 16))
    built = []
    for index in range(draw(st.integers(1, 5))):
        namespace = draw(st.sampled_from(("free", "bounded")))
        built.append(
            tenant(
                f"chat-{index}",
                namespace=namespace,
                age=draw(st.integers(0, 3)),
                spec=draw(some_spec()),
                replicas=draw(st.sampled_from((1, 2, 3, 0))),
                gpu_quota={"nvidia.com/gpu": left} if namespace == "bounded" else {},
            )
        )
    return tuple(built)


@st.composite
def fresh_fleets(draw: Draw) -> FleetSnapshot:
    """Nothing is placed yet."""
    return fleet(draw(some_pools()), *draw(some_tenants()))


@st.composite
def shaken_fleets(draw: Draw) -> FleetSnapshot:
    """A placed fleet after nodes died, pods were lost, specs and borders changed and replicas were asked for."""
    before = draw(fresh_fleets())
    running = settled(before, place(before, NOW))
    tenants = tuple(draw(shaken_tenants(each)) for each in running.tenants)
    lost: Counter[str] = Counter()
    for old, new in zip(running.tenants, tenants, strict=True):
        lost.update(old.held)
        lost.subtract(new.held)
    pools = tuple(
        replace(
            each,
            spec=draw(st.sampled_from((each.spec, each.spec, each.spec, abroad(each.spec)))),
            nodes=tuple(
                replace(node, used=node.used - lost[node.name], ready=node.ready and draw(st.integers(0, 5)) < 5)
                for node in each.nodes
                if draw(st.integers(0, 9)) < 9
            ),
        )
        for each in running.pools
    )
    return FleetSnapshot(pools=pools, tenants=tenants)


def abroad(spec: InferencePoolSpec) -> InferencePoolSpec:
    """The same pool in the US."""
    return spec.model_copy(update={"location": pool("other", countries=("US",)).spec.location})


@st.composite
def shaken_tenants(draw: Draw, running: Tenant) -> Tenant:
    """The deployment after any of what can happen to it."""
    if running.current is None:
        return running
    gone = [node for node in running.current.nodes if draw(st.integers(0, 4)) == 4]
    gpus = running.current.plan.gpus
    bound = Counter(running.current.nodes) - Counter(gone)
    changed = replace(
        running,
        bound=bound,
        held={node: count * gpus for node, count in bound.items()},
        pending=len(gone),
        waiting_since=NOW - timedelta(seconds=draw(st.sampled_from((10, 1000)))) if gone else None,
        replicas=draw(st.sampled_from((running.replicas, running.replicas, 1, 4))),
    )
    if draw(st.booleans()):
        return replace(changed, spec=tenant(spec=draw(some_spec())).spec, outdated=True)
    return changed


def promised(before: FleetSnapshot, decisions: dict[DeploymentKey, Decision]) -> Counter[str]:
    """GPUs per node promised to replicas that run nowhere yet, less what their own older pods will give up."""
    total: Counter[str] = Counter()
    for each in before.tenants:
        assignment = decisions[each.key].assignment
        if assignment is None or (each.outdated and assignment is each.current):
            continue
        same_plan = each.current is not None and each.current.plan == assignment.plan and not each.outdated
        here = Counter(assignment.nodes) - (Counter(each.bound) if same_plan else Counter())
        for node, count in here.items():
            gives_up = each.held.get(node, 0) if decisions[each.key].reason == "Recreate" else 0
            total[node] += max(0, count * assignment.plan.gpus - gives_up)
    return total


@given(fresh_fleets() | shaken_fleets())
@over_many
def test_no_node_is_promised_more_gpus_than_it_has_free(before: FleetSnapshot) -> None:
    decisions = place(before, NOW)
    free = {node.name: node.free for each in before.pools for node in each.nodes}
    for node, gpus in promised(before, decisions).items():
        assert gpus <= free.get(node, 0), node


@given(fresh_fleets() | shaken_fleets(), st.randoms(use_true_random=False))
@over_many
def test_the_order_of_the_snapshot_changes_nothing(before: FleetSnapshot, random: Any) -> None:
    shuffled = FleetSnapshot(
        pools=tuple(
            replace(each, nodes=tuple(random.sample(each.nodes, len(each.nodes))))
            for each in random.sample(before.pools, len(before.pools))
        ),
        tenants=tuple(random.sample(before.tenants, len(before.tenants))),
    )
    assert place(shuffled, NOW) == place(before, NOW)


@given(fresh_fleets())
@over_many
def test_what_runs_as_decided_is_decided_again(before: FleetSnapshot) -> None:
    decisions = place(before, NOW)
    placed = {key for key, decision in decisions.items() if decision.assignment and decision.assignment.nodes}
    again = place(settled(before, decisions), NOW)
    for key in placed:
        first, second = decisions[key].assignment, again[key].assignment
        assert first is not None
        assert second is not None
        assert second.plan == first.plan
        assert second.nodes[: len(first.nodes)] == first.nodes
        assert not again[key].moved_because


@given(fresh_fleets() | shaken_fleets())
@over_many
def test_nothing_is_placed_across_a_border(before: FleetSnapshot) -> None:
    pools = {each.name: each for each in before.pools}
    decisions = place(before, NOW)
    for each in before.tenants:
        assignment, inside = decisions[each.key].assignment, each.spec.placement.jurisdictions
        if assignment is None or not inside or assignment.plan.pool not in pools:
            continue
        assert contains(inside, pools[assignment.plan.pool].spec.location.countries)


@given(fresh_fleets())
@over_many
def test_nothing_costs_more_than_its_ceiling(before: FleetSnapshot) -> None:
    decisions = place(before, NOW)
    for each in before.tenants:
        assignment, ceiling = decisions[each.key].assignment, each.spec.placement.max_price_per_replica_hour
        if assignment is not None and ceiling is not None:
            price = assignment.plan.price_per_replica_hour
            assert price is not None
            assert price.micro <= ceiling.money.micro


@given(fresh_fleets() | shaken_fleets())
@over_many
def test_every_plan_holds_its_longest_request_on_one_node(before: FleetSnapshot) -> None:
    shapes = {node.name: node.gpus for each in before.pools for node in each.nodes}
    for decision in place(before, NOW).values():
        if decision.assignment is None:
            continue
        plan = decision.assignment.plan
        assert plan.memory.kv_tokens >= plan.max_context_tokens
        assert all(plan.gpus <= shapes[node] for node in decision.assignment.nodes if node in shapes)


@given(fresh_fleets())
@over_many
def test_a_pool_that_lost_does_not_matter(before: FleetSnapshot) -> None:
    alone = replace(before, tenants=before.tenants[:1])
    key = alone.tenants[0].key
    decision = place(alone, NOW)[key]
    if decision.assignment is None:
        return
    chosen = decision.assignment.plan.pool
    for loser in (each.name for each in before.pools if each.name != chosen):
        fewer = replace(alone, pools=tuple(each for each in before.pools if each.name != loser))
        assert place(fewer, NOW)[key].assignment == decision.assignment


@given(fresh_fleets() | shaken_fleets())
@over_many
def test_every_decision_says_why(before: FleetSnapshot) -> None:
    for key, decision in place(before, NOW).items():
        assert decision.message, key
        assert len(decision.rejections) <= 64
        assert all(rejection.message for rejection in decision.rejections)
