"""What the server says of itself: version, groups, kinds, and as much of OpenAPI as kubectl asks for."""

from typing import Any

from penstock.cluster.fake.registry import KindInfo, Registry

__all__ = ["document"]

Object = dict[str, Any]

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+penstock-in-memory",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "memory",
}


def document(registry: Registry, parts: list[str]) -> Object | None:
    """The document at a path, None where it is not one of discovery's."""
    match parts:
        case ["version"]:
            found: Object | None = _VERSION
        case ["api"]:
            found = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = [_group(*each) for each in _groups(registry)]
            found = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["api", version]:
            found = _resources(registry, "", version)
        case ["apis", group]:
            of_that_name = [_group(*each) for each in _groups(registry) if each[0] == group]
            found = {"kind": "APIGroup", "apiVersion": "v1", **of_that_name[0]} if of_that_name else None
        case ["apis", group, version]:
            found = _resources(registry, group, version)
        case ["openapi", "v3", *rest]:
            found = _openapi(registry, rest)
        case _:
            found = None
    return found


def _groups(registry: Registry) -> list[tuple[str, str]]:
    return sorted({(info.group, info.version) for info in registry.all() if info.group})


def _group(name: str, version: str) -> Object:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _resources(registry: Registry, group: str, version: str) -> Object | None:
    kinds = _kinds(registry, group, version)
    if not kinds:
        return None
    resources = [entry for info in kinds for entry in _entries(info)]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}


def _kinds(registry: Registry, group: str, version: str) -> list[KindInfo]:
    return [info for info in registry.all() if (info.group, info.version) == (group, version)]


def _entries(info: KindInfo) -> list[Object]:
    common = {"namespaced": info.namespaced, "kind": info.kind}
    entry = {**common, "name": info.plural, "singularName": info.singular, "verbs": _VERBS}
    if info.short_names:
        entry["shortNames"] = list(info.short_names)
    if info.categories:
        entry["categories"] = list(info.categories)
    entries = [entry]
    part = {**common, "singularName": "", "verbs": ["get", "patch", "update"]}
    if info.status:
        entries.append({**part, "name": f"{info.plural}/status"})
    if info.scale is not None:
        scale = {"kind": "Scale", "group": "autoscaling", "version": "v1"}
        entries.append({**part, **scale, "name": f"{info.plural}/scale"})
    return entries


def _openapi(registry: Registry, rest: list[str]) -> Object | None:
    match rest:
        case []:
            places = {("api/v1" if not info.group else f"apis/{info.group}/{info.version}") for info in registry.all()}
            links = {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in sorted(places)}
            return {"paths": links}
        case ["api", version]:
            return _paths(registry, "", version)
        case ["apis", group, version]:
            return _paths(registry, group, version)
    return None


def _paths(registry: Registry, group: str, version: str) -> Object:
    """That writes take `fieldValidation`, and schemas of kinds; kubectl looks for no more."""
    paths: Object = {}
    for info in _kinds(registry, group, version):
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        place = f"{root}/namespaces/{{namespace}}/{info.plural}" if info.namespaced else f"{root}/{info.plural}"
        known = {"group": group, "version": version, "kind": info.kind}
        query = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
        operation = {"parameters": query, "x-kubernetes-group-version-kind": known, "responses": {}}
        paths[f"{place}/{{name}}"] = {"patch": operation}
        paths[place] = {"post": operation}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": paths}
