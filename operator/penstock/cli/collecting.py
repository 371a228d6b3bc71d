"""Collects a support bundle: what explains a problem, in the order of its worth. Secrets are never asked for."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from penstock import __version__
from penstock.cli.examining import CHECKS
from penstock.cli.output import plain
from penstock.cli.reading import listing
from penstock.cluster.client import Client
from penstock.cluster.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    LEASES,
    NETWORK_POLICIES,
    NODES,
    OWN_KINDS,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
)
from penstock.errors import ClusterError
from penstock.operations.bundle import Bundle
from penstock.operations.checks import Facts, examine
from penstock.operations.view import Listing, Object, name_of, namespace_of, part

__all__ = ["Bounds", "collect"]

_CHILDREN = (DEPLOYMENTS, REPLICA_SETS, SERVICES, POD_DISRUPTION_BUDGETS, NETWORK_POLICIES, CONFIG_MAPS, JOBS)
_MANAGED = "app.kubernetes.io/managed-by=penstock"
_CHART = "app.kubernetes.io/name=penstock"
_ROLE = "penstock.dev/role"
_OK = 200
_MOST_EVENTS = 2000
_MOST_PODS = 200
_METRICS_BYTES = 4 * 2**20
_SECONDS = 20.0
_GATEWAY_PORT, _OPERATOR_PORT, _SERVER_PORT = 8001, 8080, 8090
_NEVER = (
    ("Secrets", "they are never read, but for the public certificate of the server that `doctor` looks at"),
    ("logs of engines", "they may hold prompts and answers; kubectl logs has them"),
    ("the server's database", "`penstock backup` has it"),
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of each log at most, in bytes and lines."""

    log_bytes: int = 2 * 2**20
    log_lines: int = 5000


