"""What an uninstall takes away, and in which order: serving capacity is drained before anything that drains it goes.

Deployments first, while gateways and the server still run: the operator publishes tables without them and waits for
every replica. Then what refers to them, then gateways, then pools. Nothing here deletes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.access.names import OPERATOR, SERVER
from penstock.api.meta import GROUP
from penstock.cluster.resources import (
    CONSUMERS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    INFERENCE_GATEWAYS,
    INFERENCE_POOLS,
    LEASES,
    MODEL_DEPLOYMENTS,
    MODEL_PROVIDERS,
    OWN_KINDS,
    ROUTES,
    ResourceType,
)
from penstock.operations.installation import leader
from penstock.operations.view import ClusterView, conditions_of, name_of, namespace_of, part

__all__ = [
    "CHART",
    "CRDS_CHART",
    "FINALIZER",
    "ORDER",
    "READ_FOR_REMOVAL",
    "Release",
    "charts",
    "held",
    "operator_works",
    "own_crds",
    "summary",
    "waits_for",
]

Object = dict[str, Any]

FINALIZER = f"{GROUP}/drain"
"""What the operator holds a deployment back with until it is drained."""

CHART, CRDS_CHART = "penstock", "penstock-crds"

_FIRST = (MODEL_DEPLOYMENTS, ROUTES, CONSUMERS, MODEL_PROVIDERS)
_LAST = (INFERENCE_GATEWAYS, INFERENCE_POOLS)
ORDER: tuple[ResourceType, ...] = (
    *_FIRST,
    *(kind for kind in OWN_KINDS if kind not in (*_FIRST, *_LAST)),
    *_LAST,
)
"""All of our kinds, in the order in which they go."""

READ_FOR_REMOVAL = (*OWN_KINDS, DEPLOYMENTS, LEASES, CUSTOM_RESOURCE_DEFINITIONS)


@dataclass(frozen=True, slots=True)
class Release:
    """A Helm release."""

    name: str
    namespace: str


def operator_works(view: ClusterView, namespace: str, now: datetime) -> bool:
    """Somebody takes finalizers off: the leader's Lease is fresh."""
    found = leader(view, namespace, now)
    return found is not None and found.works


def held(view: ClusterView) -> tuple[Object, ...]:
    """Deployments that only the operator, or force, lets go."""
    return tuple(
        live for live in view.items(MODEL_DEPLOYMENTS) if FINALIZER in (part(live, "metadata").get("finalizers") or ())
    )


def summary(view: ClusterView) -> Iterator[tuple[ResourceType, tuple[str, ...]]]:
    """What goes, in its order: kinds that have objects, and those by name."""
    for kind in ORDER:
        names = tuple(sorted(_place(live) for live in view.items(kind)))
        if names:
            yield kind, names


def waits_for(live: Object) -> str:
    """Why an object that is being deleted is still there, in a few words."""
    drained = conditions_of(live).get("Drained")
    if drained is not None:
        return f"{drained.get('reason')}: {drained.get('message') or 'it is being drained'}"
    finalizers = part(live, "metadata").get("finalizers") or ()
    return f"held by {', '.join(map(str, finalizers))}" if finalizers else "being deleted"


def own_crds(view: ClusterView) -> tuple[Object, ...]:
    """Our CustomResourceDefinitions that are there."""
    names = {f"{kind.plural}.{kind.group}" for kind in OWN_KINDS}
    return tuple(live for live in view.items(CUSTOM_RESOURCE_DEFINITIONS) if name_of(live) in names)


def charts(view: ClusterView, namespace: str) -> dict[str, Release]:
    """The Helm releases by chart, read from Helm's own annotations."""
    workloads = [view.find(DEPLOYMENTS, namespace, name) for name in (OPERATOR, SERVER)]
    found = {CHART: [live for live in workloads if live is not None], CRDS_CHART: list(own_crds(view))}
    releases = {chart: [_release(live) for live in lives] for chart, lives in found.items()}
    return {chart: named for chart, names in releases.items() for named in names[:1] if named is not None}


def _release(live: Object) -> Release | None:
    annotations = part(live, "metadata", "annotations")
    name, namespace = (annotations.get(f"meta.helm.sh/release-{what}") for what in ("name", "namespace"))
    return Release(str(name), str(namespace or namespace_of(live))) if name else None


def _place(live: Object) -> str:
    namespace = namespace_of(live)
    return f"{namespace}/{name_of(live)}" if namespace else name_of(live)
