"""The pods behind the backends: what is in flight to each, which one is next, and which are left alone for now.

The table that this replica has applied says where pods are, also for requests that an older one decided: a pod that it
does not list gets nothing new from the moment on in which the replica acknowledges it. What is in flight there ends.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
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
_MOST_LEAVING = 4096
_OTHERS = "*"


@dataclass(slots=True, eq=False)
class Pod:
    """One base URL of a backend."""

    endpoint: str
    in_flight: int = 0
    breaker: Breaker = field(default_factory=lambda: Breaker(_POD_FAILURES))
    left: bool = False
    """Whether the backend has no such pod any more."""
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

    vacated: asyncio.Event
    """Set when the last request to a pod that left is over."""
    breaker: Breaker = field(default_factory=lambda: Breaker(_BACKEND_FAILURES))
    in_flight: int = 0
    endpoints: tuple[str, ...] = ()
    pods: dict[str, Pod] = field(default_factory=dict)
    leaving: dict[str, Pod] = field(default_factory=dict)
    """Those that the table does not list any more, as long as something is in flight to them."""

    def follow(self, endpoints: tuple[str, ...]) -> None:
        """Take the table's pods; those that stay or come back keep what is known of them."""
        known = {**self.leaving, **self.pods}
        self.pods = {endpoint: known.get(endpoint) or Pod(endpoint) for endpoint in endpoints}
        self.leaving = {endpoint: pod for endpoint, pod in known.items() if pod.in_flight and endpoint not in self.pods}
        self.endpoints = endpoints
        for pod in (*self.pods.values(), *self.leaving.values()):
            pod.left = pod.endpoint in self.leaving

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
        if pod.left and not pod.in_flight:
            del self.leaving[pod.endpoint]
            self.vacated.set()


class Pods:
    """Every backend's standing; `now` is a clock that never goes back, `random` breaks ties."""

    def __init__(self, *, random: Random, now: Callable[[], float]) -> None:
        self._random = random
        self._now = now
        self._standings: dict[str, Standing] = {}
        self._backends: Mapping[str, Backend] = {}
        self._listed: frozenset[str] = frozenset()
        self.vacated = asyncio.Event()

    def apply(self, index: Index) -> None:
        """From now on this table says where pods are; strictly together with its beginning to decide."""
        self._backends = index.backends
        self._listed = frozenset(endpoint for one in index.backends.values() for endpoint in one.endpoints)
        for name, standing in list(self._standings.items()):
            backend = index.backends.get(name)
            if backend is not None:
                standing.follow(backend.endpoints)
            elif standing.in_flight:
                standing.follow(())
            else:
                del self._standings[name]

    def now_of(self, backend: Backend) -> Backend | None:
        """The entry as the applied table has it; None where that one lacks it, or means another place by its name.

        A request may have been decided by an older table, minutes ago.
        """
        current = self._backends.get(backend.name)
        return current if current is backend or (current is not None and _same_place(current, backend)) else None

    def of(self, backend: Backend) -> Standing:
        """Its standing; of a backend of the applied table."""
        standing = self._standings.get(backend.name)
        if standing is None:
            standing = self._standings[backend.name] = Standing(self.vacated)
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

    def permits(self, standing: Standing, tried: Collection[Pod]) -> bool:
        """Whether one of its other pods could be chosen."""
        now = self._now()
        return standing.breaker.permits(now) and any(
            pod not in tried and pod.breaker.permits(now) for pod in standing.pods.values()
        )

    def in_flight(self) -> dict[str, int]:
        """Attempts under way by backend, also by those that the table no longer has."""
        return {name: standing.in_flight for name, standing in self._standings.items() if standing.in_flight}

    def leaving(self) -> dict[str, int]:
        """Attempts under way by endpoint, to those that the table does not list any more for any backend.

        At most 4,096 entries; where there are more, the last is `*`, for all others together.
        """
        found: Counter[str] = Counter()
        for standing in self._standings.values():
            for endpoint, pod in standing.leaving.items():
                if endpoint not in self._listed:
                    found[endpoint] += pod.in_flight
        if len(found) <= _MOST_LEAVING:
            return dict(found)
        told = dict(itertools.islice(found.items(), _MOST_LEAVING - 1))
        return {**told, _OTHERS: found.total() - sum(told.values())}


def _same_place(one: Backend, other: Backend) -> bool:
    """Whatever pods serve it now, and whatever it costs."""
    return (one.protocol, one.model, one.credential, one.countries, one.max_sensitivity) == (
        other.protocol,
        other.model,
        other.credential,
        other.countries,
        other.max_sensitivity,
    )


def _of_session(free: Sequence[Pod], session: str, least: int) -> Pod:
    """By rendezvous hashing, so that few sessions move when pods come and go; a pod that is much busier loses it."""
    most = _MUCH_BUSIER * max(least, 1)
    fit = [pod for pod in free if pod.in_flight <= most]
    return max(fit, key=lambda pod: blake2b(f"{session}\0{pod.endpoint}".encode(), digest_size=8).digest())
