"""The kopf handlers, and only they: store the event, enqueue the key, decide nothing.

kopf watches our own kinds; it writes nothing to any object. Its registry is our own, so two operators
can run in one process.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import kopf

from penstock.cluster.resources import ResourceType
from penstock.workqueue.clock import Clock

__all__ = ["Front", "Watched", "run_front"]

_FIRST_BACKOFF_SECONDS = 1.0
_LAST_BACKOFF_SECONDS = 30.0
_PAGE_SIZE = 50
_LIST_SECONDS = 5.0
_LONG_LIFE_SECONDS = 60.0
_MOST_FAILURES = 5
# kopf's watchers may take so long to end; cancelled again before, it leaves them behind, and the loop never closes.
_EXIT_SECONDS = 0.5
_CANCEL_AGAIN_SECONDS = 10 * _EXIT_SECONDS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind that kopf watches, and what to do with its objects: `gone` with the last state, `seen` with the newest."""

    kind: ResourceType
    seen: Callable[[dict[str, Any]], None]
    gone: Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Front:
    """What kopf needs: how to log in, what to watch, when to stop; kopf closes what `session` makes.

    `listed` is told when a life of kopf has had the time to list everything: what it does not know then is gone.
    `namespaces` are those that are watched, None: all of them. One that refuses us is asked again for ever.
    """

    server: str
    session: Callable[[], Any]
    watched: tuple[Watched, ...]
    listed: Callable[[], None]
    stop: asyncio.Event
    namespaces: tuple[str, ...] | None = None


class _Backoffs(Iterable[float]):
    """Endless and capped: an API server that is away for a night ends nothing."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def __iter__(self) -> Iterator[float]:
        delay = _FIRST_BACKOFF_SECONDS
        while True:
            yield delay * self._random.uniform(0.7, 1.3)
            delay = min(delay * 2, _LAST_BACKOFF_SECONDS)


class _NoDiffs(kopf.DiffBaseStorage):
    """No handler of ours looks at differences, and kopf would copy every object for them."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> Any:  # noqa: ARG002 - kopf's
        """Nothing to compare."""
        return {}

    def fetch(self, *, body: kopf.Body) -> None:
        """Nothing is kept."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Nothing is written."""


def settings(random: Random) -> kopf.OperatorSettings:
    """Kopf's settings for a watcher that never writes."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.queueing.exit_timeout = _EXIT_SECONDS
    chosen.networking.error_backoffs = _Backoffs(random)
    chosen.networking.request_timeout = 30
    chosen.watching.chunk_size = _PAGE_SIZE
    # kopf has a task per object: few at a time leave the loop to others, and they end as soon as they have nothing.
    chosen.queueing.worker_limit = 20
    chosen.queueing.idle_timeout = 0.01
    chosen.persistence.finalizer = "penstock.dev/kopf-is-not-to-write-this"
    chosen.persistence.diffbase_storage = _NoDiffs()
    # kopf would kill the whole process some seconds after its own end, whoever else runs in it.
    chosen.process.ultimate_exiting_timeout = None
    return chosen


def registry(front: Front) -> kopf.OperatorRegistry:
    """Our own registry: a login and one `on.event` handler per kind."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers, retries=3)
    async def login(**_: Any) -> Any:
        return kopf.AiohttpSession(server=front.server, aiohttp_session=front.session())

    for watched in front.watched:
        _watch(handlers, watched)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, watched: Watched) -> None:
    kind = watched.kind

    @kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=f"store-{kind.plural}")
    async def store(event: kopf.RawEvent, **_: Any) -> None:
        body = dict(event["object"])
        if event["type"] == "DELETED":
            watched.gone(body)
        else:
            watched.seen(body)


async def run_front(front: Front, *, clock: Clock, random: Random) -> None:
    """Watch until cancelled, or until a signal that kopf took: then `front.stop` is set.

    kopf ends with all its watches at the first line that it cannot read, such as one that was cut in the middle: it is
    started again. Raises what it dies of where that happens time and again.
    """
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    failures = 0
    while True:
        began = clock.monotonic()
        try:
            await _watch_all(front, clock, random)
        except Exception as error:  # kopf wraps nothing: it dies of whatever it meets
            failures = 0 if clock.monotonic() - began > _LONG_LIFE_SECONDS else failures + 1
            if failures > _MOST_FAILURES:
                raise
            _log.warning("watching our kinds: %s: %s; again soon", type(error).__name__, error)
        else:
            # kopf takes the place of the process's signal handlers: a signal ends its first task without an error.
            front.stop.set()
            return
        await clock.sleep(_FIRST_BACKOFF_SECONDS * random.uniform(0.7, 1.3))


async def _watch_all(front: Front, clock: Clock, random: Random) -> None:
    """One life of kopf. `kopf.operator` would end every task of the loop with its own; here only kopf's are ended."""
    tasks = await kopf.spawn_tasks(
        registry=registry(front),
        settings=settings(random),
        standalone=True,
        clusterwide=front.namespaces is None,
        namespaces=front.namespaces or (),
    )
    telling = asyncio.create_task(_tell(front, clock))
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end((telling, *tasks))
    for task in ended:
        task.result()


async def _tell(front: Front, clock: Clock) -> None:
    await clock.sleep(_LIST_SECONDS)
    front.listed()


async def _end(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel until all are over: kopf's tasks may swallow a cancellation, and it cancels them again itself, too."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)
