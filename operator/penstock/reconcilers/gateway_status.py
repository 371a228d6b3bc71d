"""The status of an InferenceGateway, from what was seen of its pods, its table and its replicas; pure.

Tables change with every pod that comes or goes. So a replica's generation is told only where it lags behind, and while
acknowledgements are on their way (`settling`) the status goes on to tell of the table before, which all of them had.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.conditions import ConditionStatus, find_condition
from penstock.api.inferencegateway import InferenceGateway, InferenceGatewayStatus, LiveReplicaStatus, TableStatus
from penstock.api.refusals import Refusal
from penstock.gateways.litellm import CLIENT_PORT, gateway_name
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.secrets import KeyReason
from penstock.reconcilers.standing import joined
from penstock.reconcilers.verdicts import Verdict, ready, status_of

__all__ = ["Attached", "GatewayReplica", "GatewaySeen", "PublishedTable", "gateway_status"]

_MOST_REPLICAS = 100


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """What replicas are given; `generation` 0: nothing is published. `credential_version` is empty for none."""

    generation: int = 0
    hash: str = ""
    credential_version: str = ""


@dataclass(frozen=True, slots=True)
class GatewayReplica:
    """A replica that may send requests on.

    `generation` is the one that it has acknowledged of this line of tables, 0 for none. `state` is what it says of
    itself, empty where the server does not hear it.
    """

    pod: str
    generation: int = 0
    credential_version: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Attached:
    """How many resources the gateway admits."""

    routes: int = 0
    consumers: int = 0
    providers: int = 0


@dataclass(frozen=True, slots=True)
class GatewaySeen:
    """What is known of a gateway.

    `refusals` are of fields that are not acted on, `clash` is of its name with another resource's, `forbidden` of the
    Secrets that it needs. `has_server`: the operator was given one. `table` is None until it was read what is
    published, `replicas` while the server does not say them, `attached` until a table was made. `pods` and `ready_pods`
    are those of its Deployment, `trouble` is what they complain of, in words.

    `settling`: the publication, the server's absence or this process is so young that no word was to be expected yet.
    """

    refusals: tuple[Refusal, ...] = ()
    clash: tuple[Refusal, ...] = ()
    forbidden: tuple[Refusal, ...] = ()
    has_server: bool = True
    table: PublishedTable | None = None
    replicas: tuple[GatewayReplica, ...] | None = None
    attached: Attached | None = None
    pods: int = 0
    ready_pods: int = 0
    trouble: str = ""
    settling: bool = False


def gateway_status(custom: Custom[InferenceGateway], seen: GatewaySeen, *, now: datetime) -> dict[str, Any]:
    """The whole status as it is to be applied."""
    old = InferenceGatewayStatus.model_validate(custom.status)
    programmed = _programmed(seen)
    kept = seen.settling and not programmed.holds and _was_programmed(old)
    if kept:
        programmed = Verdict("Programmed", holds=True, reason="Programmed")
    verdicts = (_accepted(custom, seen), programmed, _available(custom, seen))
    attached = seen.attached or Attached(old.attached_routes, old.attached_consumers, old.attached_providers)
    status = InferenceGatewayStatus(
        address=f"http://{gateway_name(custom.name)}.{custom.namespace}.svc:{CLIENT_PORT}/v1",
        replicas=seen.pods,
        ready_replicas=seen.ready_pods,
        table=old.table if kept else _table(seen, old),
        live_replicas=old.live_replicas if kept else _live_replicas(seen, old),
        attached_routes=attached.routes,
        attached_consumers=attached.consumers,
        attached_providers=attached.providers,
    )
    own = {"conditions", "observed_generation"}
    fields = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=own)
    return status_of(custom, (*verdicts, ready(verdicts)), now, **fields)


def _was_programmed(old: InferenceGatewayStatus) -> bool:
    before = find_condition(old.conditions, "Programmed")
    return before is not None and before.status is ConditionStatus.TRUE


def _accepted(custom: Custom[InferenceGateway], seen: GatewaySeen) -> Verdict:
    if custom.parsed is None or custom.refusals:
        return Verdict("Accepted", holds=False, reason="Invalid", message=joined(custom.refusals))
    if seen.clash:
        return Verdict("Accepted", holds=False, reason="NameTaken", message=joined(seen.clash))
    if seen.refusals:
        return Verdict("Accepted", holds=False, reason="NotSupported", message=joined(seen.refusals))
    if seen.forbidden:
        return Verdict("Accepted", holds=False, reason=KeyReason.SECRET_FORBIDDEN, message=joined(seen.forbidden))
    return Verdict("Accepted", holds=True, reason="Accepted")


def _programmed(seen: GatewaySeen) -> Verdict:
    if not seen.has_server:
        message = "The operator was given no server to publish tables to: start it with `--server-url`"
        return Verdict("Programmed", holds=False, reason="NoServer", message=message)
    if seen.table is None or seen.replicas is None:
        message = "The server does not say what the replicas have; they go on with it, and nothing is taken away"
        return Verdict("Programmed", holds=None, reason="ServerAway", message=message)
    if not seen.table.generation:
        return Verdict("Programmed", holds=False, reason="NotPublished", message="No table is published yet")
    if not seen.replicas:
        return Verdict("Programmed", holds=False, reason="NoReplica", message="There is no live replica")
    return _acknowledged(seen.table, seen.replicas)


def _acknowledged(table: PublishedTable, replicas: Iterable[GatewayReplica]) -> Verdict:
    late = sorted(each.pod for each in replicas if each.generation < table.generation)
    if late:
        message = f"Waiting for {', '.join(late)}"
        return Verdict("Programmed", holds=False, reason="NotAcknowledged", message=message)
    return Verdict("Programmed", holds=True, reason="Programmed")


def _available(custom: Custom[InferenceGateway], seen: GatewaySeen) -> Verdict:
    if not seen.ready_pods:
        message = seen.trouble or "No replica is ready"
        return Verdict("Available", holds=False, reason="NotServing", message=message)
    wanted = custom.parsed.spec.replicas if custom.parsed else seen.ready_pods
    few = "" if seen.ready_pods >= wanted else f"{seen.ready_pods} of {wanted} replicas are ready. {seen.trouble}"
    return Verdict("Available", holds=True, reason="Serving", message=few.strip())


def _table(seen: GatewaySeen, old: InferenceGatewayStatus) -> TableStatus | None:
    """What is published; what was, as long as nobody has looked."""
    if seen.table is None:
        return old.table
    if not seen.table.generation:
        return None
    version = seen.table.credential_version or None
    return TableStatus(generation=seen.table.generation, hash=seen.table.hash, credential_version=version)


def _live_replicas(seen: GatewaySeen, old: InferenceGatewayStatus) -> tuple[LiveReplicaStatus, ...]:
    """By pod; beyond the bound those that lag behind are kept."""
    if seen.replicas is None or seen.table is None:
        return old.live_replicas
    table = seen.table
    by_need = sorted(seen.replicas, key=lambda each: (each.generation >= table.generation, each.pod))
    return tuple(_live_replica(each, table) for each in sorted(by_need[:_MOST_REPLICAS], key=lambda each: each.pod))


def _live_replica(replica: GatewayReplica, table: PublishedTable) -> LiveReplicaStatus:
    lags = replica.generation < table.generation
    has_keys = not table.credential_version or replica.credential_version == table.credential_version
    return LiveReplicaStatus(
        pod=replica.pod,
        state=replica.state or None,
        generation=replica.generation if lags else None,
        credential_version=None if has_keys else replica.credential_version,
    )
