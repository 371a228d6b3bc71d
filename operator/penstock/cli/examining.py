"""Gathers what `penstock doctor` judges: objects, and the API server's word on rights."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
import yaml

from penstock import __version__
from penstock.access.names import SERVER_SECRET
from penstock.api.crd import crd_documents
from penstock.cli.reading import listing, read_view
from penstock.cluster.client import Client
from penstock.cluster.errors import Forbidden, NotFound
from penstock.cluster.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    LEASES,
    NAMESPACES,
    NODES,
    OWN_KINDS,
    PERSISTENT_VOLUME_CLAIMS,
    PRIORITY_CLASSES,
    SECRETS,
)
from penstock.errors import ClusterError
from penstock.operations.checks import Check, Facts, Needed, Reviewed
from penstock.operations.cluster_checks import (
    CLUSTER_CHECKS,
    DNS_NAMESPACE,
    DNS_SERVICE,
    ENDPOINT_SLICES,
    STORAGE_CLASSES,
)
from penstock.operations.install_checks import INSTALL_CHECKS
from penstock.operations.installation import operator_arguments
from penstock.operations.node_checks import NODE_CHECKS
from penstock.operations.rights import needed_rights
from penstock.operations.view import ClusterView, Gap, Listing

__all__ = ["CHECKS", "gather", "review"]

CHECKS: tuple[Check, ...] = (*CLUSTER_CHECKS, *INSTALL_CHECKS, *NODE_CHECKS)

_AT_ONCE = 8
_CREATED = 201
_REVIEWS = "/apis/authorization.k8s.io/v1"
_READ = (
    *OWN_KINDS,
    *(CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, NAMESPACES, NODES, PRIORITY_CLASSES, STORAGE_CLASSES),
)


class Asker(Protocol):
    """What is needed of the Kubernetes client."""

    async def raw(self, method: str, path: str, *, body: Any = None) -> tuple[int, bytes]:
        """Any request, its status unchecked."""
        ...


async def gather(client: Client, kubernetes: Mapping[str, Any], namespace: str) -> Facts:
    """All facts at one time; what may not be read is a gap."""
    view = await read_view(client, _READ)
    extra = {
        LEASES: await listing(client, LEASES, namespace),
        PERSISTENT_VOLUME_CLAIMS: await listing(client, PERSISTENT_VOLUME_CLAIMS, namespace),
        ENDPOINT_SLICES: await listing(
            client, ENDPOINT_SLICES, DNS_NAMESPACE, labels=f"kubernetes.io/service-name={DNS_SERVICE}"
        ),
        SECRETS: await _certificate(client, namespace),
    }
    return Facts(
        now=datetime.now(UTC),
        version=__version__,
        kubernetes=kubernetes,
        view=ClusterView({**view.listings, **extra}),
        namespace=namespace,
        definitions=_definitions(),
        reviewed=await review(client, needed_rights(namespace, operator_arguments(view, namespace))),
    )


async def review(client: Asker, rights: Iterable[Needed]) -> tuple[Reviewed, ...]:
    """Ask the API server about each right, a few at a time; None where it does not say."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(needed: Needed) -> Reviewed:
        async with gate:
            return Reviewed(needed, await _allowed(client, needed))

    return tuple(await asyncio.gather(*(ask(needed) for needed in rights)))


async def _allowed(client: Asker, needed: Needed) -> bool | None:
    kind = "SubjectAccessReview" if needed.account else "SelfSubjectAccessReview"
    resource, _, subresource = needed.resource.partition("/")
    about = {"verb": needed.verb, "group": needed.group, "resource": resource, "subresource": subresource}
    place = {"namespace": needed.namespace, "name": needed.name}
    spec: dict[str, Any] = {"resourceAttributes": {**about, **place}}
    if needed.account:
        account = needed.account.split(":")
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account[2]}", "system:authenticated"]
        spec |= {"user": needed.account, "groups": groups}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": spec}
    try:
        status, answer = await client.raw("POST", f"{_REVIEWS}/{kind.lower()}s", body=body)
        said = orjson.loads(answer)["status"]["allowed"] if status == _CREATED else None
    except (ClusterError, ValueError, KeyError, TypeError):
        return None
    return said if isinstance(said, bool) else None


async def _certificate(client: Client, namespace: str) -> Listing:
    """The one Secret whose certificate is looked at; of its data nothing else is read, and none is shown."""
    try:
        live = await client.get(SECRETS, SERVER_SECRET, namespace)
    except NotFound:
        return Listing()
    except Forbidden:
        return Listing(gap=Gap.FORBIDDEN, message=f"you may not get Secret {namespace}/{SERVER_SECRET}")
    except ClusterError as error:
        return Listing(gap=Gap.FAILED, message=str(error))
    public = {"tls.crt": (live.get("data") or {}).get("tls.crt", "")}
    return Listing(({**live, "data": public},))


def _definitions() -> dict[str, dict[str, Any]]:
    documents = (yaml.load(text, Loader=yaml.CSafeLoader) for text in crd_documents().values())
    return {document["metadata"]["name"]: document for document in documents}
