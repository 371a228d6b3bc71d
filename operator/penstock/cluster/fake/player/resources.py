"""What pods ask for and nodes have, as integers: CPU in thousandths, everything else in units or bytes."""

from collections.abc import Iterable, Mapping

from penstock.api.quantities import parse_bytes
from penstock.cluster.fake.player.objects import Object

__all__ = ["allocatable", "requests"]

_CPU = "cpu"
_PODS = "pods"
_THOUSAND = 1000


def requests(pod: Object) -> dict[str, int]:
    """The sum over its containers, or the largest init container where that is more; and one pod."""
    spec = pod["spec"]
    wanted: dict[str, int] = {_PODS: 1}
    for container in spec.get("containers") or ():
        for name, amount in _container(container):
            wanted[name] = wanted.get(name, 0) + amount
    for container in spec.get("initContainers") or ():
        for name, amount in _container(container):
            wanted[name] = max(wanted.get(name, 0), amount)
    return wanted


def allocatable(node: Object) -> dict[str, int]:
    """What the node offers."""
    stated: Mapping[str, str] = node.get("status", {}).get("allocatable") or {}
    return {name: _amount(name, text) for name, text in stated.items()}


def _container(container: Object) -> Iterable[tuple[str, int]]:
    """Limits stand in for requests that are left out, as the API server defaults them."""
    resources = container.get("resources") or {}
    stated = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return [(name, _amount(name, text)) for name, text in stated.items()]


def _amount(name: str, text: str | int) -> int:
    words = str(text)
    if name != _CPU:
        return parse_bytes(words)
    if words.endswith("m"):
        return int(words[:-1])
    # Parsed as thousandths of a size, so that "0.5" needs no float.
    whole, _, fraction = words.partition(".")
    return int(whole or "0") * _THOUSAND + int(fraction[:3].ljust(3, "0"))
