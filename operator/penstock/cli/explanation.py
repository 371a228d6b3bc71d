"""Why something stands where it does, put together once for all forms: from a fresh plan, or from a status."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from penstock.api.conditions import ConditionStatus
from penstock.api.inferencepool import InferencePoolStatus
from penstock.api.plan_status import ModelDeploymentStatus, PlanStatus
from penstock.cli.apart import apart_in_words
from penstock.cli.fleet_files import NotActedOn
from penstock.cli.plan_report import Placement, PlanReport
from penstock.cli.plan_text import memory_in_words, speed_in_words
from penstock.operations.view import name_of, namespace_of, part
from penstock.planner.decision_tree import Branch, Miss, decision_tree, misses, nearest, runner_up
from penstock.planner.disaggregation.required import Apart, ApartInPool
from penstock.planner.explain import Row, counted, headline, lost_row, table
from penstock.planner.plan import RejectionReason

__all__ = [
    "Explanation",
    "explain_apart",
    "explain_live_deployment",
    "explain_live_pool",
    "explain_placement",
    "explain_planned_pool",
]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A choice that can be read: the outcome, facts in order, the tree, and what came near.

    For a pool the tree's branches are deployments: those that are there, and why the others are not.
    """

    kind: str
    name: str
    outcome: str
    settled: bool
    facts: tuple[str, ...]
    tree: tuple[Branch, ...]
    runner_up: Miss | None = None
    nearest: tuple[Miss, ...] = ()


def explain_placement(each: Placement) -> Explanation:
    """One deployment of a fresh plan."""
    rows = table(each.decision)
    return Explanation(
        kind="ModelDeployment",
        name=each.name,
        outcome=headline(each.decision),
        settled=each.complete,
        facts=tuple(_planned_facts(each)),
        tree=decision_tree(rows),
        runner_up=runner_up(rows),
        nearest=nearest(rows),
    )


def _planned_facts(each: Placement) -> Iterator[str]:
    have = "has" if each.tenant.replicas == 1 else "have"
    yield f"model {each.tenant.spec.model}, {each.placed} of {counted(each.tenant.replicas, 'replica')} {have} a node"
    if each.short_of_load:
        yield each.short_of_load
    assignment, expected, price = each.decision.assignment, each.outlook.expected, each.outlook.price
    if assignment is not None:
        yield f"memory per GPU: {memory_in_words(assignment.plan)}"
    if expected is not None:
        yield f"a replica with {expected.concurrency} in flight: {speed_in_words(expected)}"
    if price is not None:
        yield f"per million tokens: {price.all_tokens} in and out, {price.output_tokens} out alone"


def explain_apart(refused: NotActedOn, apart: Apart) -> Explanation:
    """The refusal, and what each pool would give."""
    return Explanation(
        kind="ModelDeployment",
        name=f"{refused.namespace}/{refused.name}",
        outcome=f"NotSupported: {' '.join(map(str, refused.refusals))}",
        settled=False,
        facts=(apart_in_words(apart),),
        tree=tuple(_apart_branch(each, chosen=each is apart.chosen) for each in apart.pools),
        nearest=misses(apart.rejections),
    )


def _apart_branch(each: ApartInPool, *, chosen: bool) -> Branch:
    plan = each.plan
    label = f"{plan.pool} {plan.checkpoint.precision} {plan.engine}"
    return Branch(label, chosen=chosen, reason=RejectionReason.PREFILL_DECODE, message=each.advice.reason)


def explain_live_deployment(live: Object) -> Explanation:
    """One deployment of a cluster, by its status."""
    status = ModelDeploymentStatus.model_validate(part(live, "status"))
    rows = tuple(_live_rows(status))
    return Explanation(
        kind="ModelDeployment",
        name=f"{namespace_of(live)}/{name_of(live)}",
        outcome=_live_outcome(status),
        settled=status.plan is not None,
        facts=tuple(_live_facts(live, status)),
        tree=decision_tree(rows),
        runner_up=runner_up(rows),
        nearest=nearest(rows),
    )


def _live_rows(status: ModelDeploymentStatus) -> Iterator[Row]:
    chosen = status.plan or status.next_plan
    if chosen is not None:
        yield Row(
            chosen=True,
            pool=chosen.pool,
            engine=chosen.engine,
            precision=chosen.precision,
            tensor_parallel=chosen.tensor_parallel,
            price_per_replica_hour=chosen.cost_per_replica_hour,
            reason="Chosen",
            message=_plan_in_words(chosen),
            layout=chosen.layout,
        )
    yield from map(lost_row, status.rejected)


def _plan_in_words(plan: PlanStatus) -> str:
    price = f" at {plan.cost_per_replica_hour}/h" if plan.cost_per_replica_hour else ""
    price += f" ({plan.cost_per_million_tokens} per million tokens)" if plan.cost_per_million_tokens else ""
    return (
        f"each {plan.engine} {plan.precision} on {plan.gpus_per_replica} x {plan.accelerator}{price}, requests up to"
        f" {plan.max_context_tokens:,} tokens"
    )


