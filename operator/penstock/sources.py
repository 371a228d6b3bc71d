"""Where events come from: an informer per watched kind, kopf and a sweep for our own; all of them fill the world."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from penstock.api.consumer import Consumer
from penstock.api.inferencegateway import InferenceGateway
from penstock.api.inferencepool import InferencePool
from penstock.api.meta import Resource
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelprovider import ModelProvider
from penstock.api.route import Route
from penstock.cluster.client import Client
from penstock.cluster.informer import Informer
from penstock.cluster.resources import (
    CONSUMERS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    INFERENCE_GATEWAYS,
    INFERENCE_POOLS,
    MODEL_DEPLOYMENTS,
    MODEL_PROVIDERS,
    NAMESPACES,
    NODES,
    OWN_KINDS,
    PODS,
    RESOURCE_QUOTAS,
    ROUTES,
    SECRETS,
    ResourceType,
)
from penstock.cluster.scope import Scope
from penstock.cluster.store import Store
from penstock.cluster.sweep import Sweep
from penstock.front import Watched
from penstock.gateways.litellm.names import WATCHED_LABEL
from penstock.reconcilers.children import WATCHED_CHILDREN
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.revisions import slim_revision
from penstock.reconcilers.secrets import slim_secret
from penstock.reconcilers.stored import slim_child, slim_namespace, slim_node, slim_pod, slim_quota, slim_workload
from penstock.reconcilers.world import World
from penstock.workqueue.clock import Clock
from penstock.workqueue.queue import WorkQueue

__all__ = ["OTHER_KINDS", "OwnKinds", "Reading", "informers", "new_world", "own_kinds", "watches_of"]

_MANAGED = "app.kubernetes.io/managed-by=penstock"

_ACTED_ON = (INFERENCE_POOLS, MODEL_DEPLOYMENTS, INFERENCE_GATEWAYS, MODEL_PROVIDERS, ROUTES, CONSUMERS)

OTHER_KINDS = tuple(kind for kind in OWN_KINDS if kind not in _ACTED_ON)
"""Our kinds that are not acted on yet."""


@dataclass(frozen=True, slots=True)
class OwnKinds:
    """Our own kinds: what kopf hands on, and the sweeps beside it."""

    watched: tuple[Watched, ...]
    sweeps: tuple[Sweep[Any], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What every source works with; the gate is for the lists of all of them."""

    client: Client
    clock: Clock
    random: Random
    gate: asyncio.Semaphore


def watches_of(scope: Scope) -> tuple[int, int]:
    """How many watches stay open: the informers', and kopf's; each of them takes a connection."""
    watched = (NODES, PODS, NAMESPACES, RESOURCE_QUOTAS, DEPLOYMENTS, CONTROLLER_REVISIONS, *WATCHED_CHILDREN, SECRETS)
    ours, kopfs = (sum(len(scope.extents(kind)) for kind in kinds) for kinds in (watched, OWN_KINDS))
    return ours, kopfs


def new_world(queue: WorkQueue[Key], scope: Scope) -> World:
    """Empty stores that enqueue into `queue`."""
    return World(
        enqueue=queue.add,
        enqueue_after=queue.add_after,
        scope=scope,
        others={kind.plural: Store() for kind in OTHER_KINDS},
        children={kind.kind: Store() for kind in WATCHED_CHILDREN},
    )


def informers(world: World, reading: Reading) -> tuple[Informer[Any], ...]:
    """One per watched kind, or one per kind and namespace where only some are watched.

    Of children only those that we manage, of Secrets those that are labelled as watched.
    """
    make = partial(_informers, world, reading)
    owned = partial(make, labels=_MANAGED)
    return (
        *make(NODES, slim=slim_node, store=world.nodes, changed=world.on_node),
        *make(PODS, slim=slim_pod, store=world.pods, changed=world.on_pod),
        *make(NAMESPACES, slim=slim_namespace, store=world.namespaces, changed=world.on_surroundings),
        *make(RESOURCE_QUOTAS, slim=slim_quota, store=world.quotas, changed=world.on_surroundings),
        *owned(DEPLOYMENTS, slim=slim_workload, store=world.workloads, changed=world.on_owned),
        *owned(CONTROLLER_REVISIONS, slim=slim_revision, store=world.revisions, changed=world.on_revision),
        *(
            informer
            for kind in WATCHED_CHILDREN
            for informer in owned(kind, slim=slim_child, store=world.children[kind.kind], changed=world.on_owned)
        ),
        *make(SECRETS, slim=slim_secret, store=world.secrets, changed=world.on_secret, labels=WATCHED_LABEL),
    )


