"""Addresses of pods and Services on the loopback interface: where a simulated address really listens.

Linux binds every address of 127/8 without rights, so each pod has one of its own; where a port of it is taken, another
one stands behind it. Elsewhere it is a port of 127.0.0.1. The book knows which.
"""

import errno
import ipaddress
import itertools
import socket
from dataclasses import dataclass, field
from random import Random, SystemRandom

__all__ = ["AddressBook", "Place", "can_bind", "free_port"]

_PODS = ipaddress.IPv4Network("127.16.0.0/12")
_LOOPBACK = "127.0.0.1"
_MOST_TRIES = 64

# Below what Linux gives out by itself (32768 and more): no connection gets a port between its choice and its use. Each
# process walks on from a place of its own, so that two that choose at once choose differently.
_FIRST_PORT, _LAST_PORT = 12_000, 29_999
_ports = itertools.count(SystemRandom().randrange(_LAST_PORT))

Place = tuple[str, int]
"""Address and port."""


@dataclass(slots=True)
class AddressBook:
    """Hands addresses out and remembers where those that could not be bound really are.

    Their choice has no seed: books of other processes on this machine are not to choose the same.
    """

    random: Random = field(default_factory=SystemRandom)
    whole_loopback: bool = field(default_factory=lambda: can_bind("127.31.255.254", 0))
    _pods: set[str] = field(default_factory=set)
    _elsewhere: dict[Place, Place] = field(default_factory=dict)

    def new_pod(self, port: int) -> str:
        """An address that no other pod has, and where nobody on this machine listens on that port."""
        for _ in range(_MOST_TRIES):
            address = str(_PODS[self.random.randrange(1, _PODS.num_addresses - 1)])
            if address not in self._pods and (not self.whole_loopback or can_bind(address, port)):
                self._pods.add(address)
                return address
        message = "no loopback address is free for another pod"
        raise OSError(errno.EADDRNOTAVAIL, message)

    def release_pod(self, address: str) -> None:
        """The pod is gone."""
        self._pods.discard(address)
        for place in [place for place in self._elsewhere if place[0] == address]:
            del self._elsewhere[place]

    def listen_at(self, address: str, port: int) -> Place:
        """Where to bind for that address; the same until it is released."""
        place = (address, port)
        if place in self._elsewhere:
            return self._elsewhere[place]
        return place if can_bind(address, port) else self.listen_elsewhere(address, port)

    def listen_elsewhere(self, address: str, port: int) -> Place:
        """Where to bind for an address that somebody else took."""
        # One process has one address: where only a port is taken, another of the same address stands behind it.
        host = address if can_bind(address, 0) else _LOOPBACK
        self._elsewhere[address, port] = (host, free_port(host))
        return self._elsewhere[address, port]

    def find(self, address: str, port: int) -> Place:
        """Where it really listens."""
        return self._elsewhere.get((address, port), (address, port))

    def forget(self, address: str, port: int) -> None:
        """Nobody listens there any more."""
        self._elsewhere.pop((address, port), None)


def free_port(address: str = _LOOPBACK) -> int:
    """A port that nobody has at that address now, for a process that is to be told one before it binds."""
    for number in itertools.islice(_ports, _LAST_PORT - _FIRST_PORT):
        port = _FIRST_PORT + number % (_LAST_PORT - _FIRST_PORT)
        if can_bind(address, port):
            return port
    message = f"no port of {address} is free"
    raise OSError(errno.EADDRINUSE, message)


def can_bind(address: str, port: int) -> bool:
    """Whether this machine lets us listen there now."""
    with socket.socket() as probe:
        # A connection that ended a moment ago does not keep the address, as it does not keep aiohttp's own.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
