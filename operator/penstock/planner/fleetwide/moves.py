"""Which matured proposals may be carried out in this pass: few at a time, so that a fleet never moves as a herd."""

from collections.abc import Iterator, Mapping

from penstock.api.modeldeployment import MovePolicy
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Move, Tenant, destination_of
from penstock.planner.plan import Decision, DecisionReason, Plan

__all__ = ["busy_pools", "in_transition", "leads_to", "movable"]


def leads_to(move: Move, plan: Plan) -> bool:
    """True where the plan is the one that the move names."""
    return move.to == destination_of(plan)


def movable(
    fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision]
) -> Iterator[tuple[tuple[Tenant, Move], ...]]:
    """Moves that are carried out together or not at all, those of who goes first before others."""
    able = {tenant.key: (tenant, move) for tenant, move in _able(fleet, decisions)}
    seen: set[DeploymentKey] = set()
    for key, (_, move) in able.items():
        members = {key} | move.others
        if not members & seen and members <= able.keys():
            yield tuple(each for other, each in able.items() if other in members)
        seen |= members


def _able(fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision]) -> Iterator[tuple[Tenant, Move]]:
    """Deployments that move by themselves, run where they were meant to, and have somewhere better to go."""
    by_key = {tenant.key: tenant for tenant in fleet.tenants}
    found = [(by_key[key], move) for key, move in fleet.moves.items() if key in by_key]
    for tenant, move in sorted(
        found, key=lambda each: (-each[0].spec.placement.priority, each[0].created, each[0].key)
    ):
        decision = decisions.get(tenant.key)
        kept = decision is not None and decision.reason == DecisionReason.KEPT
        if kept and tenant.spec.placement.move_policy is MovePolicy.AUTOMATIC and not in_transition(tenant):
            current = tenant.current
            if current is not None and not leads_to(move, current.plan):
                yield tenant, move


def busy_pools(fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision]) -> set[str]:
    """Pools in which a deployment comes, goes or waits."""
    pool_of = {node.name: pool.name for pool in fleet.pools for node in pool.nodes}
    busy: set[str] = set()
    for tenant in fleet.tenants:
        decision = decisions.get(tenant.key)
        assignment = decision.assignment if decision else None
        if assignment is not None and (in_transition(tenant) or assignment != tenant.current):
            busy.add(assignment.plan.pool)
            busy.update(pool_of[node] for node in tenant.held if node in pool_of)
    return busy


def in_transition(tenant: Tenant) -> bool:
    """True where its pods are not exactly those of its newest revision, all bound."""
    if tenant.current is None or tenant.outdated or tenant.pending:
        return True
    running = sum(tenant.bound.values())
    return running != tenant.replicas or sum(tenant.held.values()) != running * tenant.current.plan.gpus
