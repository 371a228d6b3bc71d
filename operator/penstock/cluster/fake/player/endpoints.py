"""EndpointSlices: for each Service with a selector, the addresses of its ready pods. One slice a Service, IPv4 only."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.cluster.fake.player.inbox import Inbox
from penstock.cluster.fake.player.objects import (
    Object,
    is_ready,
    is_terminating,
    name_of,
    owner_reference,
    place_of,
    selects,
)
from penstock.cluster.fake.player.probes import port_of
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["EndpointController"]

_SERVICE_LABEL = "kubernetes.io/service-name"

Key = tuple[str, str]


@dataclass(slots=True)
class EndpointController:
    """Acts on one Service at a time."""

    surroundings: Surroundings
    inbox: Inbox[Key] = field(default_factory=Inbox)

    def heard(self, live: Object) -> None:
        """A Service changed, or a pod that one may select."""
        if live["kind"] == "Service":
            self.inbox.add(place_of(live))
        elif live["kind"] == "Pod":
            for service in self.surroundings.server.objects("services", place_of(live)[0]):
                if selects(service["spec"].get("selector") or {}, live):
                    self.inbox.add(place_of(service))

    def act(self, key: Key) -> None:
        """Write the slice where it differs."""
        service = self.surroundings.server.get("services", *key)
        if service is None or is_terminating(service) or not service["spec"].get("selector"):
            return
        pods = [
            pod
            for pod in self.surroundings.server.objects("pods", key[0])
            if selects(service["spec"]["selector"], pod) and pod.get("status", {}).get("podIP")
        ]
        self._write(service, [_endpoint(pod) for pod in pods], _ports(service, pods))

    def _write(self, service: Object, endpoints: list[Object], ports: list[Object]) -> None:
        server, (namespace, name) = self.surroundings.server, place_of(service)
        live = server.get("endpointslices", namespace, name)
        if live is None:
            metadata = {
                "name": name,
                "namespace": namespace,
                "labels": {_SERVICE_LABEL: name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller"},
                "ownerReferences": [owner_reference(service)],
            }
            kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
            server.put({**kind, "metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": ports})
        elif (live["endpoints"], live["ports"]) != (endpoints, ports):
            server.update(
                "endpointslices", namespace, name, lambda each: {**each, "endpoints": endpoints, "ports": ports}
            )


def _endpoint(pod: Object) -> Object:
    ready, terminating = is_ready(pod), is_terminating(pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready and not terminating, "serving": ready, "terminating": terminating},
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod",
            "name": name_of(pod),
            "namespace": place_of(pod)[0],
            "uid": pod["metadata"]["uid"],
        },
    }


def _ports(service: Object, pods: Sequence[Object]) -> list[Object]:
    """Target ports by number; a name is looked up in the pods, which share their template."""
    ports = []
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort", port["port"])
        if isinstance(target, str):
            if not pods:
                continue
            target = port_of(pods[0]["spec"]["containers"][0], target)
        ports.append({"name": port.get("name", ""), "port": target, "protocol": port.get("protocol", "TCP")})
    return ports
