"""Revisions as they are kept: what a ControllerRevision pins, without the manifests themselves.

The digests of the manifests are pinned beside them: a restart compares thousands of children without hashing a
manifest.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.cluster.owned import DIGEST_SCHEME, manifest_digest
from penstock.planner.plan import Assignment
from penstock.render.names import REVISION_LABEL, SPEC_DIGEST_ANNOTATION
from penstock.render.revisions import PinnedRevision, decode

__all__ = [
    "ChildName",
    "RevisionRecord",
    "child_name",
    "newest",
    "next_number",
    "pinned",
    "slim_revision",
    "unscaled",
    "with_digests",
]

_log = logging.getLogger(__name__)

ChildName = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """One ControllerRevision; `digests` are of its children as pinned, a Deployment's without `replicas`."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    revision: str
    number: int
    spec_digest: str
    assignment: Assignment
    digests: Mapping[ChildName, str]


def slim_revision(live: dict[str, Any]) -> RevisionRecord | None:
    """Keep the assignment and the digests; the manifests stay in the cluster until something differs.

    None where somebody else wrote what cannot be read; it is left alone.
    """
    metadata = live["metadata"]
    try:
        kept = pinned(live)
    except ValueError as error:
        _log.warning("ControllerRevision %s/%s: %s", metadata.get("namespace"), metadata["name"], error)
        return None
    owners = metadata.get("ownerReferences") or ()
    return RevisionRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        owner_uid=next((owner["uid"] for owner in owners if owner.get("controller")), ""),
        revision=(metadata.get("labels") or {}).get(REVISION_LABEL, ""),
        number=live.get("revision", 0),
        spec_digest=(metadata.get("annotations") or {}).get(SPEC_DIGEST_ANNOTATION, ""),
        assignment=kept.assignment,
        digests=_pinned_digests(live["data"]) or _digests(kept.manifests),
    )


def with_digests(manifest: dict[str, Any]) -> dict[str, Any]:
    """A rendered ControllerRevision, with the digests of the manifests that it pins."""
    children = {"/".join(child): digest for child, digest in _digests(manifest["data"]["manifests"]).items()}
    return {**manifest, "data": {**manifest["data"], "digests": {"scheme": DIGEST_SCHEME, "children": children}}}


def _digests(manifests: Iterable[dict[str, Any]]) -> dict[ChildName, str]:
    return {child_name(manifest): manifest_digest(unscaled(manifest)) for manifest in manifests}


def _pinned_digests(data: Mapping[str, Any]) -> dict[ChildName, str]:
    """Empty where another scheme made them, or nobody did."""
    known = data.get("digests") or {}
    if known.get("scheme") != DIGEST_SCHEME:
        return {}
    return {_child(name): digest for name, digest in known["children"].items()}


def _child(name: str) -> ChildName:
    kind, _, rest = name.partition("/")
    return kind, rest


def pinned(live: dict[str, Any]) -> PinnedRevision:
    """The manifests and the assignment that a live ControllerRevision pins."""
    return decode(live["data"])


def child_name(manifest: dict[str, Any]) -> ChildName:
    """Kind and name of a manifest."""
    return manifest["kind"], manifest["metadata"]["name"]


def unscaled(manifest: dict[str, Any]) -> dict[str, Any]:
    """A Deployment without `replicas`; anything else as it is."""
    if manifest["kind"] != "Deployment" or "replicas" not in manifest["spec"]:
        return manifest
    return {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != "replicas"}}


def newest(records: Iterable[RevisionRecord]) -> RevisionRecord | None:
    """The last one made."""
    return max(records, key=lambda record: (record.number, record.name), default=None)


def next_number(records: Sequence[RevisionRecord]) -> int:
    """One more than the highest."""
    return max((record.number for record in records), default=0) + 1
