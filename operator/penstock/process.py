"""`penstock operator`, assembled: sources of events, the queue, the workers, the Lease, health; one TaskGroup.

Any number of replicas run this; all of them watch, the one that leads works. Losing the Lease ends the process.
"""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from penstock.access.names import LEASE
from penstock.certificates.names import server_names
from penstock.cluster.barred import Barred
from penstock.cluster.client import Client
from penstock.cluster.events import EventRecorder
from penstock.cluster.gate import new_gate
from penstock.cluster.informer import Informer
from penstock.cluster.lease import LeaseElection
from penstock.cluster.scope import Scope
from penstock.cluster.sweep import Sweep
from penstock.engine_readings.client import EngineClient
from penstock.errors import PenstockError
from penstock.fleet_metrics import fleet_text
from penstock.front import Front, run_front
from penstock.health import Health, serve_health, watch_loop
from penstock.hub.client import Hub
from penstock.metrics import ClientCollector, Metrics
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.spending import SpendingLimit
from penstock.reconcilers.certificates import BundleReconciler, CertificatesReconciler
from penstock.reconcilers.consumer import ConsumerReconciler
from penstock.reconcilers.engine_listener import EngineListener
from penstock.reconcilers.facts import FactsBook, FactsReconciler
from penstock.reconcilers.inferencegateway import (
    DEFAULT_GATEWAY_IMAGE,
    GatewaySettings,
    InferenceGatewayReconciler,
)
from penstock.reconcilers.inferencepool import InferencePoolReconciler
from penstock.reconcilers.keys import CERTIFICATES, PLACEMENT, Key, Subject
from penstock.reconcilers.learnt import LearntStore
from penstock.reconcilers.modeldeployment import ModelDeploymentReconciler
from penstock.reconcilers.modelprovider import ModelProviderReconciler
from penstock.reconcilers.placement import PlacementReconciler
from penstock.reconcilers.replicas import ReplicaListener
from penstock.reconcilers.route import RouteReconciler
from penstock.reconcilers.routingtable import Fence, RoutingTableReconciler
from penstock.reconcilers.unsupported import UnsupportedReconciler
from penstock.reconcilers.world import World
from penstock.server_client.client import ServerClient
from penstock.server_client.tokens import TokenFile, service_account_token
from penstock.server_client.trust import BundleFile, IssuedBundle, Trust
from penstock.sources import OTHER_KINDS, OwnKinds, Reading, informers, new_world, own_kinds, watches_of
from penstock.workqueue.backoff import Backoff
from penstock.workqueue.clock import Clock
from penstock.workqueue.queue import WorkQueue
from penstock.workqueue.workers import Result, Workers

__all__ = ["LostLease", "Operator", "OperatorSettings", "Surroundings", "run_operator"]

_log = logging.getLogger(__name__)

_QUEUE_NAME = "penstock"
_SPARE_CONNECTIONS = 24
_BARRED_SECONDS = 30.0
_SILENT_WATCH_SECONDS = 180.0
_FILLING_SECONDS = 60.0
_HEAD_START_SECONDS = 5.0
_HEAD_START_STEP_SECONDS = 0.05


