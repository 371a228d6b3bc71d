"""How objects are shown: lists, metadata alone, tables for kubectl."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

from penstock.cluster.fake.paging import Page
from penstock.cluster.fake.registry import KindInfo
from penstock.cluster.fake.storage import Object

__all__ = ["View", "listed", "partial", "table", "view_of"]

_FILTER = re.compile(r"^(?P<name>[^\[]+)\[\?\(@\.(?P<key>\w+)==['\"](?P<value>[^'\"]+)['\"]\)\]$")
_META = "meta.k8s.io/v1"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class View(Enum):
    """What a client takes."""

    WHOLE = auto()
    METADATA = auto()
    TABLE = auto()


def view_of(accept: str) -> View:
    """The first that we can do of what a client accepts."""
    for offer in accept.split(","):
        if "as=Table" in offer:
            return View.TABLE
        if "as=PartialObjectMetadata" in offer:
            return View.METADATA
        if offer.split(";")[0].strip() in {"application/json", "*/*"}:
            return View.WHOLE
    return View.WHOLE


def partial(live: Object) -> Object:
    """The metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": live["metadata"]}


def listed(info: KindInfo, page: Page, view: View) -> Object:
    """A list or a page of it."""
    metadata: Object = {"resourceVersion": str(page.version)}
    if page.token:
        metadata |= {"continue": page.token, "remainingItemCount": page.remaining}
    match view:
        case View.TABLE:
            return table(info, page.items, metadata)
        case View.METADATA:
            items = [partial(live) for live in page.items]
            return {"kind": "PartialObjectMetadataList", "apiVersion": _META, "metadata": metadata, "items": items}
        case View.WHOLE:
            kind = f"{info.kind}List"
            return {"kind": kind, "apiVersion": info.api_version, "metadata": metadata, "items": list(page.items)}


def table(info: KindInfo, items: Sequence[Object], metadata: Object) -> Object:
    """What `kubectl get` shows: a CRD's own columns, or the age of anything else."""
    columns = info.columns or ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},)
    now = datetime.now(UTC)
    return {
        "kind": "Table",
        "apiVersion": _META,
        "metadata": metadata,
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
            *(_definition(column) for column in columns),
        ],
        "rows": [_row(item, columns, now) for item in items],
    }


def _definition(column: Object) -> Object:
    return {
        "name": column["name"],
        "type": column["type"],
        "format": "",
        "description": column.get("description", ""),
        "priority": column.get("priority", 0),
    }


def _row(item: Object, columns: Sequence[Object], now: datetime) -> Object:
    cells = [item["metadata"]["name"], *(_cell(item, column, now) for column in columns)]
    return {"cells": cells, "object": partial(item)}


def _cell(item: Object, column: Object, now: datetime) -> Any:
    value = _at(item, column["jsonPath"])
    if column["type"] == "date" and isinstance(value, str):
        return _age(now - datetime.fromisoformat(value))
    return value


def _at(value: Any, path: str) -> Any:
    """Dots and one form of filter: what printer columns use."""
    for part in re.findall(r"[^.\[]+(?:\[\?\(@\.[^)]*\)\])?", path.lstrip(".")):
        found = _FILTER.match(part)
        if found:
            items = value.get(found["name"]) if isinstance(value, dict) else None
            value = next((item for item in items or () if item.get(found["key"]) == found["value"]), None)
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _age(since: timedelta) -> str:
    seconds = max(int(since.total_seconds()), 0)
    for unit, length in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
