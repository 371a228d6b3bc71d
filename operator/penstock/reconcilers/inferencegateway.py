"""InferenceGateway: what runs it is there, with a token for the server; and how its replicas stand."""

import logging
import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from penstock import __version__
from penstock.api.inferencegateway import InferenceGateway
from penstock.api.refusals import Refusal
from penstock.cluster.client import Client
from penstock.cluster.errors import Forbidden, NotFound
from penstock.cluster.owned import manifest_digest
from penstock.cluster.resources import DEPLOYMENTS, INFERENCE_GATEWAYS, SECRETS
from penstock.errors import ServerError
from penstock.gateways.litellm import (
    GatewayRequest,
    gateway_name,
    render_gateway,
    render_token,
    token_secret_name,
    unsupported,
)
from penstock.gateways.litellm.names import MASTER_KEY, TOKEN_KEY
from penstock.reconcilers.children import Changes, Children
from penstock.reconcilers.clashes import clash_of_gateway
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.gateway_status import (
    Attached,
    GatewayReplica,
    GatewaySeen,
    PublishedTable,
    gateway_status,
)
from penstock.reconcilers.keys import Key
from penstock.reconcilers.reach import secrets_of_gateway
from penstock.reconcilers.reporting import Reporter
from penstock.reconcilers.revisions import unscaled
from penstock.reconcilers.secrets import SecretRecord, key_fact
from penstock.reconcilers.token_age import assumed_issue, issued_at
from penstock.reconcilers.told import Told
from penstock.reconcilers.traffic import GatewayKey, GatewayTraffic
from penstock.reconcilers.world import World
from penstock.rollout.drain import Replica
from penstock.routing.build import Built
from penstock.routing.problems import Kind
from penstock.server_client.client import LiveReplica, ServerClient
from penstock.server_client.trust import Trust
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["DEFAULT_GATEWAY_IMAGE", "GatewaySettings", "InferenceGatewayReconciler"]

_log = logging.getLogger(__name__)

DEFAULT_GATEWAY_IMAGE = f"ghcr.io/penstock-dev/gateway:{__version__}"

