"""From the stores to what a routing table is made from; pure over the records."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from penstock.api.inferencegateway import InferenceGateway
from penstock.gateways.litellm import CLIENT_PORT, credential_file, gateway_name
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.endpoints import backend_of
from penstock.reconcilers.keys import Subject
from penstock.reconcilers.world import World
from penstock.routing.inputs import ConsumerInput, Credentials, Deployment, Gateway, Inputs, ProviderInput, RouteInput

__all__ = ["gather_inputs", "unread"]

AttachedT = TypeVar("AttachedT", RouteInput, ProviderInput, ConsumerInput)


def gather_inputs(world: World, custom: Custom[InferenceGateway]) -> Inputs:
    """Everything for that gateway's table, frozen; its spec can be read."""
    if custom.parsed is None:
        message = f"{custom.namespace}/{custom.name} has no spec that can be read"
        raise ValueError(message)
    return Inputs(
        gateway=Gateway(
            namespace=custom.namespace,
            name=custom.name,
            spec=custom.parsed.spec,
            created=custom.created,
            addresses=tuple(addresses_of(custom)),
        ),
        routes=_attached(world, world.routes, RouteInput),
        providers=_attached(world, world.providers, ProviderInput),
        consumers=tuple(
            replace(each, labels=record.labels)
            for record in world.consumers
            for each in _attached(world, (record,), ConsumerInput)
        ),
        deployments=tuple(_deployments(world)),
        keys=world.keys.digests(Subject.CONSUMER),
        credentials=Credentials(files=_files(world)),
        watched=world.scope.watched,
    )


def _deployments(world: World) -> Iterator[Deployment]:
    """Those that a Route refers to, with or without consent: looking at the others would cost and change nothing."""
    for place in _referred(world):
        record = world.deployments.get(*place)
        backend = None if record is None else backend_of(world, record)
        if backend is not None:
            yield backend


def _referred(world: World) -> set[tuple[str, str]]:
    return {
        (backend.deployment_ref.namespace or route.namespace, backend.deployment_ref.name)
        for route in world.routes
        if route.parsed is not None
        for rule in route.parsed.spec.rules
        for backend in (*rule.backends, *rule.fallback)
        if backend.deployment_ref is not None
    }


def _attached(world: World, records: Any, kind: type[AttachedT]) -> tuple[AttachedT, ...]:
    return tuple(
        kind(
            namespace=record.namespace,
            name=record.name,
            created=record.created,
            spec=record.parsed.spec,
            namespace_labels=_labels(world, record.namespace),
        )
        for record in records
        if record.parsed is not None and not record.deleting
    )


def _labels(world: World, namespace: str) -> Mapping[str, str]:
    record = world.namespaces.get("", namespace)
    return record.labels if record else {}


def _files(world: World) -> dict[str, str]:
    """The file of each provider whose key is there; which of them the gateway needs, its table says."""
    found = world.keys.digests(Subject.MODEL_PROVIDER)
    return {key: credential_file(*key.split("/", 1)) for key in found}


def unread(world: World, custom: Custom[InferenceGateway]) -> Iterator[str]:
    """Consumers and providers whose Secret nobody has looked at yet: a table without them would lock them out."""
    place = (custom.namespace, custom.name)
    for consumer in world.consumers:
        if consumer.parsed is None or consumer.deleting:
            continue
        reference = consumer.parsed.spec.gateway_ref
        if (reference.namespace or consumer.namespace, reference.name) == place and _unknown(
            world, Subject.CONSUMER, consumer
        ):
            yield f"Consumer {consumer.namespace}/{consumer.name}"
    for provider in world.providers:
        if provider.parsed is not None and not provider.deleting and _unknown(world, Subject.MODEL_PROVIDER, provider):
            yield f"ModelProvider {provider.namespace}/{provider.name}"


def _unknown(world: World, subject: Subject, record: Custom[Any]) -> bool:
    return world.keys.of(subject, (record.namespace, record.name)) is None


def addresses_of(custom: Custom[InferenceGateway]) -> Iterator[str]:
    """URLs under which the gateway's Service answers, in every spelling that the cluster's names have."""
    name = gateway_name(custom.name)
    for host in (
        name,
        f"{name}.{custom.namespace}",
        f"{name}.{custom.namespace}.svc",
        f"{name}.{custom.namespace}.svc.cluster.local",
    ):
        yield f"http://{host}:{CLIENT_PORT}"
