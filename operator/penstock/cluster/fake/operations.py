"""What a request does to the objects: create, replace, patch, apply, delete, scale; the rules of the real API server."""

import json
import random
import string
import uuid
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from penstock.cluster.fake import schema as structural
from penstock.cluster.fake.answers import Answer, already_exists, conflict, invalid, not_found
from penstock.cluster.fake.apply import Applying, record_update, server_side_apply
from penstock.cluster.fake.built_in import complete, generation_relevant
from penstock.cluster.fake.garbage import Collector
from penstock.cluster.fake.lists import shape_of
from penstock.cluster.fake.registry import KindInfo, Registry
from penstock.cluster.fake.storage import Storage

__all__ = ["Operations", "Options", "now"]

Object = dict[str, Any]

_LARGEST_OBJECT = 1_500_000
_SERVER_METADATA = ("uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp", "managedFields")
_CLUSTER_KINDS = {("", "namespaces"), ("apiextensions.k8s.io", "customresourcedefinitions")}


@dataclass(frozen=True, slots=True)
class Options:
    """What the query says of a write."""

    manager: str = "unknown"
    force: bool = False
    dry_run: bool = False
    strict: bool = False
    subresource: str = ""


def now() -> str:
    """The time as the API server writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Operations:
    """Checks and commits."""

    def __init__(self, storage: Storage, registry: Registry) -> None:
        self._storage = storage
        self._registry = registry
        self._collector = Collector(storage)

    def find(self, info: KindInfo, namespace: str, name: str) -> Object:
        """The object; 404."""
        live = self._storage.table(info.key).get((namespace, name))
        if live is None:
            raise not_found(info.plural, info.group, name)
        return live

    def create(self, info: KindInfo, namespace: str, manifest: Object, options: Options) -> Object:
        """A new object, with all that the server adds."""
        manifest = self._admitted(info, namespace, manifest, options)
        name = self._named(info, manifest)
        if (namespace, name) in self._storage.table(info.key):
            raise already_exists(info.plural, info.group, name)
        self._need_namespace(info, namespace)
        made = self._fresh(info, namespace, name, manifest)
        recorded = record_update(
            {"metadata": {}}, made, shape_of(info.kind, info.schema), self._applying(info, options)
        )
        return self._commit(info, recorded, options)

    def replace(self, info: KindInfo, namespace: str, name: str, manifest: Object, options: Options) -> Object:
        """The whole object or its status."""
        live = self.find(info, namespace, name)
        _check_version(info, live, manifest)
        manifest = self._admitted(info, namespace, manifest, options)
        return self._update(info, live, self._confined(info, live, manifest, options.subresource), options)

    def patch(self, info: KindInfo, namespace: str, name: str, after: Object, options: Options) -> Object:
        """What a merge or JSON patch made of the live object."""
        live = self.find(info, namespace, name)
        _check_version(info, live, after)
        after = self._admitted(info, namespace, after, options)
        return self._update(info, live, self._confined(info, live, after, options.subresource), options)

    def apply(self, info: KindInfo, namespace: str, name: str, manifest: Object, options: Options) -> Object:
        """Server-side apply; creates what is not there."""
        shape, applying = shape_of(info.kind, info.schema), self._applying(info, options)
        manifest = self._checked_apply(info, name, manifest, options)
        live = self._storage.table(info.key).get((namespace, name))
        if live is None:
            return self._apply_new(info, namespace, name, manifest, options)
        _check_version(info, live, manifest)
        if manifest.get("metadata", {}).get("uid", live["metadata"]["uid"]) != live["metadata"]["uid"]:
            raise conflict(info.plural, name, "the uid in the precondition does not match")
        after = server_side_apply(live, self._narrow(info, manifest, options.subresource), shape, applying)
        if after is live:
            return live
        after = self._admitted(info, namespace, after, options)
        return self._update(info, live, self._confined(info, live, after, options.subresource), options, applied=True)

    def delete(self, info: KindInfo, namespace: str, name: str, body: Object, *, dry_run: bool) -> Object:
        """Delete, or begin to where finalizers or the grace of a pod say so."""
        live = self.find(info, namespace, name)
        _check_preconditions(info, live, body.get("preconditions") or {})
        if dry_run:
            return live
        propagation = body.get("propagationPolicy") or "Background"
        grace = body.get("gracePeriodSeconds")
        return self._collector.delete(info.key, live, propagation=propagation, grace=grace, time=now())

    def _apply_new(self, info: KindInfo, namespace: str, name: str, manifest: Object, options: Options) -> Object:
        if options.subresource:
            raise not_found(info.plural, info.group, name)
        if manifest.get("metadata", {}).get("uid"):
            raise conflict(info.plural, name, "the uid in the precondition does not match")
        self._need_namespace(info, namespace)
        admitted = self._admitted(info, namespace, manifest, options)
        made = self._fresh(info, namespace, name, admitted)
        empty: Object = {"metadata": {}}
        managed = server_side_apply(
            empty, self._narrow(info, manifest, ""), shape_of(info.kind, info.schema), self._applying(info, options)
        )
        made["metadata"]["managedFields"] = managed["metadata"]["managedFields"]
        return self._commit(info, made, options)

    def _checked_apply(self, info: KindInfo, name: str, manifest: Object, options: Options) -> Object:
        stated = manifest.get("metadata", {}).get("name", name)
        if stated != name:
            raise Answer(400, "BadRequest", f"name in URL ({name}) does not match name in object ({stated})")
        if manifest.get("metadata", {}).get("managedFields"):
            raise Answer(400, "BadRequest", "metadata.managedFields must be nil")
        if options.strict and info.schema is not None:
            _refuse_unknown(manifest, info.schema)
        return structural.pruned(manifest, info.schema) if info.schema else manifest

    def _narrow(self, info: KindInfo, manifest: Object, subresource: str) -> Object:
        """The part of an applied manifest that the request is about."""
        if subresource == "status":
            return {key: manifest[key] for key in ("status",) if key in manifest}
        if info.status:
            return {key: value for key, value in manifest.items() if key != "status"}
        return manifest

    def _update(
        self, info: KindInfo, live: Object, after: Object, options: Options, *, applied: bool = False
    ) -> Object:
        if not applied:
            after = record_update(live, after, shape_of(info.kind, info.schema), self._applying(info, options))
        if _same(live, after):
            return live
        if generation_relevant(info, live, after):
            after = {
                **after,
                "metadata": {**after["metadata"], "generation": live["metadata"].get("generation", 1) + 1},
            }
        committed = self._commit(info, after, options)
        if not options.dry_run and "deletionTimestamp" in committed["metadata"]:
            return self._collector.finish(info.key, committed)
        return committed

    def _commit(self, info: KindInfo, live: Object, options: Options) -> Object:
        if len(json.dumps(live)) > _LARGEST_OBJECT:
            raise Answer(413, "RequestEntityTooLarge", "etcdserver: request is too large")
        return live if options.dry_run else self._storage.write(info.key, live)

    def _confined(self, info: KindInfo, live: Object, after: Object, subresource: str) -> Object:
        """A status request changes the status only, an ordinary one everything else; identity never changes."""
        own = {
            key: live["metadata"][key] for key in _SERVER_METADATA if key in live["metadata"] and key != "managedFields"
        }
        if subresource == "status":
            managed = {"managedFields": after["metadata"].get("managedFields", [])}
            metadata = {**live["metadata"], **({} if not managed["managedFields"] else managed)}
            return {**live, "metadata": metadata, **({"status": after["status"]} if "status" in after else {})}
        metadata = {key: value for key, value in after["metadata"].items() if key not in own}
        confined = {**after, "metadata": {**metadata, **own, "name": live["metadata"]["name"]}}
        if info.namespaced:
            confined["metadata"]["namespace"] = live["metadata"]["namespace"]
        if info.status:
            confined.pop("status", None)
            if "status" in live:
                confined["status"] = live["status"]
        return complete(info, confined)

    def _admitted(self, info: KindInfo, namespace: str, manifest: Object, options: Options) -> Object:
        stated = manifest.get("metadata", {}).get("namespace", namespace)
        if info.namespaced and stated != namespace:
            message = (
                f"the namespace of the provided object does not match the namespace sent on the request ({namespace})"
            )
            raise Answer(400, "BadRequest", message)
        if info.schema is None:
            return manifest
        if options.strict:
            _refuse_unknown(manifest, info.schema)
        admitted: Object = structural.defaulted(structural.pruned(manifest, info.schema), info.schema)
        found = structural.problems(_body(admitted), _body_schema(info.schema))
        if found:
            raise invalid(info.kind, manifest.get("metadata", {}).get("name", ""), found)
        return admitted

    def _named(self, info: KindInfo, manifest: Object) -> str:
        metadata = manifest.get("metadata", {})
        if metadata.get("name"):
            return str(metadata["name"])
        if metadata.get("generateName"):
            suffix = "".join(random.choices(string.ascii_lowercase + string.digits, k=5))  # noqa: S311 - a name, no secret
            return f"{metadata['generateName']}{suffix}"
        raise invalid(info.kind, "", [("metadata.name", "Required value: name or generateName is required")])

    def _need_namespace(self, info: KindInfo, namespace: str) -> None:
        if not info.namespaced:
            return
        found = self._storage.table(("", "namespaces")).get(("", namespace))
        if found is None:
            raise not_found("namespaces", "", namespace)
        if "deletionTimestamp" in found["metadata"]:
            message = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise Answer(403, "Forbidden", message)

    def _fresh(self, info: KindInfo, namespace: str, name: str, manifest: Object) -> Object:
        metadata = {key: value for key, value in manifest.get("metadata", {}).items() if key not in _SERVER_METADATA}
        metadata |= {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
        if info.namespaced:
            metadata["namespace"] = namespace
        made = {**deepcopy(manifest), "apiVersion": info.api_version, "kind": info.kind, "metadata": metadata}
        if info.status and info.key not in {("", "nodes"), ("", "pods")}:
            made.pop("status", None)
        return complete(info, made)

    def _applying(self, info: KindInfo, options: Options) -> Applying:
        return Applying(options.manager, options.force, options.subresource, info.api_version, now())


def _body(live: Object) -> Object:
    return {key: value for key, value in live.items() if key not in {"apiVersion", "kind", "metadata"}}


def _body_schema(schema: Object) -> Object:
    required = [key for key in schema.get("required", ()) if key not in {"apiVersion", "kind", "metadata"}]
    return {**schema, "required": required}


def _refuse_unknown(manifest: Object, schema: Object) -> None:
    unknown = structural.unknown_fields(manifest, schema)
    if unknown:
        words = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise Answer(400, "BadRequest", f"strict decoding error: {words}")


def _check_version(info: KindInfo, live: Object, manifest: Object) -> None:
    stated = manifest.get("metadata", {}).get("resourceVersion")
    if stated and stated != live["metadata"]["resourceVersion"]:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise conflict(info.plural, live["metadata"]["name"], why)


def _check_preconditions(info: KindInfo, live: Object, wanted: Object) -> None:
    for field, key in (("uid", "uid"), ("resourceVersion", "resourceVersion")):
        if wanted.get(field) and wanted[field] != live["metadata"][key]:
            why = f"Precondition failed: {field} in precondition: {wanted[field]}, in object meta: {live['metadata'][key]}"
            raise conflict(info.plural, live["metadata"]["name"], why)


def _same(live: Object, after: Object) -> bool:
    """True where nothing but the time of `managedFields` differs."""
    return _timeless(live) == _timeless(after)


def _timeless(live: Object) -> Object:
    metadata = dict(live["metadata"])
    entries = metadata.pop("managedFields", None) or ()
    timeless = [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
    return {**live, "metadata": metadata, "managed": timeless}
