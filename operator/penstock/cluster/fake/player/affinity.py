"""Where a pod may and would like to run: node selectors, node affinity, taints; pure."""

from collections.abc import Iterable, Mapping

from penstock.cluster.fake.player.objects import Object, name_of

__all__ = ["admits", "preference", "repelled_by", "tolerates"]

_SCHEDULING_EFFECTS = frozenset({"NoSchedule", "NoExecute"})


def admits(pod: Object, node: Object) -> bool:
    """Whether the pod's node selector and required affinity allow the node."""
    labels = _labels(node)
    selector: Mapping[str, str] = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = _node_affinity(pod).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_matches(term, node) for term in required["nodeSelectorTerms"])


def preference(pod: Object, node: Object) -> int:
    """The weights of the preferences that the node meets, added up."""
    preferred: Iterable[Object] = _node_affinity(pod).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(each["weight"] for each in preferred if _matches(each["preference"], node))


def repelled_by(pod: Object, node: Object) -> Object | None:
    """The first taint that keeps the pod away, None where there is none."""
    taints: Iterable[Object] = node.get("spec", {}).get("taints") or ()
    return next(
        (taint for taint in taints if taint["effect"] in _SCHEDULING_EFFECTS and not tolerates(pod, taint)), None
    )


def tolerates(pod: Object, taint: Object) -> bool:
    """Whether one of the pod's tolerations covers the taint."""
    tolerations: Iterable[Object] = pod["spec"].get("tolerations") or ()
    return any(_covers(toleration, taint) for toleration in tolerations)


def _covers(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    key = toleration.get("key", "")
    if toleration.get("operator") == "Exists":
        return key in {"", taint["key"]}
    return bool(key == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def _labels(node: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    return labels


def _node_affinity(pod: Object) -> Object:
    affinity: Object = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    return affinity


def _matches(term: Object, node: Object) -> bool:
    """A term matches where all of it does; an empty one matches nothing."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_holds(each, _labels(node)) for each in expressions) and all(
        _holds(each, {"metadata.name": name_of(node)}) for each in fields
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    found = labels.get(key)
    match expression["operator"]:
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
        case "Gt":
            return found is not None and found.isdecimal() and int(found) > int(values[0])
        case _:
            return found is not None and found.isdecimal() and int(found) < int(values[0])
