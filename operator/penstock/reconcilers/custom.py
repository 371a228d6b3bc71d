"""Our own resources as they are kept: parsed once, with the refusals where that failed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from penstock.api.inferencepool import InferencePool
from penstock.api.meta import Resource
from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from penstock.api.refusals import Refusal, Refused
from penstock.api.validation import parse

__all__ = ["Custom", "spec_digest", "wanted_replicas"]

R = TypeVar("R", bound=Resource)

_DIGEST_SIZE = 8
_EXCLUDED_FROM_DIGEST: dict[str, Any] = {
    "replicas": True,
    "scaling": True,
    "rollout": True,
    "max_sensitivity": True,
    "allowed_routes": True,
    "placement": {"fallback_after_seconds", "priority", "move_policy"},
}


@dataclass(frozen=True, slots=True)
class Custom(Generic[R]):
    """One of our resources: its parsed form, or the refusals; the status as the API server holds it."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    generation: int
    created: datetime
    deleting: bool
    parsed: R | None
    refusals: tuple[Refusal, ...]
    status: dict[str, Any]
    digest: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()

    @property
    def asks(self) -> tuple[object, ...]:
        """What users say, without what we write."""
        annotations = self.parsed.metadata.annotations if self.parsed else {}
        return self.uid, self.generation, self.deleting, self.labels, annotations

    @classmethod
    def of(cls, live: dict[str, Any], kind: type[R]) -> "Custom[R]":
        """Parse a live object; what the schema of an older version let through becomes refusals."""
        parsed, refusals = _parse(live, kind)
        metadata = live["metadata"]
        return cls(
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            resource_version=metadata.get("resourceVersion", ""),
            owner_uid="",
            generation=metadata.get("generation", 0),
            created=datetime.fromisoformat(metadata["creationTimestamp"]),
            deleting="deletionTimestamp" in metadata,
            parsed=parsed,
            refusals=refusals,
            # Server-side apply leaves an empty object where our last field of it went.
            status=_filled(live.get("status") or {}),
            digest=spec_digest(parsed.spec) if isinstance(parsed, ModelDeployment) else "",
            labels=metadata.get("labels") or {},
            finalizers=tuple(metadata.get("finalizers") or ()),
        )


def _filled(content: dict[str, Any]) -> dict[str, Any]:
    """Without the empty parts, which say no more than nothing."""
    return {name: value for name, value in content.items() if value is not None and value != {}}


def _parse(live: dict[str, Any], kind: type[R]) -> tuple[R | None, tuple[Refusal, ...]]:
    try:
        resource = parse({key: value for key, value in live.items() if key != "status"}, strict=False)
    except Refused as refused:
        return None, refused.refusals
    return (resource, ()) if isinstance(resource, kind) else (None, ())


def spec_digest(spec: ModelDeploymentSpec) -> str:
    """Digest what a revision is decided from: without what scales, and without defaults, which new releases add to."""
    content = spec.model_dump(mode="json", exclude_defaults=True, exclude=_EXCLUDED_FROM_DIGEST)
    # A part of which only excluded fields are set is dumped as an empty object.
    text = json.dumps(_filled(content), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_SIZE).hexdigest()


def wanted_replicas(spec: ModelDeploymentSpec) -> int:
    """`spec.replicas` within the bounds of `spec.scaling`; one where neither says."""
    low, high = (spec.scaling.min_replicas, spec.scaling.max_replicas) if spec.scaling else (0, 1000)
    wanted = max(1, low) if spec.replicas is None else spec.replicas
    return wanted if wanted == 0 else min(max(wanted, low), high)


AnyCustom = Custom[ModelDeployment] | Custom[InferencePool]
