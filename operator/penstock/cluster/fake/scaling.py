"""The `scale` subresource: replicas in and out of the object that has them."""

from typing import Any

from penstock.cluster.fake.answers import Answer
from penstock.cluster.fake.patches import json_patch, merge_patch
from penstock.cluster.fake.registry import KindInfo

__all__ = ["scale_of", "scaled"]

Object = dict[str, Any]


def scale_of(info: KindInfo, live: Object) -> Object:
    """The Scale of an object; replicas that nobody stated cannot be told."""
    paths = info.scale or {}
    wanted = _at(live, paths["specReplicasPath"])
    if wanted is None:
        raise Answer(500, "InternalError", f"the spec replicas field {paths['specReplicasPath']!r} does not exist")
    metadata = live["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    selector = paths.get("labelSelectorPath")
    status: Object = {"replicas": _at(live, paths["statusReplicasPath"]) or 0}
    if selector and _at(live, selector):
        status["selector"] = _at(live, selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": wanted},
        "status": status,
    }


def scaled(info: KindInfo, live: Object, body: Any, patch_type: str) -> Object:
    """The object with the replicas that a Scale, or a patch of one, asks for."""
    current = scale_of(info, live)
    if patch_type == "application/json-patch+json":
        wanted = json_patch(current, body)
    elif patch_type:
        wanted = merge_patch(current, body)
    else:
        wanted = body
    stated = wanted.get("metadata", {}).get("resourceVersion")
    replicas = wanted["spec"].get("replicas", 0)
    *way, last = (info.scale or {})["specReplicasPath"].lstrip(".").split(".")
    after = _with(live, way, last, replicas)
    if stated:
        after = {**after, "metadata": {**after["metadata"], "resourceVersion": stated}}
    return after


def _at(value: Any, path: str) -> Any:
    for part in path.lstrip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _with(value: Object, way: list[str], last: str, replicas: int) -> Object:
    if not way:
        return {**value, last: replicas}
    return {**value, way[0]: _with(value.get(way[0]) or {}, way[1:], last, replicas)}