class LostLease(PenstockError):
    """Another replica leads now; this process ends and starts anew as a standby."""


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What the command line says."""

    namespace: str
    identity: str
    kubeconfig: str | None = None
    workers: int = 24
    host: str = "0.0.0.0"  # noqa: S104 - probes come from the node
    port: int = 8080
    leader_elect: bool = True
    hub_url: str = "https://huggingface.co"
    hub_enabled: bool = True
    server_url: str = ""
    """The control-plane server; empty: none, and no gateway is run."""
    server_token_file: str | None = None
    """A bearer token for it; None: the service account's own."""
    gateway_server_url: str = ""
    """The same server as gateway replicas reach it; empty: the same URL."""
    gateway_image: str = DEFAULT_GATEWAY_IMAGE
    issue_certificates: bool = False
    """The leader makes the server's certificate, and everybody trusts that."""
    server_ca_file: str | None = None
    """Trust this bundle instead; None: what the system trusts."""
    gateway_token_days: int = 30
    watch_namespaces: tuple[str, ...] | None = None
    """All that is looked at, besides nodes and pools; None: the whole cluster."""
    read_engines: bool = True
    """Engines are asked for their own figures, and what they teach is used."""
    secret_namespaces: tuple[str, ...] | None = None
    """Where Secrets may be read and written; None: wherever anything is looked at."""
    rates: Rates = NO_RATES
    """What compares prices of different currencies; none: they are not compared."""
    limits: tuple[SpendingLimit, ...] = ()
    """What the fleet, and namespaces of it, may cost for an hour."""

    @property
    def server_urls(self) -> tuple[str, str]:
        """The server's, as this operator and as gateway replicas reach it."""
        return self.server_url, self.gateway_server_url or self.server_url

    @property
    def scope(self) -> Scope:
        """What both of them come to."""
        return Scope(self.watch_namespaces, self.secret_namespaces)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Time, chance and metrics, given from outside."""

    clock: Clock
    random: Random
    metrics: Metrics


async def run_operator(settings: OperatorSettings, surroundings: Surroundings, stop: asyncio.Event) -> None:
    """Run until `stop`; raises `LostLease` or what broke first."""
    connections = settings.workers + _SPARE_CONNECTIONS + watches_of(settings.scope)[0]
    client = await Client.connect(kubeconfig=settings.kubeconfig, connections=connections)
    client.observe = RequestMetrics(surroundings.metrics).answered
    async with client:
        operator = Operator.build(settings, surroundings, client, stop)
        try:
            await operator.run()
        finally:
            await operator.election.release()
            if operator.server is not None:
                await operator.server.close()


@dataclass(frozen=True, slots=True)
class Means:
    """What reconcilers work with; `server` is None where there is nobody to publish to, `fence` proves that we lead."""

    client: Client
    world: World
    events: EventRecorder
    server: ServerClient | None
    fence: Fence
    trust: Trust | None = None


@dataclass(slots=True)
class Router:
    """Hands a key to the reconciler of its subject."""

    handlers: dict[Subject, Callable[[Key], Awaitable[Result]]]
    barred: Barred

    @classmethod
    def build(cls, settings: OperatorSettings, surroundings: Surroundings, means: Means) -> "Router":
        """One reconciler per subject."""
        clock, metrics = surroundings.clock, surroundings.metrics
        client, world, events, server = means.client, means.world, means.events, means.server
        gateways = GatewaySettings(
            settings.gateway_image,
            settings.server_urls[1],
            settings.namespace,
            means.trust if settings.server_urls[1].startswith("https:") else None,
            timedelta(days=settings.gateway_token_days),
        )
        tables = RoutingTableReconciler(world, client, server, means.fence, clock, metrics)
        book = FactsBook(hub_enabled=settings.hub_enabled)
        types = {kind.plural: kind for kind in OTHER_KINDS}
        deployments = ModelDeploymentReconciler(world, client, events, clock, settings.namespace)
        hub = Hub(base_url=settings.hub_url)
        facts = FactsReconciler(book, hub, client, settings.namespace, world.facts_known, settings.scope)
        placement = PlacementReconciler(
            world, book, clock, metrics, events, rates=settings.rates, limits=settings.limits
        )
        return cls(
            {
                Subject.MODEL_DEPLOYMENT: deployments.reconcile,
                Subject.INFERENCE_POOL: InferencePoolReconciler(world, client, clock).reconcile,
                Subject.PLACEMENT: lambda _key: placement.reconcile(),
                Subject.REPLANNING: lambda _key: placement.plan_anew(),
                Subject.MODEL_FACTS: facts.reconcile,
                Subject.INFERENCE_GATEWAY: InferenceGatewayReconciler(world, client, server, gateways, clock).reconcile,
                Subject.ROUTING_TABLE: tables.reconcile,
                Subject.MODEL_PROVIDER: ModelProviderReconciler(world, client, clock).reconcile,
                Subject.ROUTE: RouteReconciler(world, client, clock).reconcile,
                Subject.CONSUMER: ConsumerReconciler(world, client, clock).reconcile,
                Subject.CERTIFICATES: _certificates(settings, means, clock, metrics),
                Subject.UNSUPPORTED: UnsupportedReconciler(world, client, clock, types).reconcile,
            },
            world.barred,
        )

    async def reconcile(self, key: Key) -> Result:
        """One pass over one key; none where half of its namespace is hidden from us."""
        if self.barred.holds(key.namespace):
            return Result(requeue_after=_BARRED_SECONDS)
        return await self.handlers[key.subject](key)


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """The queue's figures into Prometheus."""

    metrics: Metrics

    def added(self, depth: int) -> None:
        """A key was added."""
        self.metrics.adds.labels(name=_QUEUE_NAME).inc()
        self.metrics.depth.labels(name=_QUEUE_NAME).set(depth)

    def taken(self, waited_seconds: float, depth: int) -> None:
        """A worker took a key."""
        self.metrics.queue_seconds.labels(name=_QUEUE_NAME).observe(waited_seconds)
        self.metrics.depth.labels(name=_QUEUE_NAME).set(depth)

    def retried(self) -> None:
        """A key comes back after a failure."""
        self.metrics.retries.labels(name=_QUEUE_NAME).inc()


