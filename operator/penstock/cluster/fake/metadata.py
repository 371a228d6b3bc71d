"""What every object's metadata must be like: names, labels, owners, finalizers; and which fields of it there are."""

import re
from typing import Any

from penstock.cluster.fake.answers import Blame, Cause

__all__ = ["SERVER_OWNED", "cleaned", "metadata_problems", "unknown_metadata", "update_problems"]

Object = dict[str, Any]

SERVER_OWNED = ("uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp", "managedFields")
"""Nobody but the server sets these; `deletionGracePeriodSeconds` goes with the mark of deletion."""

_KNOWN = frozenset(
    {
        *SERVER_OWNED,
        *("name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers"),
        *("deletionGracePeriodSeconds", "selfLink"),
    }
)
_LABEL_FORM = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_LABEL = re.compile(_LABEL_FORM)
_SUBDOMAIN = re.compile(rf"{_LABEL_FORM}(?:\.{_LABEL_FORM})*")
_KEY = re.compile(rf"(?:{_LABEL_FORM}(?:\.{_LABEL_FORM})*/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LONGEST_LABEL, _LONGEST_SUBDOMAIN = 63, 253
_LARGEST_ANNOTATIONS = 256 * 1024
_STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})
_OWNERS = "metadata.ownerReferences"
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid")


def unknown_metadata(manifest: Object) -> list[str]:
    """Paths of fields that metadata does not have."""
    return [f"metadata.{key}" for key in manifest.get("metadata") or {} if key not in _KNOWN]


def cleaned(metadata: Object) -> Object:
    """Without unknown fields, nulls and empty maps and lists, as the real server stores it."""
    return {key: value for key, value in metadata.items() if key in _KNOWN and value not in (None, {}, [], "")}


def metadata_problems(metadata: Object, *, label_name: bool) -> list[Cause]:
    """What is wrong with the metadata of an object that has got its name."""
    found = _name_problems(str(metadata["name"]), label_name=label_name)
    for key, value in (metadata.get("labels") or {}).items():
        found += _label_problems(key, value)
    annotations = metadata.get("annotations") or {}
    found += [_bad("metadata.annotations", key, "a qualified name") for key in annotations if not _KEY.fullmatch(key)]
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > _LARGEST_ANNOTATIONS:
        words = f"Too long: may not be more than {_LARGEST_ANNOTATIONS} bytes"
        found.append(Cause("metadata.annotations", words, Blame.TOO_LONG))
    return [*found, *_owner_problems(metadata), *_finalizer_problems(metadata)]


def update_problems(before: Object, after: Object) -> list[Cause]:
    """What a write may not change: the uid, and more finalizers on what is being deleted."""
    found = []
    if after.get("uid") not in {None, "", before["uid"]}:
        found.append(Cause("metadata.uid", f'Invalid value: "{after["uid"]}": field is immutable'))
    more = set(after.get("finalizers") or ()) - set(before.get("finalizers") or ())
    if more and "deletionTimestamp" in before:
        words = "Forbidden: no new finalizers can be added if the object is being deleted"
        found.append(Cause("metadata.finalizers", f"{words}, found new finalizers {sorted(more)}", Blame.FORBIDDEN))
    return found


def _name_problems(name: str, *, label_name: bool) -> list[Cause]:
    longest = _LONGEST_LABEL if label_name else _LONGEST_SUBDOMAIN
    form, words = (_LABEL, "an RFC 1123 label") if label_name else (_SUBDOMAIN, "a lowercase RFC 1123 subdomain")
    if len(name) > longest or not form.fullmatch(name):
        return [_bad("metadata.name", name, f"{words} of at most {longest} characters")]
    return []


def _label_problems(key: str, value: Any) -> list[Cause]:
    found = [] if _KEY.fullmatch(key) else [_bad("metadata.labels", key, "a qualified name")]
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        found.append(_bad("metadata.labels", value, "a label's value"))
    return found


def _owner_problems(metadata: Object) -> list[Cause]:
    found = []
    owners = metadata.get("ownerReferences") or []
    for owner in owners:
        missing = [field for field in _OWNER_FIELDS if not owner.get(field)]
        found += [Cause(f"{_OWNERS}.{field}", 'Invalid value: "": must not be empty') for field in missing]
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        found.append(Cause(_OWNERS, "Invalid value: only one reference can have Controller set"))
    return found


def _finalizer_problems(metadata: Object) -> list[Cause]:
    """Of a domain, but for those that Kubernetes itself uses."""
    return [
        _bad(f"metadata.finalizers[{number}]", name, "a standard finalizer's or a fully qualified name")
        for number, name in enumerate(metadata.get("finalizers") or ())
        if name not in _STANDARD_FINALIZERS and ("/" not in str(name) or not _KEY.fullmatch(str(name)))
    ]


def _bad(field: str, value: Any, wanted: str) -> Cause:
    return Cause(field, f'Invalid value: "{value}": must be {wanted}')
