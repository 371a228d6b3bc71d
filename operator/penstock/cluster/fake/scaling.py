"""The `scale` subresource: replicas in and out of the object that has them."""

from typing import Any

from penstock.cluster.fake.answers import Answer
from penstock.cluster.fake.registry import KindInfo
from penstock.cluster.fake.storage import Object

__all__ = ["scale_of", "scaled"]

_KEPT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(info: KindInfo, live: Object) -> Object:
    """The Scale of an object; replicas that nobody stated cannot be told."""
    paths = info.scale or {}
    wanted = _at(live, paths["specReplicasPath"])
    if wanted is None:
        raise Answer(500, "InternalError", f"the spec replicas field {paths['specReplicasPath']!r} does not exist")
    status: Object = {"replicas": _at(live, paths["statusReplicasPath"]) or 0}
    selector = _selector(info, live)
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: live["metadata"][key] for key in _KEPT if key in live["metadata"]},
        "spec": {"replicas": wanted},
        "status": status,
    }


def scaled(info: KindInfo, live: Object, wanted: Any) -> Object:
    """The object with the replicas, and the version, that a Scale asks for."""
    stated = wanted.get("metadata", {}).get("resourceVersion", "")
    *way, last = (info.scale or {})["specReplicasPath"].lstrip(".").split(".")
    after = _with(live, way, last, (wanted.get("spec") or {}).get("replicas", 0))
    return {**after, "metadata": {**after["metadata"], "resourceVersion": stated}}


def _selector(info: KindInfo, live: Object) -> str:
    """Where the CRD says, or the labels that a built-in kind selects by."""
    path = (info.scale or {}).get("labelSelectorPath")
    if path:
        return str(_at(live, path) or "")
    labels = _at(live, ".spec.selector.matchLabels") if not info.custom else None
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def _at(value: Any, path: str) -> Any:
    for part in path.lstrip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _with(value: Object, way: list[str], last: str, replicas: int) -> Object:
    if not way:
        return {**value, last: replicas}
    return {**value, way[0]: _with(value.get(way[0]) or {}, way[1:], last, replicas)}
