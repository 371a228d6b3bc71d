"""The names that the server's certificate is for: of its URLs, with every form in which a cluster resolves them."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

__all__ = ["server_names"]

_SERVICE = "svc"
_CLUSTER_DOMAIN = "cluster.local"
_NAME_AND_NAMESPACE = 2


def server_names(urls: Iterable[str], namespace: str) -> tuple[str, ...]:
    """DNS names and IP addresses, sorted; `namespace` is where a URL of one word finds its Service.

    `https://penstock-server.penstock-system:8090` gives the four forms from `penstock-server` to
    `penstock-server.penstock-system.svc.cluster.local`. A host outside the cluster gives itself alone.
    """
    hosts = {urlsplit(url).hostname or "" for url in urls} - {""}
    return tuple(sorted({name for host in hosts for name in _forms(host, namespace)}))


def _forms(host: str, namespace: str) -> Iterable[str]:
    if _is_address(host):
        return (host,)
    labels = host.rstrip(".").split(".")
    service = _service(labels, namespace)
    if service is None:
        return (".".join(labels),)
    name, space, domain = service
    full = f"{name}.{space}.{_SERVICE}"
    return (name, f"{name}.{space}", full, f"{full}.{domain}")


def _service(labels: list[str], namespace: str) -> tuple[str, str, str] | None:
    """Name, namespace and cluster domain of the Service that the host is; None where it is none."""
    name, *rest = labels
    if not rest:
        return name, namespace, _CLUSTER_DOMAIN
    if len(labels) == _NAME_AND_NAMESPACE:
        return name, rest[0], _CLUSTER_DOMAIN
    if rest[1] == _SERVICE:
        return name, rest[0], ".".join(rest[2:]) or _CLUSTER_DOMAIN
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
