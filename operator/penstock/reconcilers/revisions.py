"""Revisions as they are kept: what a ControllerRevision pins, without the manifests themselves."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.cluster.owned import manifest_digest
from penstock.planner.plan import Assignment
from penstock.render.names import REVISION_LABEL, SPEC_DIGEST_ANNOTATION
from penstock.render.revisions import PinnedRevision, decode

__all__ = ["ChildName", "RevisionRecord", "child_name", "newest", "pinned", "slim_revision", "unscaled"]

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
        digests={child_name(manifest): manifest_digest(unscaled(manifest)) for manifest in kept.manifests},
    )


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
