"""From one deployment's records to the tenant that is placed."""

from datetime import UTC, datetime
from typing import Any

from builders.live import gpu_pod, live
from penstock.api.modeldeployment import ModelDeployment
from penstock.planner.fleet import Tenant
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.facts import FactsBook
from penstock.reconcilers.stored import slim_namespace, slim_pod, slim_quota
from penstock.reconcilers.tenants import build_tenant
from penstock.reconcilers.world import World

LABELS = {"penstock.dev/deployment": "chat", "penstock.dev/revision": "abc"}


def world() -> World:
    """Empty stores."""
    return World(enqueue=lambda _key: None, enqueue_after=lambda _key, _seconds: None)


def deployment(**spec: Any) -> dict[str, Any]:
    """A live one of a model of the catalogue."""
    content = {"model": "Qwen/Qwen3-8B", **spec}
    return live("ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1", spec=content)


def build(made: World, *, status: dict[str, Any] | None = None, **spec: Any) -> Tenant | None:
    """The tenant of that deployment."""
    custom = Custom.of({**deployment(**spec), "status": status or {}}, ModelDeployment)
    return build_tenant(made, FactsBook(hub_enabled=False), custom)


def quota(name: str, *, hard: int, used: int) -> Any:
    """A ResourceQuota as it is kept."""
    lines = {"hard": {"requests.nvidia.com/gpu": str(hard)}}
    status = {**lines, "used": {"requests.nvidia.com/gpu": str(used)}}
    return slim_quota(live("ResourceQuota", name, namespace="team", spec=lines, status=status))


def test_a_new_deployment_has_nothing_yet() -> None:
    """Facts and replicas, and nothing that it holds."""
    tenant = build(world(), replicas=3)
    assert tenant is not None
    assert (tenant.replicas, tenant.current, dict(tenant.held), tenant.pending) == (3, None, {}, 0)
    assert set(tenant.facts) == {"Qwen/Qwen3-8B"}


def test_what_is_refused_is_not_placed() -> None:
    """A field that is not acted on, or a spec that cannot be read."""
    assert build(world(), disaggregation={"mode": "Required"}) is None
    assert build(world(), replicas="many") is None


def test_an_unknown_model_is_a_tenant_that_says_why() -> None:
    """Placement turns it into a reason."""
    tenant = build(world(), model="nobody/knows")
    assert tenant is not None
    assert set(tenant.unknown) == {"nobody/knows"}


def test_pods_of_all_revisions_hold_gpus() -> None:
    """Of terminating ones too; finished ones hold none."""
    made = world()
    for name, fields in {
        "new": {"node": "a", "gpus": 2},
        "old": {"node": "a", "gpus": 1, "labels": {**LABELS, "penstock.dev/revision": "old"}},
        "done": {"node": "b", "gpus": 4, "phase": "Succeeded"},
        "waits": {"gpus": 8, "phase": "Pending"},
    }.items():
        made.pods.put(slim_pod(gpu_pod(name, **{"namespace": "team", "labels": LABELS, **fields})))  # type: ignore[arg-type] # a table
    tenant = build(made)
    assert tenant is not None
    assert tenant.held == {"a": 3}


def test_the_tightest_quota_counts() -> None:
    """And none is ever less than nothing."""
    made = world()
    made.quotas.put(quota("wide", hard=9, used=1))
    made.quotas.put(quota("narrow", hard=2, used=3))
    tenant = build(made)
    assert tenant is not None
    assert tenant.gpu_quota == {"nvidia.com/gpu": 0}


def test_the_namespaces_labels_decide_on_pools() -> None:
    """They come along."""
    made = world()
    made.namespaces.put(slim_namespace(live("Namespace", "team", labels={"gpu-tier": "premium"})))
    tenant = build(made)
    assert tenant is not None
    assert tenant.namespace_labels == {"gpu-tier": "premium"}


def test_how_long_it_waits_outlives_a_restart() -> None:
    """The status remembers since when."""
    digest = Custom.of(deployment(), ModelDeployment).digest
    told = {"pool": "h100", "sinceTime": "2026-11-01T00:00:00Z", "specDigest": digest}
    tenant, new = build(world(), status={"waiting": told}), build(world())
    assert tenant is not None
    assert new is not None
    assert tenant.waiting_since == datetime(2026, 11, 1, tzinfo=UTC)
    assert new.waiting_since is None
