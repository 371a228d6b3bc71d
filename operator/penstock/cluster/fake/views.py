"""How answers look: lists, tables for kubectl, discovery documents."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from penstock.cluster.fake.registry import KindInfo, Registry

__all__ = ["api_groups", "api_resources", "listed", "openapi_index", "openapi_paths", "table"]

Object = dict[str, Any]

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_FILTER = re.compile(r"^(?P<name>[^\[]+)\[\?\(@\.(?P<key>\w+)==['\"](?P<value>[^'\"]+)['\"]\)\]$")


def listed(info: KindInfo, items: Sequence[Object], version: int, token: str, remaining: int) -> Object:
    """A list."""
    metadata: Object = {"resourceVersion": str(version)}
    if token:
        metadata |= {"continue": token, "remainingItemCount": remaining}
    return {"kind": f"{info.kind}List", "apiVersion": info.api_version, "metadata": metadata, "items": list(items)}


def table(info: KindInfo, items: Sequence[Object], version: int) -> Object:
    """What `kubectl get` shows."""
    columns = info.columns or ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},)
    definitions = [{"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}]
    definitions += [
        {
            "name": column["name"],
            "type": column["type"],
            "format": "",
            "description": column.get("description", ""),
            "priority": column.get("priority", 0),
        }
        for column in columns
    ]
    rows = [_row(item, columns) for item in items]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": str(version)},
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _row(item: Object, columns: Sequence[Object]) -> Object:
    cells = [item["metadata"]["name"], *(_cell(item, column) for column in columns)]
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
    return {"cells": cells, "object": partial}


def _cell(item: Object, column: Object) -> Any:
    value = _at(item, column["jsonPath"])
    if column["type"] == "date" and isinstance(value, str):
        return _age(datetime.fromisoformat(value))
    return value


def _at(value: Any, path: str) -> Any:
    """Dots and one filter form: what printer columns use."""
    for part in re.findall(r"[^.\[]+(?:\[\?\(@\.[^)]*\)\])?", path.lstrip(".")):
        found = _FILTER.match(part)
        if found:
            items = value.get(found["name"]) if isinstance(value, dict) else None
            value = next((item for item in items or () if item.get(found["key"]) == found["value"]), None)
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _age(since: datetime) -> str:
    seconds = int((datetime.now(UTC) - since).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


def api_groups(registry: Registry) -> Object:
    """`/apis`."""
    groups = sorted({(info.group, info.version) for info in registry.all() if info.group})
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
            }
            for group, version in groups
        ],
    }


def api_resources(registry: Registry, group: str, version: str) -> Object | None:
    """`/api/v1`, `/apis/GROUP/VERSION`; None where there is no such group."""
    kinds = [info for info in registry.all() if (info.group, info.version) == (group, version)]
    if not kinds:
        return None
    resources = [entry for info in kinds for entry in _resource_entries(info)]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}


def _resource_entries(info: KindInfo) -> list[Object]:
    common = {"singularName": info.singular, "namespaced": info.namespaced, "kind": info.kind}
    entry = {**common, "name": info.plural, "verbs": _VERBS}
    if info.short_names:
        entry["shortNames"] = list(info.short_names)
    if info.categories:
        entry["categories"] = list(info.categories)
    entries = [entry]
    if info.status:
        entries.append(
            {**common, "singularName": "", "name": f"{info.plural}/status", "verbs": ["get", "patch", "update"]}
        )
    if info.scale is not None:
        scale = {"kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get", "patch", "update"]}
        entries.append({**common, **scale, "singularName": "", "name": f"{info.plural}/scale"})
    return entries


def openapi_index(registry: Registry) -> Object:
    """`/openapi/v3`: where each group's document is."""
    places = {("api/v1" if not info.group else f"apis/{info.group}/{info.version}") for info in registry.all()}
    return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}?hash=1"} for place in sorted(places)}}


def openapi_paths(registry: Registry, group: str, version: str) -> Object:
    """As much of OpenAPI as kubectl asks for: that patches validate fields on the server."""
    paths: Object = {}
    for info in registry.all():
        if (info.group, info.version) == (group, version):
            root = f"/apis/{group}/{version}" if group else f"/api/{version}"
            place = f"{root}/namespaces/{{namespace}}/{info.plural}" if info.namespaced else f"{root}/{info.plural}"
            known = {"group": group, "version": version, "kind": info.kind}
            query = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
            operation = {"parameters": query, "x-kubernetes-group-version-kind": known, "responses": {}}
            paths[f"{place}/{{name}}"] = {"patch": operation}
            paths[place] = {"post": operation}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": paths}