@dataclass(frozen=True, slots=True)
class WorkMetrics:
    """The workers' figures into Prometheus."""

    metrics: Metrics

    def worked(self, key: Hashable, result: str, seconds: float) -> None:
        """A pass over a key ended."""
        controller = key.subject if isinstance(key, Key) else "unknown"
        self.metrics.work_seconds.labels(name=_QUEUE_NAME).observe(seconds)
        self.metrics.reconciles.labels(controller=controller, result=result).inc()
        self.metrics.reconcile_seconds.labels(controller=controller).observe(seconds)
        if result == "error":
            self.metrics.reconcile_errors.labels(controller=controller).inc()


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """The client's figures into Prometheus."""

    metrics: Metrics

    def answered(self, method: str, status: int) -> None:
        """The API server answered."""
        self.metrics.requests.labels(method=method, code=str(status)).inc()


@dataclass(slots=True)
class Operator:
    """One replica: what was assembled, and the tasks that run it."""

    settings: OperatorSettings
    surroundings: Surroundings
    client: Client
    stop: asyncio.Event
    queue: WorkQueue[Key]
    world: World
    own: OwnKinds
    informers: tuple[Informer[Any], ...]
    events: EventRecorder
    election: LeaseElection
    router: Router
    server: ServerClient | None = None
    engines: EngineClient = field(default_factory=EngineClient)
    working: bool = False
    watching: bool = False

    @classmethod
    def build(
        cls, settings: OperatorSettings, surroundings: Surroundings, client: Client, stop: asyncio.Event
    ) -> "Operator":
        """Wire sources, stores and reconcilers; no request is made."""
        clock, random, metrics = surroundings.clock, surroundings.random, surroundings.metrics
        queue: WorkQueue[Key] = WorkQueue(clock=clock, backoff=Backoff(random), observer=QueueMetrics(metrics))
        world = new_world(queue, settings.scope)
        world.traffic.enabled = bool(settings.server_url)
        election = LeaseElection(
            client, name=LEASE, namespace=settings.namespace, identity=settings.identity, clock=clock
        )
        events = EventRecorder(client, clock=clock, instance=settings.identity)
        trust = _trust(settings)
        means = Means(client, world, events, _server(settings, trust), _fence(settings, election), trust)
        reading = Reading(client, clock, random, new_gate())
        metrics.registry.register(ClientCollector(client.requests, lambda: events.dropped))
        return cls(
            settings=settings,
            surroundings=surroundings,
            client=client,
            stop=stop,
            queue=queue,
            world=world,
            own=own_kinds(world, queue, reading),
            informers=informers(world, reading),
            events=events,
            election=election,
            router=Router.build(settings, surroundings, means),
            server=means.server,
        )

    async def run(self) -> None:
        """Sources and health at once; the workers when stores are full and this replica leads."""
        health = Health(metrics=self.surroundings.metrics, ready=self._missing, alive=self._silent)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    serve_health(health, host=self.settings.host, port=self.settings.port, stop=self.stop)
                ),
                group.create_task(watch_loop(health, stop=self.stop)),
                group.create_task(self.events.run()),
                *(group.create_task(informer.run()) for informer in self.informers),
                *(group.create_task(sweep.run()) for sweep in self.own.sweeps),
                group.create_task(self._front()),
                group.create_task(self._lead_and_work()),
            ]
            await self.stop.wait()
            self.queue.close()
            for task in tasks[2:]:
                task.cancel()

    @property
    def _sources(self) -> tuple[Informer[Any] | Sweep[Any], ...]:
        return (*self.informers, *self.own.sweeps)

    async def _front(self) -> None:
        """Start kopf: it lists our kinds once more for itself, and the first pass over everything goes before that.

        What changes meanwhile is in its list; what goes meanwhile is found by a sweep after it.
        """
        clock = self.surroundings.clock
        await self._filled()
        latest = clock.monotonic() + _HEAD_START_SECONDS
        while clock.monotonic() < latest and not (self.working and self.queue.idle):
            await clock.sleep(_HEAD_START_STEP_SECONDS)
        front = Front(
            server=self.client.server,
            session=partial(self.client.new_session, _SPARE_CONNECTIONS + watches_of(self.world.scope)[1]),
            watched=self.own.watched,
            listed=self._sweep_soon,
            stop=self.stop,
            namespaces=self.settings.watch_namespaces,
        )
        await run_front(front, clock=self.surroundings.clock, random=self.surroundings.random)

    def _sweep_soon(self) -> None:
        self.watching = True
        for sweep in self.own.sweeps:
            sweep.wanted.set()

    async def _lead_and_work(self) -> None:
        await self._fill()
        if not self.settings.leader_elect:
            await self._work()
            return
        async with asyncio.TaskGroup() as group:
            election = group.create_task(self._elect())
            await self.election.leading.wait()
            _log.info("leading, term %s", self.election.generation)
            await self._work()
            election.cancel()

    async def _fill(self) -> None:
        """What fills the stores stays: collections that walk through it, then or later, only stall the loop."""
        gc.disable()
        try:
            async with asyncio.timeout(_FILLING_SECONDS):
                await self._filled()
        except TimeoutError:
            _log.info("still waiting for %s", ", ".join(self._missing()))
        finally:
            gc.enable()
            gc.freeze()
        await self._filled()

    async def _filled(self) -> None:
        await asyncio.gather(*(source.synced.wait() for source in self._sources))

    async def _elect(self) -> None:
        """Ends only by losing the Lease."""
        await self.election.run()
        message = "the Lease is another's"
        raise LostLease(message)

    async def _work(self) -> None:
        metrics = self.surroundings.metrics
        metrics.leading.labels(name=LEASE).set(1)
        workers = Workers(
            queue=self.queue,
            reconcile=self.router.reconcile,
            clock=self.surroundings.clock,
            observer=WorkMetrics(metrics),
            count=self.settings.workers,
        )
        listener = self._engine_listener()
        if listener is not None:
            # Plans are made with what was learnt, the first ones, too.
            await listener.store.load(self.world.learnt)
        # Whatever waits already is waiting for a place: visited before, it would only have to be visited again.
        await workers.prepare(PLACEMENT)
        metrics.fleet = lambda: fleet_text(self.world)
        if self.settings.issue_certificates or self.settings.server_ca_file:
            await workers.prepare(CERTIFICATES)
        self.working = True
        async with asyncio.TaskGroup() as group:
            listening = [group.create_task(self._listen())]
            listening += [group.create_task(listener.run())] if listener else []
            await workers.run()
            for task in listening:
                task.cancel()

    def _engine_listener(self) -> EngineListener | None:
        if not self.settings.read_engines:
            return None
        clock, random, metrics = self.surroundings.clock, self.surroundings.random, self.surroundings.metrics
        store = LearntStore(self.client, self.settings.namespace)
        return EngineListener(self.world, self.engines, store, clock, random, metrics)

    async def _listen(self) -> None:
        """To gateway replicas, where there is a server that hears them."""
        if self.server is not None:
            random = self.surroundings.random
            await ReplicaListener(self.world, self.server, self.surroundings.clock, random).run()

    def _missing(self) -> list[str]:
        """Stores that are not full yet; a standby is as ready as the leader."""
        waiting = [str(source) for source in self._sources if not source.synced.is_set()]
        return [f"not synced: {name}" for name in waiting]

    def _silent(self) -> list[str]:
        """Watches from which nothing, not even a bookmark, came for too long."""
        now = self.surroundings.clock.monotonic()
        return [
            f"silent: {informer}"
            for informer in self.informers
            if informer.synced.is_set() and now - informer.last_heard > _SILENT_WATCH_SECONDS
        ]


