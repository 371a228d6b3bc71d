"""What comes over the wire, read: objects, pages of a list, lines of a watch.

Whatever cannot be read is `Unavailable`, never a KeyError somewhere later; nothing here sends anything.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from penstock.cluster.errors import Unavailable, error_of
from penstock.cluster.resources import ResourceType

__all__ = ["Object", "Page", "PatchType", "WatchEvent", "read_event", "read_object", "read_page", "retry_after"]

Object = dict[str, Any]

_SERVER_ERROR = 500
_EXCERPT_LENGTH = 100


class PatchType(StrEnum):
    """The kinds of patch, by their content type."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `continue_token` is empty on the last one."""

    items: tuple[Object, ...]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""

    type: str
    object: Object


def read_object(body: bytes, what: str) -> Object:
    """A JSON object; Unavailable where it is none."""
    try:
        answer = orjson.loads(body)
    except ValueError as error:
        raise _unreadable(body, what) from error
    if not isinstance(answer, dict):
        raise _unreadable(body, what)
    return answer


def read_page(answer: Object, kind: ResourceType, what: str) -> Page:
    """A list's answer; items get the `apiVersion` and `kind` that lists leave out."""
    metadata, found = answer.get("metadata"), answer.get("items")
    if not isinstance(metadata, dict) or not all(_is_object(item) for item in found or ()):
        raise _unreadable(json.dumps(answer).encode(), what)
    typed = {"apiVersion": kind.api_version, "kind": kind.kind}
    items = tuple({**typed, **item} for item in found or ())
    return Page(items, str(metadata.get("resourceVersion") or ""), str(metadata.get("continue") or ""))


def read_event(line: bytes, what: str) -> WatchEvent:
    """A line of a watch; an ERROR event is raised as the error that it carries."""
    raw = read_object(line, what)
    kind, about = raw.get("type"), raw.get("object")
    if kind == "ERROR":
        status = about if isinstance(about, dict) else {}
        raise error_of(int(status.get("code") or _SERVER_ERROR), json.dumps(status).encode(), what)
    if not isinstance(kind, str) or not isinstance(about, dict) or not _is_event(kind, about):
        raise _unreadable(line, what)
    return WatchEvent(kind, about)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The Retry-After of an answer in seconds; None where there is none, or it is a date or nonsense."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _is_event(kind: str, about: Object) -> bool:
    if kind == "BOOKMARK":
        metadata = about.get("metadata")
        return isinstance(metadata, dict) and isinstance(metadata.get("resourceVersion"), str)
    return _is_object(about)


def _is_object(value: Any) -> bool:
    """True where a store could tell what it is."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    return isinstance(metadata, dict) and all(
        isinstance(metadata.get(name), str) for name in ("name", "uid", "resourceVersion")
    )


def _unreadable(body: bytes, what: str) -> Unavailable:
    excerpt = body[:_EXCERPT_LENGTH].decode(errors="replace")
    return Unavailable(f"{what}: an answer that cannot be read: {excerpt!r}")
