"""What `penstock plan` prints: tables for people, plain lines for pipes, JSON or YAML for programs."""

import json
from collections.abc import Mapping
from typing import Any, TextIO

import yaml
from rich.console import Console
from rich.table import Table

from penstock.planner.explain import Row, headline, table
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Tenant
from penstock.planner.plan import Decision, DecisionReason, Plan, Rejection

__all__ = ["complete", "report", "write_report", "write_text"]

_GIB = 2**30

Decisions = Mapping[DeploymentKey, Decision]


def complete(tenant: Tenant, decision: Decision) -> bool:
    """True where every replica has a node."""
    return decision.assignment is not None and len(decision.assignment.nodes) >= tenant.replicas


def report(fleet: FleetSnapshot, decisions: Decisions) -> dict[str, Any]:
    """Everything that was decided, as plain data; sizes in bytes per GPU, money as decimal strings."""
    return {
        "deployments": [_deployment(tenant, decisions[tenant.key]) for tenant in fleet.tenants],
        "pools": [
            {
                "name": pool.name,
                "accelerator": pool.accelerator.name if pool.accelerator else None,
                "nodes": len(pool.nodes),
                "gpus": sum(node.gpus for node in pool.nodes),
                "pricePerGPUHour": str(pool.spec.price.money) if pool.spec.price else None,
            }
            for pool in fleet.pools
        ],
    }


def _deployment(tenant: Tenant, decision: Decision) -> dict[str, Any]:
    assignment = decision.assignment
    return {
        "namespace": tenant.key[0],
        "name": tenant.key[1],
        "model": tenant.spec.model,
        "replicas": tenant.replicas,
        "placed": complete(tenant, decision),
        "reason": str(decision.reason),
        "message": decision.message,
        "plan": _plan(assignment.plan, tenant.replicas) if assignment else None,
        "nodes": list(assignment.nodes) if assignment else [],
        "rejected": [_rejection(rejection) for rejection in decision.rejections],
    }


def _plan(plan: Plan, replicas: int) -> dict[str, Any]:
    price, memory = plan.price_per_replica_hour, plan.memory
    return {
        "pool": plan.pool,
        "accelerator": plan.accelerator,
        "engine": str(plan.engine),
        "engineVersion": plan.engine_version,
        "image": plan.image,
        "model": plan.checkpoint.model,
        "revision": plan.checkpoint.revision,
        "precision": str(plan.checkpoint.precision),
        "tensorParallel": plan.tensor_parallel,
        "expertParallel": plan.expert_parallel,
        "gpusPerReplica": plan.gpus,
        "maxContextTokens": plan.max_context_tokens,
        "maxSequences": plan.max_sequences,
        "maxBatchedTokens": plan.max_batched_tokens,
        "memoryPerGPU": {
            "total": memory.gpu_bytes,
            "utilizationPercent": memory.utilization_percent,
            "weights": memory.weights_bytes,
            "activations": memory.activation_bytes,
            "overhead": memory.overhead_bytes,
            "kvCache": memory.kv_bytes,
        },
        "kvTokens": memory.kv_tokens,
        "pricePerReplicaHour": str(price) if price else None,
        "pricePerHour": str(price * replicas) if price else None,
    }


def _rejection(rejection: Rejection) -> dict[str, Any]:
    return {
        "pool": rejection.pool,
        "engine": str(rejection.engine),
        "precision": str(rejection.precision),
        "tensorParallel": rejection.tensor_parallel,
        "reason": str(rejection.reason),
        "message": rejection.message,
    }


def write_report(content: Mapping[str, Any], form: str, out: TextIO) -> None:
    """Write plain data as `json` or `yaml`."""
    if form == "json":
        out.write(json.dumps(content, indent=2) + "\n")
    else:
        yaml.safe_dump(content, out, sort_keys=False, allow_unicode=True, width=120)


def write_text(fleet: FleetSnapshot, decisions: Decisions, out: TextIO) -> None:
    """Write for people: tables on a terminal, one line per fact elsewhere."""
    console = Console(file=out, highlight=False)
    for tenant in fleet.tenants:
        decision = decisions[tenant.key]
        if console.is_terminal:
            _write_table(console, tenant, decision)
        else:
            _write_lines(out, tenant, decision)


def _write_lines(out: TextIO, tenant: Tenant, decision: Decision) -> None:
    out.write(f"{'/'.join(tenant.key)}: {headline(decision)}\n")
    if decision.assignment is not None:
        out.write(f"  memory per GPU: {_memory(decision.assignment.plan)}\n")
    for row in table(decision):
        if not row.chosen:
            out.write(f"  not {_where(row)}: {row.reason}: {row.message}\n")


def _where(row: Row) -> str:
    size = f"TP{row.tensor_parallel}" if row.tensor_parallel else ""
    return " ".join(part for part in (row.pool, row.engine, row.precision, size) if part) or "this model"


def _memory(plan: Plan) -> str:
    memory = plan.memory
    parts = (
        ("weights", memory.weights_bytes),
        ("activations", memory.activation_bytes),
        ("overhead", memory.overhead_bytes),
        ("KV cache", memory.kv_bytes),
    )
    split = ", ".join(f"{name} {count / _GIB:.1f} GiB" for name, count in parts)
    return f"{split}; {memory.kv_tokens:,} KV tokens per replica"


def _write_table(console: Console, tenant: Tenant, decision: Decision) -> None:
    good = complete(tenant, decision)
    mark = "[green]placed[/]" if good else f"[red]{decision.reason}[/]"
    console.print(f"\n[bold]{'/'.join(tenant.key)}[/] {tenant.spec.model}: {mark}")
    if decision.assignment is None or decision.reason != DecisionReason.PLACED:
        console.print(decision.message, markup=False)
    if decision.assignment is not None:
        console.print(f"memory per GPU: {_memory(decision.assignment.plan)}", style="dim", markup=False)
    grid = Table(show_edge=False, pad_edge=False)
    for heading in ("", "pool", "engine", "precision", "TP", "per replica", "why"):
        grid.add_column(heading, overflow="fold")
    for row in table(decision):
        size = str(row.tensor_parallel or "")
        why = row.message if row.chosen else f"{row.reason}: {row.message}"
        cells = (row.pool, row.engine, row.precision, size, row.price_per_replica_hour, why)
        grid.add_row("*" if row.chosen else "", *(_plain(cell) for cell in cells), style="bold" if row.chosen else None)
    console.print(grid)


def _plain(text: str) -> str:
    """Without the markup that a name in brackets would be taken for."""
    return text.replace("[", "\\[")
