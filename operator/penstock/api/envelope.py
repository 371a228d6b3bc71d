"""What surrounds a spec: apiVersion, kind and metadata, as the user wrote them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from penstock.api.kinds import KINDS_BY_NAME, Kind
from penstock.api.meta import API_VERSION, GROUP, ObjectMeta
from penstock.api.refusals import Refusal, Refused
from penstock.api.teaching import nearest, refusal_of, shown

__all__ = ["kind_of", "metadata_of", "unknown_outer_fields"]

_OUTER_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
_METADATA_FIELDS = (
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """The kind that the manifest names; Refused where it is none of ours."""
    refusals = [*_wrong_api_version(manifest), *_wrong_kind(manifest)]
    if refusals:
        raise Refused(refusals)
    return KINDS_BY_NAME[manifest["kind"]]


def _wrong_api_version(manifest: Mapping[str, Any]) -> Iterator[Refusal]:
    version = manifest.get("apiVersion")
    if version is None:
        yield Refusal("apiVersion", "", "is required", f"Add `apiVersion: {API_VERSION}`")
    elif version != API_VERSION:
        ours = isinstance(version, str) and version.startswith(f"{GROUP}/")
        reason = "is no version that Penstock serves" if ours else f"is not of the group {GROUP}"
        yield Refusal("apiVersion", shown(version), reason, f"Write `apiVersion: {API_VERSION}`")


def _wrong_kind(manifest: Mapping[str, Any]) -> Iterator[Refusal]:
    kind = manifest.get("kind")
    known = ", ".join(KINDS_BY_NAME)
    if kind is None:
        yield Refusal("kind", "", "is required", f"Add one of {known}")
    elif not isinstance(kind, str) or kind not in KINDS_BY_NAME:
        meant = nearest(shown(kind), KINDS_BY_NAME)
        yield Refusal(
            "kind", shown(kind), "is no kind of Penstock", f"Write '{meant}'" if meant else f"Write one of {known}"
        )


def unknown_outer_fields(manifest: Mapping[str, Any]) -> Iterator[Refusal]:
    """Fields beside `spec` and inside `metadata` that Kubernetes does not know."""
    yield from _unknown(manifest, _OUTER_FIELDS, "")
    metadata = manifest.get("metadata")
    if isinstance(metadata, dict):
        yield from _unknown(metadata, _METADATA_FIELDS, "metadata.")


def _unknown(fields: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> Iterator[Refusal]:
    for name in fields:
        if name not in known:
            meant = nearest(str(name), known)
            cure = f"Write `{meant}`" if meant else f"Move it below `spec`, or remove it; here are {', '.join(known)}"
            yield Refusal(f"{prefix}{name}", "", "is no field of a Kubernetes object", cure)


def metadata_of(manifest: Mapping[str, Any], kind: Kind) -> ObjectMeta:
    """The metadata; Refused where the name cannot serve."""
    given = manifest.get("metadata")
    if not isinstance(given, dict) or given.get("name") in (None, ""):
        raise Refused([Refusal("metadata.name", "", "is required", "Name the resource")])
    try:
        # Tools write `creationTimestamp: null`; an absent value is meant.
        metadata = ObjectMeta.model_validate({key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        raise Refused(refusal_of(detail, ObjectMeta, "metadata") for detail in error.errors()) from error
    refusals = [*_wrong_name(metadata.name, kind), *_wrong_namespace(metadata.namespace, kind)]
    if refusals:
        raise Refused(refusals)
    return metadata


def _wrong_name(name: str, kind: Kind) -> Iterator[Refusal]:
    if len(name) > kind.longest_name:
        reason = f"must have at most {kind.longest_name} characters, because what is made for it is named after it"
        yield Refusal("metadata.name", name, reason, f"Shorten it by {len(name) - kind.longest_name}")
    if not kind.name_pattern.matches(name):
        reason = f"must be {kind.name_pattern.words}"
        yield Refusal("metadata.name", name, reason, f"Write it as in '{kind.name_pattern.example}'")


def _wrong_namespace(namespace: str | None, kind: Kind) -> Iterator[Refusal]:
    if namespace and not kind.namespaced:
        reason = f"may not be given, because every {kind.name} belongs to the whole cluster"
        yield Refusal("metadata.namespace", namespace, reason, "Remove it")
