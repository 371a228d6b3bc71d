"""A gateway's routing table: gather, build, put the providers' keys where replicas find them, publish.

Fenced by the Lease's generation and compare-and-swap. What the server has is taken for the truth at the start and
after every conflict, so that a restored server and another leader both end in a table above theirs.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from penstock.api.inferencegateway import InferenceGateway
from penstock.cluster.client import Client
from penstock.cluster.errors import Forbidden
from penstock.cluster.owned import manifest_digest
from penstock.errors import ServerError
from penstock.gateways.litellm import (
    credential_file,
    credentials_secret_name,
    credentials_version,
    render_credentials,
    unsupported,
)
from penstock.metrics import Metrics
from penstock.reconcilers.children import Changes, Children
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.routing_inputs import gather_inputs, unread
from penstock.reconcilers.told import Told
from penstock.reconcilers.traffic import GatewayKey, GatewayTraffic
from penstock.reconcilers.world import World
from penstock.routing.build import build_table
from penstock.routing.inputs import Inputs
from penstock.routing.problems import Kind
from penstock.server_client.client import ServerClient
from penstock.server_client.errors import ServerAway, StaleGeneration, StaleTerm, TableConflict
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result, Retry
from penstock_policy.table import Table
from penstock_policy.wire import TableError, decode, digest_of, encode

__all__ = ["Fence", "RoutingTableReconciler"]

_log = logging.getLogger(__name__)

_AWAY_SECONDS = 1.0
_REFUSED_SECONDS = 10.0
_UNREAD_SECONDS = 1.0
_FORBIDDEN_SECONDS = 30.0
_DEPLOYMENT = "deployment"


@dataclass(frozen=True, slots=True)
class Fence:
    """What proves that we lead: `term` is the Lease's generation; `outrank` raises it above another one, if we can."""

    term: Callable[[], int]
    outrank: Callable[[int], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Made:
    """A table, its digest, and what is told of it."""

    table: Table
    hash: str
    told: Told


@dataclass(slots=True)
class RoutingTableReconciler:
    """One pass per gateway makes its table anew and publishes it where it differs."""

    world: World
    client: Client
    server: ServerClient | None
    fence: Fence
    clock: Clock
    metrics: Metrics
    _away: set[GatewayKey] = field(default_factory=set)

    async def reconcile(self, key: Key) -> Result:
        """Publish what should be there, or forget a gateway that is gone."""
        place = (key.namespace, key.name)
        custom = self.world.gateways.get(*place)
        try:
            if custom is None or custom.deleting:
                await self._forget(place)
                return Result()
            result = await self._bring(place, custom)
        except ServerError as error:
            self._say_away(place, error)
            return Result(requeue_after=_AWAY_SECONDS if isinstance(error, ServerAway) else _REFUSED_SECONDS)
        self._away.discard(place)
        return result

    async def _bring(self, place: GatewayKey, custom: Custom[InferenceGateway]) -> Result:
        if custom.parsed is None or self._is_refused(custom.parsed, place):
            # What is refused changes nothing: what is published goes on, and is all that is named.
            return await self._leave(place)
        if next(unread(self.world, custom), None) is not None:
            await self._read(place)
            return Result(requeue_after=_UNREAD_SECONDS)
        if self._names_hidden(await self._read(place)):
            return await self._leave(place, again=_FORBIDDEN_SECONDS)
        inputs = gather_inputs(self.world, custom)
        if self.server is not None:
            self.world.traffic.expect(place).making |= _endpoints(inputs)
        made = await asyncio.to_thread(_make, inputs, self._secrets(), custom)
        self._tell(place, made)
        if self.server is None:
            return Result()
        traffic = await self._read(place)
        try:
            await self._ensure_credentials(custom.parsed, made.table)
        except Forbidden as error:
            self._note_forbidden(custom, error)
            return await self._leave(place, again=_FORBIDDEN_SECONDS)
        if made.hash != traffic.hash or traffic.ahead:
            await self._publish(self.server, place, traffic, made)
        traffic.making = frozenset()
        self._wake()
        return Result()

    def _is_refused(self, gateway: InferenceGateway, place: GatewayKey) -> bool:
        return bool(unsupported(gateway.spec)) or not self.world.scope.uses_secrets(place[0])

    def _names_hidden(self, traffic: GatewayTraffic) -> bool:
        """Whether what is published is of a namespace that we were never shown: it would be missing in the next."""
        table, barred = traffic.table, self.world.barred
        if table is None or not barred:
            return False
        backends = (each.name.partition("/")[2] for each in table.backends)
        names = (*(each.name for each in table.routes), *(each.name for each in table.consumers), *backends)
        return any(barred.hides(namespace) for namespace in {name.partition("/")[0] for name in names})

    async def _leave(self, place: GatewayKey, again: float | None = None) -> Result:
        """As it is: nothing is published."""
        await self._read(place)
        self.world.traffic.settle(place)
        self._wake()
        return Result(requeue_after=again)

    async def _read(self, place: GatewayKey) -> GatewayTraffic:
        """What is published, asked for once."""
        traffic = self.world.traffic.gateways.get(place) or GatewayTraffic()
        if self.server is not None:
            traffic = self.world.traffic.expect(place)
            if not traffic.known:
                _adopt(traffic, await self.server.table("/".join(place)))
        return traffic

    def _wake(self) -> None:
        """Whoever waits for what tables hold."""
        for namespace, name in self.world.traffic.take_asking():
            self.world.look_at(namespace, name)

    def _secrets(self) -> dict[str, str]:
        """Providers' keys by the name of their file."""
        facts = self.world.keys.facts.items()
        return {
            credential_file(*place): fact.value
            for (subject, place), fact in facts
            if subject is Subject.MODEL_PROVIDER and fact.value
        }

    def _tell(self, place: GatewayKey, made: Made) -> None:
        """Have those look again of whom something else is said than before."""
        world = self.world
        before, world.told[place] = world.told.get(place), made.told
        for key in changed_keys(before, made.told):
            world.enqueue(key)
        if self.server is None:
            return
        traffic = world.traffic.expect(place)
        if not traffic.built:
            world.report_soon(*place)
        named = frozenset(backend.name for backend in made.table.backends)
        differing = named ^ traffic.named if traffic.built else named
        traffic.named, traffic.built = named, True
        self._look_at(differing)

    def _look_at(self, backends: frozenset[str]) -> None:
        for name in backends:
            kind, namespace, own, *_ = name.split("/")
            if kind == _DEPLOYMENT:
                self.world.look_at(namespace, own)
            else:
                self.world.enqueue(Key(Subject.MODEL_PROVIDER, namespace, own))

    async def _ensure_credentials(self, gateway: InferenceGateway, table: Table) -> None:
        """Before the table that needs them: a replica waits for their version."""
        needed = {backend.credential for backend in table.backends if backend.credential}
        keys = {name: value for name, value in self._secrets().items() if name in needed}
        manifest = render_credentials(gateway, keys)
        metadata = manifest["metadata"]
        place = (metadata["namespace"], metadata["name"])
        live = self.world.secrets.get(*place)
        if live is None or live.digest != manifest_digest(manifest):
            changes = Changes()
            await Children(self.world, self.client).apply(manifest, changes)
            _log.info("%s/%s: %s", metadata["namespace"], gateway.metadata.name, "; ".join(changes.lines))
        if place in self.world.without_secrets:
            self.world.without_secrets.discard(place)
            self.world.report_soon(metadata["namespace"], gateway.metadata.name)

    def _note_forbidden(self, custom: Custom[InferenceGateway], error: Forbidden) -> None:
        """Its status tells of it."""
        secret = (custom.namespace, credentials_secret_name(custom.name))
        if secret not in self.world.without_secrets:
            self.world.without_secrets.add(secret)
            _log.warning("routing table %s/%s: %s; what is published goes on", custom.namespace, custom.name, error)
            self.world.report_soon(custom.namespace, custom.name)

    async def _publish(self, server: ServerClient, place: GatewayKey, traffic: GatewayTraffic, made: Made) -> None:
        table = replace(made.table, generation=traffic.next_generation)
        document = await asyncio.to_thread(encode, table)
        try:
            await server.publish("/".join(place), document, term=self.fence.term(), expected_hash=traffic.hash)
        except TableConflict as conflict:
            # Another leader's, or a restored database's: read it, and go above it.
            traffic.known = False
            self.metrics.publications.labels(result="conflict").inc()
            raise Retry(str(conflict)) from conflict
        except StaleGeneration as stale:
            traffic.highest = max(traffic.highest, stale.current.generation if stale.current else 0)
            self.metrics.publications.labels(result="stale_generation").inc()
            raise Retry(str(stale)) from stale
        except StaleTerm as stale:
            self.metrics.publications.labels(result="stale_term").inc()
            if stale.current is None or not await self.fence.outrank(stale.current.term):
                raise
            raise Retry(str(stale)) from stale
        self.metrics.publications.labels(result="published").inc()
        before = traffic.table
        traffic.published(table, made.hash)
        self._after(place, before, table)

    def _after(self, place: GatewayKey, before: Table | None, after: Table) -> None:
        _log.info("routing table %s/%s: generation %d, %d backends", *place, after.generation, len(after.backends))
        world = self.world
        world.report_soon(*place)
        former = {route.name: route for route in before.routes} if before else {}
        for route in after.routes:
            if former.get(route.name) != route:
                world.enqueue(Key(Subject.ROUTE, *route.name.split("/", 1)))

    async def _forget(self, place: GatewayKey) -> None:
        """A gateway that is gone: nobody pulls its table any more, and a namesake begins anew, above it."""
        world = self.world
        known = world.traffic.gateways.get(place)
        told = world.told.pop(place, None)
        if known is not None and self.server is not None:
            await self.server.forget("/".join(place), term=self.fence.term())
        world.traffic.forget(place)
        for key in changed_keys(told, None):
            world.enqueue(key)
        self._wake()
        self._look_at(known.named if known else frozenset())

    def _say_away(self, place: GatewayKey, error: ServerError) -> None:
        self.metrics.publications.labels(result="server_away").inc()
        if place not in self._away:
            self._away.add(place)
            _log.warning("routing table %s/%s: %s; what is published goes on, nothing is removed", *place, error)
            self.world.report_soon(*place)


def _make(inputs: Inputs, secrets: Mapping[str, str], custom: Custom[InferenceGateway]) -> Made:
    """Pure, and long where there are many keys: it runs in a thread. The generation is the publication's matter."""
    built = build_table(inputs, 0)
    used = {backend.credential for backend in built.table.backends if backend.credential}
    table = built.table
    if used and custom.parsed is not None:
        keys = {name: value for name, value in secrets.items() if name in used}
        table = replace(table, credential_version=credentials_version(custom.parsed, keys))
    built = replace(built, table=table)
    return Made(table, digest_of(table), Told.of(built))


def _endpoints(inputs: Inputs) -> frozenset[str]:
    revisions = (revision for deployment in inputs.deployments for revision in deployment.revisions)
    return frozenset(endpoint for revision in revisions if revision.serving for endpoint in revision.endpoints)


def _adopt(traffic: GatewayTraffic, document: bytes | None) -> None:
    """What is published; what a later version wrote cannot be read, and is replaced all the same."""
    if document is None:
        traffic.adopt(None, "")
        return
    try:
        table = decode(document)
    except TableError as error:
        _log.warning("the published table cannot be read: %s", error)
        envelope = json.loads(document)
        traffic.adopt(None, envelope["hash"])
        # Nobody knows what it holds, so that only the next one tells what is out.
        traffic.generation, traffic.first = envelope["generation"], envelope["generation"] + 1
        return
    traffic.adopt(table, digest_of(table))


def changed_keys(before: Told | None, after: Told | None) -> set[Key]:
    """Whose status may read otherwise: what is wrong with it, who admits it, or what a Route is answered by."""
    old, new = _said(before), _said(after)
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


_SUBJECTS: Mapping[Kind, Subject] = {
    Kind.ROUTE: Subject.ROUTE,
    Kind.PROVIDER: Subject.MODEL_PROVIDER,
    Kind.CONSUMER: Subject.CONSUMER,
    Kind.GATEWAY: Subject.INFERENCE_GATEWAY,
}


def _said(told: Told | None) -> dict[Key, list[object]]:
    said: defaultdict[Key, list[object]] = defaultdict(list)
    if told is None:
        return said
    for attachment in told.built.attachments:
        said[_key(attachment.kind, attachment.name)].append(attachment)
    for (kind, name), problems in told.problems.items():
        if kind in _SUBJECTS:
            said[_key(kind, name)].append(problems)
    for name, explanation in told.explained.items():
        said[_key(Kind.ROUTE, name)].append(explanation)
    routes: defaultdict[str, set[str]] = defaultdict(set)
    for name in told.explained:
        routes[name.partition("/")[0]].add(name)
    for name, caller in told.callers.items():
        said[_key(Kind.CONSUMER, name)].append((caller.routes, routes.get(name.partition("/")[0])))
    return said


def _key(kind: Kind, name: str) -> Key:
    return Key(_SUBJECTS[kind], *name.split("/", 1))