def _live_outcome(status: ModelDeploymentStatus) -> str:
    """By the condition that says where it stands."""
    placed = next((each for each in status.conditions if each.type == "Placed"), None)
    if placed is not None:
        return f"{placed.reason}: {placed.message}" if placed.message else placed.reason
    return "the operator has not looked at it yet" if status.plan is None else "Placed"


def _live_facts(live: Object, status: ModelDeploymentStatus) -> Iterator[str]:
    are = "is" if status.replicas == 1 else "are"
    replicas = f"{status.ready_replicas} of {counted(status.replicas, 'replica')} {are} ready"
    yield f"model {part(live, 'spec').get('model')}, {replicas}"
    if status.plan is not None:
        yield f"serving in pool {status.plan.pool}: {_plan_in_words(status.plan)}"
    if status.next_plan is not None:
        yield f"to come in pool {status.next_plan.pool}: {_plan_in_words(status.next_plan)}"
    # Read as they are: an operator of another version may say more, or less.
    for name, words in (("proposal", "proposed instead"), ("reported", "the engines report")):
        said = part(live, "status", name)
        if said:
            yield f"{words}: {_spoken(said)}"
    failed = part(live, "status").get("failed")
    yield from (f"given up: {_spoken(each)}" for each in failed or () if isinstance(each, dict))
    for condition in status.conditions:
        if condition.status is not ConditionStatus.TRUE and condition.type != "Placed":
            yield f"{condition.type}={condition.status}: {condition.reason}: {condition.message}"


def _spoken(said: Object) -> str:
    """`savingPerHour: 3` as `saving per hour 3`, without what is empty."""
    pairs = ((re.sub("[A-Z]", lambda letter: f" {letter[0].lower()}", key), value) for key, value in said.items())
    return ", ".join(f"{name} {value}" for name, value in pairs if value not in ("", None, 0))


def explain_planned_pool(made: PlanReport, pool: str) -> Explanation | None:
    """Who a fresh plan puts there and why the others are elsewhere; None where there is no such pool."""
    total = next((each for each in made.pools if each.pool == pool), None)
    if total is None:
        return None
    branches = [_guest(each, pool) for each in made.placements]
    cost = f", {total.price_per_hour} per hour" if total.price_per_hour else ""
    return Explanation(
        kind="InferencePool",
        name=pool,
        outcome=f"{total.planned} of {counted(total.gpus, 'GPU')} planned, {total.held} held by others{cost}",
        settled=True,
        facts=(
            f"accelerator {total.accelerator or 'unknown'}, {counted(total.nodes, 'node')}",
            *(str(each) for each in made.assumed if each.pool == pool),
        ),
        tree=_sorted(branches),
    )


def _guest(each: Placement, pool: str) -> Branch:
    footprint = each.footprint
    if footprint is not None and footprint.pool == pool:
        what = f"{footprint.replicas} x {counted(footprint.gpus_per_replica, 'GPU')}, {footprint.precision}"
        return Branch(
            each.name, chosen=True, reason="Here", message=f"{what}, {footprint.price_per_hour or '-'} per hour"
        )
    return _absent(each.name, (row for row in table(each.decision) if not row.chosen), pool)


def _absent(name: str, rows: Iterable[Row], pool: str) -> Branch:
    """The first reason that names the pool, which the planner told first; else one that names no pool."""
    rows = tuple(rows)
    told = next((row for row in rows if row.pool == pool), None) or next((row for row in rows if not row.pool), None)
    if told is None:
        return Branch(name, chosen=False, reason="NotSaid", message="nothing is said of this pool")
    return Branch(name, chosen=False, reason=told.reason, message=told.message)


def _sorted(branches: Iterable[Branch]) -> tuple[Branch, ...]:
    return tuple(sorted(branches, key=lambda branch: (not branch.chosen, branch.label)))


def explain_live_pool(live: Object, deployments: Iterable[Object]) -> Explanation:
    """Who is in a pool of a cluster, and what each status says of the others."""
    status = InferencePoolStatus.model_validate(part(live, "status"))
    pool = name_of(live)
    branches = [_live_guest(each, pool, frozenset(status.deployments)) for each in deployments]
    cost = f", {status.cost_per_hour} per hour" if status.cost_per_hour else ""
    return Explanation(
        kind="InferencePool",
        name=pool,
        outcome=f"{status.gpus.allocated} of {counted(status.gpus.total, 'GPU')} taken, {status.gpus.free} free{cost}",
        settled=True,
        facts=(f"accelerator {status.accelerator or 'unknown'}, {status.ready_nodes} of {status.nodes} nodes ready",),
        tree=_sorted(branches),
    )


def _live_guest(live: Object, pool: str, there: frozenset[str]) -> Branch:
    name = f"{namespace_of(live)}/{name_of(live)}"
    status = ModelDeploymentStatus.model_validate(part(live, "status"))
    plan = status.plan
    if name in there or (plan is not None and plan.pool == pool):
        return Branch(name, chosen=True, reason="Here", message=_plan_in_words(plan) if plan else "")
    return _absent(name, (row for row in _live_rows(status) if not row.chosen), pool)
