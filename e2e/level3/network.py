"""The cluster's network: one namespace, held by one process, that nothing leaves and that has no name on the machine.

10.200.0.1             the API server and CoreDNS
10.200.0.11, .12, ...  the nodes
10.244.N.0/24          pods of node N
10.96.0.0/16           Services, translated by kube-proxy
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

# Both ends of the wire stay inside: there may be no driver for dummy interfaces.
_SETUP = """
set -eu
ip link set lo up
ip link add wire type veth peer name eriw
ip link set eriw up
ip link set wire up
for address in $2; do ip address add "$address/24" dev wire; done
ip route add default dev wire
echo 1 > /proc/sys/net/ipv4/ip_forward
printf 'nameserver %s\\nsearch svc.%s %s\\noptions ndots:5\\n' "$3" "$4" "$4" > "$1/resolv.conf"
mount --bind "$1/resolv.conf" /etc/resolv.conf
touch "$1/network"
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Network:
    """The network that a process holds."""

    HOST: ClassVar[str] = "10.200.0.1"
    API_SERVICE: ClassVar[str] = "10.96.0.1"
    DNS_SERVICE: ClassVar[str] = "10.96.0.10"
    PODS: ClassVar[str] = "10.244.0.0/16"
    DOMAIN: ClassVar[str] = "cluster.local"

    pid: int

    @staticmethod
    def node_address(number: int) -> str:
        """Of the node of that number, from 1 on."""
        return f"10.200.0.{10 + number}"

    @staticmethod
    def pods_of_node(number: int) -> str:
        """The network of its pods."""
        return f"10.244.{number}.0/24"

    @staticmethod
    def holder(folder: Path, nodes: int) -> list[str]:
        """Make the network and hold it."""
        addresses = [Network.HOST, *(Network.node_address(number + 1) for number in range(nodes))]
        words = ("network", str(folder), " ".join(addresses), Network.DNS_SERVICE, Network.DOMAIN)
        # What the machine unmounts meanwhile is not to be held.
        return ["unshare", "--net", "--mount", "--propagation=slave", "/bin/sh", "-c", _SETUP, *words]

    @staticmethod
    def made(folder: Path) -> bool:
        """Tell whether the holder is done."""
        return (folder / "network").exists()

    def inside(self, argv: Sequence[str]) -> list[str]:
        """Run a command in it, with the cluster's names; `ip netns exec` would hide the control groups."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", *argv]