_TOKEN_KEYS = frozenset({TOKEN_KEY, MASTER_KEY})
_MASTER_KEY_BYTES = 32
_AWAY_SECONDS = 5.0
_DEAF_SECONDS = 30.0
_SETTLING_SECONDS = 3.0
_LOOK_AGAIN_SECONDS = 10.0
_FORBIDDEN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What the command line says of all gateways."""

    image: str
    server_url: str
    """As replicas reach the server."""
    operator_namespace: str
    trust: Trust | None = None
    """By whom replicas know the server, in PEM; None: by what their image trusts."""
    token_period: timedelta = timedelta(days=30)
    """How old a token gets."""


@dataclass(slots=True)
class InferenceGatewayReconciler:
    """One pass per key. `server` is None where the operator was given none: then no gateway runs, and each says so."""

    world: World
    client: Client
    server: ServerClient | None
    settings: GatewaySettings
    clock: Clock
    _deaf: dict[GatewayKey, float] = field(default_factory=dict)
    _late: dict[GatewayKey, float] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> Result:
        """Bring its children to what its spec says, and report."""
        custom = self.world.gateways.get(key.namespace, key.name)
        if custom is None or custom.deleting:
            self._deaf.pop((key.namespace, key.name), None)
            return Result()
        changes, again = Changes(), None
        if self.server is not None and custom.parsed is not None and not self._refusals(custom):
            again = await self._bring(self.server, custom, custom.parsed, changes)
        settled = await self._report(custom)
        if changes:
            _log.info("%s: %s", key, "; ".join(changes.lines))
        return Result(requeue_after=min((each for each in (again, settled) if each is not None), default=None))

    async def _bring(
        self, server: ServerClient, custom: Custom[InferenceGateway], gateway: InferenceGateway, changes: Changes
    ) -> float | None:
        if not self._exists(custom) and not await self._lives(custom):
            return None
        try:
            bundle = self.settings.trust() if self.settings.trust else ""
        except ServerError as error:
            # Rendered without it, replicas would trust others, and be rolled a second time.
            _log.warning("gateway %s/%s: %s", custom.namespace, custom.name, error)
            return _AWAY_SECONDS
        try:
            again = await self._ensure_token(server, custom, gateway, changes)
        except ServerError as error:
            _log.warning("gateway %s/%s: %s", custom.namespace, custom.name, error)
            again = _AWAY_SECONDS
        except Forbidden as error:
            # Its pods would wait for a Secret that nobody can make; those that run have theirs.
            self._note_forbidden(custom, error)
            return _FORBIDDEN_SECONDS
        settings = self.settings
        request = GatewayRequest(gateway, settings.image, settings.server_url, settings.operator_namespace, bundle)
        for manifest in render_gateway(request):
            if self._differs(manifest):
                await self._children.apply(manifest, changes)
        return again

    def _refusals(self, custom: Custom[InferenceGateway]) -> tuple[Refusal, ...]:
        """What keeps its children as they are; a right that was missing may be there by now."""
        own = unsupported(custom.parsed.spec) if custom.parsed else ()
        place = (custom.namespace, custom.name)
        closed = () if self.world.scope.uses_secrets(custom.namespace) else secrets_of_gateway(self.world, place)
        return (*own, *clash_of_gateway(self.world, custom), *closed)

    def _note_forbidden(self, custom: Custom[InferenceGateway], error: Forbidden) -> None:
        secret = (custom.namespace, token_secret_name(custom.name))
        if secret not in self.world.without_secrets:
            self.world.without_secrets.add(secret)
            _log.warning("gateway %s/%s: %s", custom.namespace, custom.name, error)

    def _exists(self, custom: Custom[InferenceGateway]) -> bool:
        return self.world.workloads.get(custom.namespace, gateway_name(custom.name)) is not None

    async def _lives(self, custom: Custom[InferenceGateway]) -> bool:
        """Ask the API server before the first create: a ghost parent gets no children."""
        try:
            live = await self.client.get(INFERENCE_GATEWAYS, custom.name, custom.namespace)
        except NotFound:
            live = {"metadata": {"uid": ""}}
        if live["metadata"].get("uid") == custom.uid:
            return True
        self.world.gateways.remove(custom.namespace, custom.name, custom.uid)
        return False

    async def _ensure_token(
        self, server: ServerClient, custom: Custom[InferenceGateway], gateway: InferenceGateway, changes: Changes
    ) -> float | None:
        """Anew where it is old, where somebody took it away, or where the server knows it no more."""
        live = self.world.secrets.get(custom.namespace, token_secret_name(custom.name))
        secret = (custom.namespace, token_secret_name(custom.name))
        if live is not None and live.keys >= _TOKEN_KEYS and not self._is_deaf(custom):
            self.world.without_secrets.discard(secret)
            left = await self._seconds_left(custom, gateway, live, changes)
            if left > 0:
                return min(left, _LOOK_AGAIN_SECONDS) if (custom.namespace, custom.name) in self._deaf else left
        # Read first: where that is forbidden no token is made in vain.
        master_key = (await self._held(custom, MASTER_KEY))[0] or secrets.token_urlsafe(_MASTER_KEY_BYTES)
        token = await server.make_token(f"{custom.namespace}/{custom.name}")
        await self._children.apply(render_token(gateway, token, master_key, self.clock.now()), changes)
        self.world.without_secrets.discard(secret)
        self._deaf.pop((custom.namespace, custom.name), None)
        return self.settings.token_period.total_seconds()

    async def _seconds_left(
        self, custom: Custom[InferenceGateway], gateway: InferenceGateway, live: SecretRecord, changes: Changes
    ) -> float:
        """How long the token goes on; one without a date, as older operators made them, gets one and stays as it is."""
        now, period = self.clock.now(), self.settings.token_period
        issued = issued_at(live.token_issued_at, now)
        if issued is None:
            issued = assumed_issue(custom.uid, now, period)
            token, master_key = await self._held(custom, TOKEN_KEY, MASTER_KEY)
            if not token or not master_key:
                return 0.0
            await self._children.apply(render_token(gateway, token, master_key, issued), changes)
        return (issued + period - now).total_seconds()

    async def _held(self, custom: Custom[InferenceGateway], *keys: str) -> list[str]:
        """The values as running pods have them; empty where there are none."""
        try:
            live = await self.client.get(SECRETS, token_secret_name(custom.name), custom.namespace)
        except NotFound:
            return ["" for _ in keys]
        return [key_fact(live, key, keeps_value=True).value for key in keys]

    def _is_deaf(self, custom: Custom[InferenceGateway]) -> bool:
        """Whether pods run and the server, which answers, has heard none of them for a while: it lost their token."""
        place = (custom.namespace, custom.name)
        traffic = self.world.traffic.gateways.get(place)
        if traffic is None or traffic.said is None or traffic.said or not traffic.pods:
            self._deaf.pop(place, None)
            return False
        now = self.clock.monotonic()
        return now - self._deaf.setdefault(place, now) > _DEAF_SECONDS

    def _differs(self, manifest: dict[str, Any]) -> bool:
        kind, metadata = manifest["kind"], manifest["metadata"]
        if kind == DEPLOYMENTS.kind:
            workload = self.world.workloads.get(metadata["namespace"], metadata["name"])
            replicas = manifest["spec"]["replicas"]
            fixed = manifest_digest(unscaled(manifest))
            return workload is None or workload.digest != fixed or workload.replicas != replicas
        live = self.world.children[kind].get(metadata["namespace"], metadata["name"])
        return live is None or live.digest != manifest_digest(manifest)

    @property
    def _children(self) -> Children:
        return Children(self.world, self.client)

    async def _report(self, custom: Custom[InferenceGateway]) -> float | None:
        """When to look again: what is only a moment's lag is not told."""
        seen = self._seen(custom)
        status = gateway_status(custom, seen, now=self.clock.now())
        world = self.world
        reporter = Reporter(self.client, INFERENCE_GATEWAYS, InferenceGateway, world.gateways, world.on_gateway)
        await reporter.report(custom, status)
        return _SETTLING_SECONDS if seen.settling else None

    def _seen(self, custom: Custom[InferenceGateway]) -> GatewaySeen:
        place = (custom.namespace, custom.name)
        traffic, told = self.world.traffic.gateways.get(place), self.world.told.get(place)
        workload = self.world.workloads.get(custom.namespace, gateway_name(custom.name))
        return GatewaySeen(
            refusals=(*(unsupported(custom.parsed.spec) if custom.parsed else ()), *_guardrails(told)),
            clash=clash_of_gateway(self.world, custom),
            forbidden=secrets_of_gateway(self.world, place),
            has_server=self.server is not None,
            table=_published(traffic),
            replicas=self._replicas(place, traffic),
            attached=_attached(told.built) if told else None,
            pods=workload.pods if workload else 0,
            ready_pods=workload.ready if workload else 0,
            trouble=self._trouble(place),
            settling=self._settling(place, traffic),
        )

    def _replicas(self, place: GatewayKey, traffic: GatewayTraffic | None) -> tuple[GatewayReplica, ...] | None:
        if traffic is None or traffic.replicas is None:
            return None
        reports = {each.pod or each.uid: each for each in self.world.reports.get(place, ())}
        return tuple(_replica(each, reports.get(each.name)) for each in traffic.replicas)

    def _trouble(self, place: GatewayKey) -> str:
        """What its pods complain of."""
        pods = sorted(self.world.pods.by_index("gateway", place), key=lambda pod: pod.name)
        told = (f"Pod {pod.name}: {pod.trouble or pod.unschedulable}" for pod in pods if pod.trouble or not pod.node)
        return next((each for each in told if not each.endswith(": ")), "")

    def _settling(self, place: GatewayKey, traffic: GatewayTraffic | None) -> bool:
        """Whether replicas are late by so little that no word was to be expected yet."""
        if traffic is None or (traffic.asked and traffic.generation and traffic.is_everywhere(traffic.generation)):
            self._late.pop(place, None)
            return False
        now = self.clock.monotonic()
        return now - self._late.setdefault(place, now) < _SETTLING_SECONDS


def _guardrails(told: Told | None) -> tuple[Refusal, ...]:
    """What has every request refused: nothing checks them, and each was to be checked."""
    return tuple(each.refusal for each in (told.built.problems if told else ()) if each.kind is Kind.GATEWAY)


def _published(traffic: GatewayTraffic | None) -> PublishedTable | None:
    if traffic is None or not traffic.known:
        return None
    version = traffic.table.credential_version if traffic.table else ""
    return PublishedTable(traffic.generation, traffic.hash, version)


def _replica(replica: Replica, report: LiveReplica | None) -> GatewayReplica:
    if report is None:
        return GatewayReplica(replica.name, replica.generation)
    return GatewayReplica(replica.name, replica.generation, report.credential_version, report.state)


def _attached(built: Built) -> Attached:
    counts = Counter(each.kind for each in built.attachments if each.admitted)
    return Attached(counts[Kind.ROUTE], counts[Kind.CONSUMER], counts[Kind.PROVIDER])
