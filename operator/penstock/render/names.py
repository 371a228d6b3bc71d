"""Names and labels of what is made for a ModelDeployment; and who owns a child, whatever its parent's kind."""

import hashlib
import json
from typing import Any

from penstock.api.meta import GROUP, VERSION, Resource
from penstock.api.modeldeployment import ModelDeployment
from penstock.planner.plan import Plan

__all__ = [
    "DEPLOYMENT_LABEL",
    "ENGINE_CONTAINER",
    "HTTP_PORT",
    "REVISION_LABEL",
    "ROLE_LABEL",
    "SPEC_DIGEST_ANNOTATION",
    "child_metadata",
    "labels_of",
    "pod_selector",
    "revision_digest",
]

DEPLOYMENT_LABEL = f"{GROUP}/deployment"
REVISION_LABEL = f"{GROUP}/revision"
ROLE_LABEL = f"{GROUP}/role"
SPEC_DIGEST_ANNOTATION = f"{GROUP}/spec-digest"
ENGINE_CONTAINER = "engine"
HTTP_PORT = "http"

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_NAME_LENGTH = 8


def revision_digest(content: Any) -> str:
    """Eight lower-case characters without vowels, from a hash of what was rendered."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    characters = []
    for _ in range(_NAME_LENGTH):
        number, rest = divmod(number, len(_LETTERS))
        characters.append(_LETTERS[rest])
    return "".join(characters)


def labels_of(deployment: ModelDeployment, plan: Plan | None = None, revision: str = "") -> dict[str, str]:
    """The labels of every child; those of one revision carry its name and engine."""
    labels = {
        "app.kubernetes.io/managed-by": "penstock",
        "app.kubernetes.io/instance": deployment.metadata.name,
        DEPLOYMENT_LABEL: deployment.metadata.name,
    }
    if plan is not None:
        labels["app.kubernetes.io/name"] = plan.engine.lower()
    if revision:
        labels[REVISION_LABEL] = revision
    return labels


def pod_selector(deployment: ModelDeployment, revision: str) -> dict[str, str]:
    """What selects the pods of one revision."""
    return {DEPLOYMENT_LABEL: deployment.metadata.name, REVISION_LABEL: revision}


def child_metadata(parent: Resource, name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Name, namespace, labels, and the parent as controller."""
    owner = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": parent.kind_name,
        "name": parent.metadata.name,
        "uid": parent.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": parent.metadata.namespace or "default",
        "labels": labels,
        "ownerReferences": [owner],
    }