def _informers(world: World, reading: Reading, kind: ResourceType, **what: Any) -> Iterator[Informer[Any]]:
    """All of one kind share its store."""
    for extent in world.scope.extents(kind):
        yield Informer(
            client=reading.client,
            kind=kind,
            clock=reading.clock,
            random=reading.random,
            gate=reading.gate,
            extent=extent,
            barred=world.barred,
            **what,
        )


def own_kinds(world: World, queue: WorkQueue[Key], reading: Reading) -> OwnKinds:
    """The eight kinds of `penstock.dev`, each with its store and what happens on a change."""
    routed = world.on_routed
    feeds = [
        _Feed(MODEL_DEPLOYMENTS, ModelDeployment, world.deployments, world.on_deployment, Subject.MODEL_DEPLOYMENT),
        _Feed(INFERENCE_POOLS, InferencePool, world.pools, world.on_pool, Subject.INFERENCE_POOL),
        _Feed(INFERENCE_GATEWAYS, InferenceGateway, world.gateways, world.on_gateway, Subject.INFERENCE_GATEWAY),
        _Feed(MODEL_PROVIDERS, ModelProvider, world.providers, routed(Subject.MODEL_PROVIDER), Subject.MODEL_PROVIDER),
        _Feed(ROUTES, Route, world.routes, routed(Subject.ROUTE), Subject.ROUTE),
        _Feed(CONSUMERS, Consumer, world.consumers, routed(Subject.CONSUMER), Subject.CONSUMER),
        *(
            _Feed(kind, Resource, world.others[kind.plural], world.on_other(kind.plural), Subject.UNSUPPORTED)
            for kind in OTHER_KINDS
        ),
    ]
    return OwnKinds(
        watched=tuple(Watched(feed.kind, feed.seen, feed.gone) for feed in feeds),
        sweeps=tuple(
            Sweep(
                client=reading.client,
                kind=feed.kind,
                store=feed.store,
                seen=feed.seen,
                gone=feed.lost,
                visit=partial(_visit, queue, feed),
                clock=reading.clock,
                gate=reading.gate,
                extent=extent,
                barred=world.barred,
            )
            for feed in feeds
            for extent in world.scope.extents(feed.kind)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Feed:
    """Puts what a source reports of one kind into its store and tells the world what changed."""

    kind: ResourceType
    model: type[Resource]
    store: Store[Any]
    changed: Callable[[Any, Any], None]
    subject: Subject

    def seen(self, live: dict[str, Any]) -> None:
        """An object as it is now; one that is held already costs nothing."""
        metadata = live["metadata"]
        before = self.store.get(metadata.get("namespace", ""), metadata["name"])
        if before is not None and before.resource_version == metadata["resourceVersion"]:
            return
        record = Custom.of({**live, "apiVersion": self.kind.api_version, "kind": self.kind.kind}, self.model)
        if self.store.put(record):
            self.changed(before, record)

    def gone(self, live: dict[str, Any]) -> None:
        """An object that is no more; another life under the same name stays."""
        metadata = live["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        before = self.store.get(namespace, name)
        if before is not None and self.store.remove(namespace, name, metadata["uid"]):
            self.changed(before, None)

    def lost(self, record: Any) -> None:
        """A ghost that the sweep dropped."""
        self.changed(record, None)


def _visit(queue: WorkQueue[Key], feed: _Feed, record: Any) -> None:
    kind = feed.kind.plural if feed.subject is Subject.UNSUPPORTED else ""
    queue.add(Key(feed.subject, record.namespace, record.name, kind), slow=True)