def _server(settings: OperatorSettings, trust: Trust | None) -> ServerClient | None:
    if not settings.server_url:
        return None
    named = settings.server_token_file
    token = TokenFile(Path(named)) if named else service_account_token()
    return ServerClient(settings.server_url, token, trust=trust)


def _trust(settings: OperatorSettings) -> Trust | None:
    if settings.issue_certificates:
        return IssuedBundle()
    return BundleFile(Path(settings.server_ca_file)) if settings.server_ca_file else None


def _certificates(
    settings: OperatorSettings, means: Means, clock: Clock, metrics: Metrics
) -> Callable[[Key], Awaitable[Result]]:
    """Makes them, or looks at the file; without either, nobody asks."""
    if isinstance(means.trust, IssuedBundle):
        names = server_names(settings.server_urls, settings.namespace)
        world, client, events = means.world, means.client, means.events
        issuing = CertificatesReconciler(world, client, events, clock, settings.namespace, names, means.trust, metrics)
        return lambda _key: issuing.reconcile()
    reading = BundleReconciler(means.world, means.trust or IssuedBundle())
    return lambda _key: reading.reconcile()


def _fence(settings: OperatorSettings, election: LeaseElection) -> Fence:
    """The Lease's generation; an operator that is alone by declaration takes whatever term it has to."""
    if settings.leader_elect:
        return Fence(lambda: election.generation, election.outrank)
    alone = _Alone()
    return Fence(lambda: alone.term, alone.outrank)


@dataclass(slots=True)
class _Alone:
    term: int = 0

    async def outrank(self, term: int) -> bool:
        self.term = term + 1
        return True