@dataclass(frozen=True, slots=True)
class _Collector:
    client: Client
    bundle: Bundle
    facts: Facts
    bounds: Bounds

    async def objects(self) -> None:
        """What people made, what was made for it, and the nodes below it."""
        view = self.facts.view
        for kind in OWN_KINDS:
            self._put(f"resources/{kind.plural}.json", view.listing(kind))
        for kind in (*_CHILDREN, CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS):
            self._put(f"children/{kind.plural}.json", await listing(self.client, kind, labels=_MANAGED))
        for kind in (DEPLOYMENTS, REPLICA_SETS, SERVICES, POD_DISRUPTION_BUDGETS, NETWORK_POLICIES):
            found = await listing(self.client, kind, self.facts.namespace, labels=_CHART)
            self._put(f"installation/{kind.plural}.json", found)
        self._put("installation/leases.json", view.listing(LEASES))
        self._put("nodes.json", view.listing(NODES))

    async def pods(self) -> tuple[Object, ...]:
        """Ours, wherever they run; their logs and metrics are asked for next."""
        ours = await listing(self.client, PODS, self.facts.namespace, labels=_CHART)
        roles = await listing(self.client, PODS, labels=_ROLE)
        self._put("installation/pods.json", ours)
        self._put("children/pods.json", roles)
        gateways = [live for live in roles.items if part(live, "metadata", "labels").get(_ROLE) == "gateway"]
        return (*ours.items, *gateways)

    async def events(self) -> None:
        """Of namespaces in which anything of ours is; the newest, each namespace by itself."""
        kinds = [kind for kind in OWN_KINDS if kind.namespaced]
        places = {namespace_of(live) for kind in kinds for live in self.facts.view.items(kind)}
        for namespace in sorted({self.facts.namespace, *places}):
            found = await listing(self.client, EVENTS, namespace)
            newest = sorted(found.items, key=_last_seen)[-_MOST_EVENTS:]
            if len(newest) < len(found.items):
                self.bundle.leave_out(f"older events of {namespace}", f"only the newest {_MOST_EVENTS} are here")
            self._put(f"events/{namespace}.json", Listing(tuple(newest), found.gap, found.message))

    async def logs(self, pods: Iterable[Object]) -> None:
        """Of every container, and of the one before it where it started anew."""
        for live in pods:
            statuses = part(live, "status").get("containerStatuses") or ()
            again = {each.get("name") for each in statuses if each.get("restartCount")}
            for container in part(live, "spec").get("containers") or ():
                name = str(container.get("name"))
                await self._log(live, name, previous=False)
                if name in again:
                    await self._log(live, name, previous=True)

    async def metrics(self, pods: Iterable[Object]) -> None:
        """Each process's page, by the API server's proxy."""
        for live in pods:
            scheme, port = _metrics_port(live)
            place = f"{scheme}{name_of(live)}:{port}"
            path = f"/api/v1/namespaces/{namespace_of(live)}/pods/{place}/proxy/metrics"
            await self._text(f"metrics/{namespace_of(live)}.{name_of(live)}.txt", path, {}, _METRICS_BYTES)

    async def _log(self, live: Object, container: str, *, previous: bool) -> None:
        path = f"/api/v1/namespaces/{namespace_of(live)}/pods/{name_of(live)}/log"
        query = {
            "container": container,
            "timestamps": "true",
            "tailLines": str(self.bounds.log_lines),
            "limitBytes": str(self.bounds.log_bytes),
            **({"previous": "true"} if previous else {}),
        }
        ending = ".previous.log" if previous else ".log"
        file = f"logs/{namespace_of(live)}.{name_of(live)}.{container}{ending}"
        await self._text(file, path, query, self.bounds.log_bytes)

    async def _text(self, file: str, path: str, query: Mapping[str, str], most_bytes: int) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                status, body = await self.client.raw("GET", path, query=query, headers={"Accept": "*/*"})
        except (ClusterError, TimeoutError) as error:
            self.bundle.leave_out(file, str(error) or f"no answer in {_SECONDS:.0f} s")
            return
        if status != _OK:
            self.bundle.leave_out(file, f"the API server answered {status}")
            return
        self.bundle.add_text(file, body.decode(errors="replace"), most_bytes=most_bytes)

    def _put(self, path: str, found: Listing) -> None:
        if found.gap is not None:
            self.bundle.leave_out(path, found.message)
        elif found.items:
            self.bundle.add(path, found.items)


async def collect(client: Client, bundle: Bundle, facts: Facts, bounds: Bounds, say: Callable[[str], None]) -> None:
    """Fill the bundle; whatever is refused or does not answer is noted in it, and the rest goes on."""
    collector = _Collector(client, bundle, facts, bounds)
    bundle.add("versions.json", {"penstock": __version__, "kubernetes": dict(facts.kubernetes)})
    bundle.add("doctor.json", plain(examine(CHECKS, facts)))
    say("resources and pods")
    await collector.objects()
    pods = await collector.pods()
    say("events")
    await collector.events()
    say(f"logs and metrics of {min(len(pods), _MOST_PODS)} pods")
    if len(pods) > _MOST_PODS:
        bundle.leave_out(f"logs and metrics of {len(pods) - _MOST_PODS} pods", f"only {_MOST_PODS} pods are asked")
    await collector.logs(pods[:_MOST_PODS])
    await collector.metrics(pods[:_MOST_PODS])
    for what, why in _NEVER:
        bundle.leave_out(what, why)


def _last_seen(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or part(event, "metadata").get("creationTimestamp"))


def _metrics_port(live: Object) -> tuple[str, int]:
    """The scheme and port of its metrics: the server speaks TLS unless its only port is called `http`."""
    labels = part(live, "metadata", "labels")
    if labels.get(_ROLE) == "gateway":
        return "", _GATEWAY_PORT
    if labels.get("app.kubernetes.io/component") != "server":
        return "", _OPERATOR_PORT
    ports = [port for each in part(live, "spec").get("containers") or () for port in each.get("ports") or ()]
    plain_text = any(port.get("name") == "http" for port in ports)
    return "" if plain_text else "https:", _SERVER_PORT
