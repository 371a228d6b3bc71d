"""The pods behind the backends: what is in flight to each, which one is next, and which are left alone for now."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from yarl import URL

from penstock_gateway.breaker import Breaker
from penstock_policy.decision import Index
from penstock_policy.table import Backend

__all__ = ["Pod", "Pods", "Standing"]

_POD_FAILURES = 3
_BACKEND_FAILURES = 10
_MUCH_BUSIER = 2


@dataclass(slots=True, eq=False)
class Pod:
    """One base URL of a backend."""

    endpoint: str
    in_flight: int = 0
    breaker: Breaker = field(default_factory=lambda: Breaker(_POD_FAILURES))
    _urls: dict[str, URL] = field(default_factory=dict)

    def url(self, operation: str) -> URL:
        """Where the operation is; parsed once."""
        url = self._urls.get(operation)
        if url is None:
            url = self._urls[operation] = URL(f"{self.endpoint.rstrip('/')}/v1/{operation}")
        return url


@dataclass(slots=True, eq=False)
class Standing:
    """A backend as it stands on this replica."""

    breaker: Breaker = field(default_factory=lambda: Breaker(_BACKEND_FAILURES))
    in_flight: int = 0
    endpoints: tuple[str, ...] = ()
    pods: dict[str, Pod] = field(default_factory=dict)

    def follow(self, endpoints: tuple[str, ...]) -> None:
        """Take the table's pods; those that stay keep what is known of them."""
        self.pods = {endpoint: self.pods.get(endpoint) or Pod(endpoint) for endpoint in endpoints}
        self.endpoints = endpoints

    def took(self, pod: Pod) -> None:
        """An attempt begins."""
        self.in_flight += 1
        pod.in_flight += 1
        self.breaker.began()
        pod.breaker.began()

    def gave_back(self, pod: Pod) -> None:
        """An attempt is over."""
        self.in_flight -= 1
        pod.in_flight -= 1


class Pods:
    """Every backend's standing; `now` is a clock that never goes back, `random` breaks ties."""

    def __init__(self, *, random: Random, now: Callable[[], float]) -> None:
        self._random = random
        self._now = now
        self._standings: dict[str, Standing] = {}

    def of(self, backend: Backend) -> Standing:
        """Its standing, with the pods of this table."""
        standing = self._standings.get(backend.name)
        if standing is None:
            standing = self._standings[backend.name] = Standing()
        if standing.endpoints is not backend.endpoints:
            standing.follow(backend.endpoints)
        return standing

    def choose(self, standing: Standing, session: str, tried: Collection[Pod]) -> Pod | None:
        """The session's pod, else the one with the least in flight; None where no circuit lets a request through."""
        now = self._now()
        if not standing.breaker.permits(now):
            return None
        free = [pod for pod in standing.pods.values() if pod not in tried and pod.breaker.permits(now)]
        if len(free) <= 1:
            return free[0] if free else None
        least = min(pod.in_flight for pod in free)
        if session:
            return _of_session(free, session, least)
        return self._random.choice([pod for pod in free if pod.in_flight == least])

    def in_flight(self) -> dict[str, int]:
        """Attempts under way by backend, also by those that the table no longer has."""
        return {name: standing.in_flight for name, standing in self._standings.items() if standing.in_flight}

    def forget(self, index: Index) -> None:
        """Drop what the table no longer has and nobody uses."""
        for name, standing in list(self._standings.items()):
            if name not in index.backends and not standing.in_flight:
                del self._standings[name]


def _of_session(free: Sequence[Pod], session: str, least: int) -> Pod:
    """By rendezvous hashing, so that few sessions move when pods come and go; a pod that is much busier loses it."""
    most = _MUCH_BUSIER * max(least, 1)
    fit = [pod for pod in free if pod.in_flight <= most]
    return max(fit, key=lambda pod: blake2b(f"{session}\0{pod.endpoint}".encode(), digest_size=8).digest())
