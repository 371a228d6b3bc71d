"""What a manifest must pass before it is looked at as a write: form, fields, names, schema. Nothing is decided here."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from penstock.cluster.fake import schema as structural
from penstock.cluster.fake.answers import Answer, bad_request, invalid
from penstock.cluster.fake.built_in import port_problems, refuse_crd, size_problems
from penstock.cluster.fake.metadata import cleaned, metadata_problems, unknown_metadata
from penstock.cluster.fake.registry import KindInfo
from penstock.cluster.fake.storage import Object
from penstock.cluster.fake.traits import traits_of
from penstock.cluster.fake.validation import problems

__all__ = ["Options", "Strictness", "addressed", "admitted", "known_only", "typed", "validated"]

_COMMON = frozenset({"apiVersion", "kind", "metadata", "status"})
_NOT_VALIDATED = frozenset({"apiVersion", "kind", "metadata"})


class Strictness(StrEnum):
    """What is done about unknown fields; a warning is not sent."""

    IGNORE = "Ignore"
    WARN = "Warn"
    STRICT = "Strict"


@dataclass(frozen=True, slots=True)
class Options:
    """What the query says of a write."""

    manager: str = "unknown"
    force: bool = False
    dry_run: bool = False
    strictness: Strictness = Strictness.WARN
    subresource: str = ""


def addressed(info: KindInfo, namespace: str, name: str, manifest: Any) -> Object:
    """The manifest, where it is about what the path names; 400. An empty name is not compared."""
    if not isinstance(manifest, dict):
        message = f"the object provided is unrecognized (must be of type {info.kind})"
        raise bad_request(message)
    _check_kind(info, manifest)
    metadata = manifest.get("metadata") or {}
    if not isinstance(metadata, dict):
        message = "metadata must be an object"
        raise bad_request(message)
    stated = metadata.get("name") or name
    if name and stated != name:
        message = f"the name of the object ({stated}) does not match the name on the URL ({name})"
        raise bad_request(message)
    if info.namespaced and (metadata.get("namespace") or namespace) != namespace:
        message = "the namespace of the provided object does not match the namespace sent on the request"
        raise bad_request(message)
    return {**manifest, "apiVersion": info.api_version, "kind": info.kind, "metadata": metadata}


def admitted(info: KindInfo, manifest: Object, options: Options, *, nulls: bool = False) -> Object:
    """Known fields only, defaults of the schema filled in, and valid but for the name; 400, 422.

    A null where there may be none counts as absent; with `nulls`, only one that has a default does.
    """
    known = known_only(info, manifest, options)
    if info.schema is None:
        refuse_crd(info, known)
        return known
    without: Object = structural.without_nulls(known, info.schema, only_defaulted=nulls)
    whole: Object = structural.defaulted(without, info.schema)
    body = {key: value for key, value in whole.items() if key not in _NOT_VALIDATED}
    found = list(problems(body, _body_schema(info.schema)))
    if found:
        raise invalid(info.kind, info.group, manifest["metadata"].get("name", ""), found)
    return whole


def known_only(info: KindInfo, manifest: Object, options: Options) -> Object:
    """Without unknown fields, or refused for them; of built-in kinds only metadata and the top level are looked at."""
    unknown = [*unknown_metadata(manifest), *_unknown(info, manifest)]
    if unknown and options.strictness is Strictness.STRICT:
        words = ", ".join(f'unknown field "{path}"' for path in unknown)
        about = (
            f"{info.kind} in version {info.version!r} cannot be handled as a {info.kind}: " if not info.custom else ""
        )
        message = f"{about}strict decoding error: {words}"
        raise bad_request(message)
    metadata = cleaned(manifest["metadata"])
    if info.schema is not None:
        return {**structural.pruned(manifest, info.schema), "metadata": metadata}
    return {**{key: value for key, value in manifest.items() if key not in unknown}, "metadata": metadata}


def typed(info: KindInfo, manifest: Object) -> Object:
    """The manifest of an apply, where every field is known; 500, as the real server has it, however strict."""
    unknown = [*unknown_metadata(manifest), *_unknown(info, manifest)]
    if unknown:
        metadata = manifest["metadata"]
        about = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {info.api_version}, Kind={info.kind}"
        words = f"failed to create typed patch object ({about}): .{unknown[0]}: field not declared in schema"
        raise Answer(500, "", words)
    return manifest


def validated(info: KindInfo, live: Object) -> Object:
    """The whole new state of an object, where its metadata and size are as they must be; 422."""
    metadata = live["metadata"]
    found = [
        *metadata_problems(metadata, label_name=traits_of(info).label_name),
        *size_problems(info, live),
        *port_problems(info, live),
    ]
    if found:
        raise invalid(info.kind, info.group, metadata["name"], found)
    return live


def _check_kind(info: KindInfo, manifest: Object) -> None:
    kind, version = manifest.get("kind") or info.kind, manifest.get("apiVersion") or info.api_version
    if (kind, version) != (info.kind, info.api_version):
        words = f"{kind} in version {version!r} cannot be handled as a {info.kind} of {info.api_version}"
        raise Answer(400, "BadRequest", words)


def _unknown(info: KindInfo, manifest: Object) -> list[str]:
    if info.schema is not None:
        return structural.unknown_fields(manifest, info.schema)
    fields = traits_of(info).fields
    return [] if fields is None else [key for key in manifest if key not in fields | _COMMON]


def _body_schema(schema: Object) -> Object:
    required = [key for key in schema.get("required") or () if key not in _NOT_VALIDATED]
    return {**schema, "required": required}
