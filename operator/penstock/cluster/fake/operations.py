"""What a request does to the objects: create, replace, patch, apply, delete; the rules of the real API server."""

import uuid
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

from penstock.cluster.fake.admission import Options, addressed, admitted, known_only, typed, validated
from penstock.cluster.fake.answers import Answer, Blame, Cause, already_exists, conflict, invalid, not_found
from penstock.cluster.fake.apply import Applying, record_update, server_side_apply
from penstock.cluster.fake.built_in import Addresses, complete, immutable_problems
from penstock.cluster.fake.fieldsets import duplicate_in
from penstock.cluster.fake.garbage import Collector, Deletion, is_dying, stamp
from penstock.cluster.fake.lists import shape_of
from penstock.cluster.fake.metadata import SERVER_OWNED, update_problems
from penstock.cluster.fake.registry import KindInfo
from penstock.cluster.fake.schema import defaulted
from penstock.cluster.fake.storage import Object, Storage
from penstock.cluster.fake.traits import traits_of

__all__ = ["Operations"]

_NOT_SPEC = frozenset({"metadata", "apiVersion", "kind"})
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_IDENTITY = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
_LASTING_NAMESPACES = frozenset({"default", "kube-system"})
_STATUS_AT_BIRTH = frozenset({"Node"})
_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Operations:
    """Checks and commits."""

    def __init__(self, storage: Storage, collector: Collector, *, now: Callable[[], datetime], random: Random) -> None:
        self._storage = storage
        self._collector = collector
        self._now = now
        self._random = random
        self._addresses = Addresses()

    def find(self, info: KindInfo, namespace: str, name: str) -> Object:
        """The object; 404."""
        live = self._storage.table(info.key).get((namespace, name))
        if live is None:
            raise not_found(info.plural, info.group, name)
        return live

    def create(self, info: KindInfo, namespace: str, manifest: Any, options: Options) -> Object:
        """A new object, with all that the server adds."""
        manifest = addressed(info, namespace, "", manifest)
        if manifest["metadata"].get("resourceVersion"):
            raise Answer(500, "", "resourceVersion should not be set on objects to be created")
        named = {**manifest, "metadata": {**manifest["metadata"], "name": self._named(info, manifest)}}
        made = self._born(info, namespace, admitted(info, named, options))
        if (namespace, made["metadata"]["name"]) in self._storage.table(info.key):
            raise already_exists(info.plural, info.group, made["metadata"]["name"])
        self._need_namespace(info, namespace)
        shape = shape_of(info.kind, info.schema)
        return self._commit(info, record_update({"metadata": {}}, made, shape, self._applying(info, options)), options)

    def replace(self, info: KindInfo, namespace: str, name: str, manifest: Any, options: Options) -> Object:
        """The whole object or its status."""
        manifest = addressed(info, namespace, name, manifest)
        live = self.find(info, namespace, name)
        if not manifest["metadata"].get("resourceVersion") and not traits_of(info).unconditional_update:
            words = "Invalid value: 0: must be specified for an update"
            raise invalid(info.plural, info.group, name, [Cause("metadata.resourceVersion", words)])
        stated = manifest["metadata"].get("uid") or live["metadata"]["uid"]
        if stated != live["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {stated}, UID in object meta: {live['metadata']['uid']}"
            raise conflict(info.plural, info.group, name, why)
        return self._change(info, live, manifest, options)

    def patch(self, info: KindInfo, namespace: str, name: str, after: Any, options: Options) -> Object:
        """What a merge or JSON patch made of the live object."""
        after = addressed(info, namespace, name, after)
        return self._change(info, self.find(info, namespace, name), after, options)

    def apply(self, info: KindInfo, namespace: str, name: str, manifest: Any, options: Options) -> tuple[Object, bool]:
        """Server-side apply; creates what is not there and says so."""
        manifest = addressed(info, namespace, name, manifest)
        manifest = {**manifest, "metadata": {**manifest["metadata"], "name": name}}
        if manifest["metadata"].get("managedFields"):
            raise Answer(400, "BadRequest", "metadata.managedFields must be nil")
        typed(info, manifest)
        shape, narrow = shape_of(info.kind, info.schema), self._narrow(info, manifest, options)
        if twice := duplicate_in(narrow, shape):
            raise Answer(500, "", f"failed to create typed patch object: {twice}")
        live = self._storage.table(info.key).get((namespace, name))
        if live is None:
            return self._apply_new(info, namespace, manifest, narrow, options), True
        _check_version(info, live, manifest)
        if manifest["metadata"].get("uid", live["metadata"]["uid"]) != live["metadata"]["uid"]:
            raise conflict(info.plural, info.group, name, f"uid mismatch: {manifest['metadata']['uid']} was specified")
        after = server_side_apply(live, narrow, shape, self._applying(info, options))
        if after is live:
            return live, False
        confined = self._confined(info, live, admitted(info, after, options, nulls=True), options.subresource)
        return self._update(info, live, confined, options), False

    def delete(
        self, info: KindInfo, namespace: str, name: str, deletion: Deletion, options: Options
    ) -> tuple[Object, bool]:
        """Delete it, or begin to; whether it is gone."""
        live = self.find(info, namespace, name)
        if info.kind == "Namespace" and name in _LASTING_NAMESPACES:
            message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise Answer(403, "Forbidden", message, details={"name": name, "kind": "namespaces"})
        return (live, True) if options.dry_run else self._collector.delete(info.key, live, deletion)

    def _apply_new(self, info: KindInfo, namespace: str, manifest: Object, narrow: Object, options: Options) -> Object:
        name = manifest["metadata"]["name"]
        if options.subresource:
            raise not_found(info.plural, info.group, name)
        if stated := manifest["metadata"].get("uid"):
            why = f"uid mismatch: the provided object specified uid {stated}, and no existing object was found"
            raise conflict(info.plural, info.group, name, why)
        made = self._born(info, namespace, admitted(info, manifest, options, nulls=True))
        self._need_namespace(info, namespace)
        shape = shape_of(info.kind, info.schema)
        managed = server_side_apply({"metadata": {}}, narrow, shape, self._applying(info, options))
        made["metadata"]["managedFields"] = managed["metadata"]["managedFields"]
        return self._commit(info, made, options)

    def _narrow(self, info: KindInfo, manifest: Object, options: Options) -> Object:
        """The part of an applied manifest that the request is about."""
        known = known_only(info, manifest, options)
        if options.subresource == "status":
            return {key: known[key] for key in ("status",) if key in known}
        return {key: value for key, value in known.items() if key != "status" or not info.status}

    def _change(self, info: KindInfo, live: Object, manifest: Object, options: Options) -> Object:
        _check_version(info, live, manifest)
        after = self._confined(info, live, admitted(info, manifest, options), options.subresource)
        if _forgets_managers(manifest):
            after["metadata"].pop("managedFields", None)
        else:
            after = record_update(live, after, shape_of(info.kind, info.schema), self._applying(info, options))
        return self._update(info, live, after, options)

    def _update(self, info: KindInfo, live: Object, after: Object, options: Options) -> Object:
        if found := [*update_problems(live["metadata"], after["metadata"]), *immutable_problems(info, live, after)]:
            raise invalid(info.kind, info.group, live["metadata"]["name"], found)
        if _timeless(live) == _timeless(after):
            return live
        if self._collector.ends(info.key, after):
            return live if options.dry_run else self._storage.delete(info.key, live)
        if traits_of(info).generation and _changes_spec(info, live, after):
            after["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
        return self._commit(info, after, options)

    def _commit(self, info: KindInfo, live: Object, options: Options) -> Object:
        validated(info, live)
        return live if options.dry_run else self._storage.write(info.key, live)

    def _confined(self, info: KindInfo, live: Object, after: Object, subresource: str) -> Object:
        """A status request changes the status only, an ordinary one everything else; identity never changes."""
        old, new = live["metadata"], after["metadata"]
        managed = {key: new[key] for key in ("managedFields",) if key in new}
        if subresource == "status":
            rest = {key: value for key, value in live.items() if key != "status"}
            status = {"status": after["status"]} if "status" in after else {}
            return {**rest, **status, "metadata": {**old, **managed}}
        metadata = {key: value for key, value in new.items() if key not in _IDENTITY or key == "uid"}
        metadata |= {key: old[key] for key in _IDENTITY if key in old and key not in metadata}
        metadata |= {"name": old["name"], **({"namespace": old["namespace"]} if info.namespaced else {})}
        confined = {**after, "metadata": metadata}
        if info.status:
            confined = {key: value for key, value in confined.items() if key != "status"}
            confined |= {"status": live["status"]} if "status" in live else {}
        return complete(info, confined, self._addresses)

    def _named(self, info: KindInfo, manifest: Object) -> str:
        metadata = manifest["metadata"]
        if metadata.get("name"):
            return str(metadata["name"])
        if metadata.get("generateName"):
            return str(metadata["generateName"]) + "".join(self._random.choices(_LETTERS, k=_SUFFIX_LENGTH))
        words = "Required value: name or generateName is required"
        raise invalid(info.kind, info.group, "", [Cause("metadata.name", words, Blame.REQUIRED)])

    def _need_namespace(self, info: KindInfo, namespace: str) -> None:
        if not info.namespaced:
            return
        found = self._storage.table(("", "namespaces")).get(("", namespace))
        if found is None:
            message = "namespaces"
            raise not_found(message, "", namespace)
        if is_dying(found):
            message = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise Answer(403, "Forbidden", message, details={"kind": info.plural})

    def _born(self, info: KindInfo, namespace: str, manifest: Object) -> Object:
        metadata = {key: value for key, value in manifest["metadata"].items() if key not in SERVER_OWNED}
        identity = uuid.UUID(int=self._random.getrandbits(128), version=4)
        metadata |= {"uid": str(identity), "creationTimestamp": stamp(self._now())}
        if traits_of(info).generation:
            metadata["generation"] = 1
        if info.namespaced:
            metadata["namespace"] = namespace
        made = {**manifest, "metadata": metadata}
        if info.status and info.kind not in _STATUS_AT_BIRTH:
            made.pop("status", None)
            # Whoever reads it sees the defaults all the same: the real one fills them in whenever it reads its store.
            made = defaulted(made, info.schema or {})
        return complete(info, made, self._addresses)

    def _applying(self, info: KindInfo, options: Options) -> Applying:
        return Applying(options.manager, options.force, options.subresource, info.api_version, stamp(self._now()))


def _check_version(info: KindInfo, live: Object, manifest: Object) -> None:
    stated = manifest["metadata"].get("resourceVersion")
    if stated and stated != live["metadata"]["resourceVersion"]:
        raise conflict(info.plural, info.group, live["metadata"]["name"], _MODIFIED)


def _forgets_managers(manifest: Object) -> bool:
    """An explicit empty list, or one of an empty entry, clears who owns what."""
    return manifest["metadata"].get("managedFields", None) in ([], [{}])


def _changes_spec(info: KindInfo, before: Object, after: Object) -> bool:
    """True where something other than metadata differs, and other than the status where that is apart."""
    ignored = _NOT_SPEC | {"status"} if info.status else _NOT_SPEC
    return any(before.get(key) != after.get(key) for key in {*before, *after} - ignored)


def _timeless(live: Object) -> Object:
    """All but the version, and the times at which managers last changed something."""
    metadata = {
        key: value for key, value in live["metadata"].items() if key not in {"managedFields", "resourceVersion"}
    }
    entries = live["metadata"].get("managedFields") or ()
    managed = [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
    return {**live, "metadata": metadata, "managed": managed}
