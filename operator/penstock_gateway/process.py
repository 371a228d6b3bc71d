"""A gateway replica, assembled: the edge, the internal port, puller, spool and credentials; and how it ends.

At SIGTERM: unready and `Draining` at once, requests go on being taken for a moment because clients learn late, then no
new connections, what is in flight is finished within a bound, and the server hears `Gone`.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from random import Random, SystemRandom

import aiohttp
import uvicorn

from penstock_gateway.allowances import Allowances
from penstock_gateway.asgi import Application
from penstock_gateway.attempts import Attempts
from penstock_gateway.credentials import Credentials
from penstock_gateway.edge import Edge
from penstock_gateway.forwarding import Forwarder
from penstock_gateway.internal import Internal
from penstock_gateway.live import LiveTable
from penstock_gateway.metrics import Metrics
from penstock_gateway.pods import Pods
from penstock_gateway.puller import Identity, Puller
from penstock_gateway.records import numbering
from penstock_gateway.replica import Replica, State
from penstock_gateway.server import Server
from penstock_gateway.spool import Spool
from penstock_gateway.trust import Trust
from penstock_gateway.upstream import Upstream
from penstock_policy.decision import Index

__all__ = ["Parts", "Settings", "assemble", "listener", "run_gateway"]

_log = logging.getLogger(__name__)

_FAREWELL_SECONDS = 2.0
_BACKLOG = 2048
_COLLECT_RARELY = (20_000, 20, 50)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says; times in seconds."""

    gateway: str
    pod_uid: str
    table_file: Path
    spool_dir: Path
    host: str = "0.0.0.0"  # noqa: S104 # a gateway is there for others
    port: int = 8000
    internal_port: int = 8001
    server: str = ""
    """Empty: none, the table on disk is all there is."""
    token_file: Path | None = None
    server_ca_file: Path | None = None
    """None: the server is vouched for by whom the image trusts."""
    credentials_dir: Path | None = None
    drain_seconds: float = 60.0
    linger_seconds: float = 3.0
    pod: str = ""


@dataclass(slots=True)
class Parts:
    """What a replica is made of."""

    edge: Edge
    internal: Internal
    replica: Replica
    live: LiveTable
    pods: Pods
    credentials: Credentials
    metrics: Metrics
    spool: Spool


class _Quiet(uvicorn.Server):
    """Leaves signals to us: two of them run in one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_gateway(
    settings: Settings, *, translator: Upstream | None = None, downstream: Application | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    forwarder = Forwarder()
    parts = assemble(settings, forwarder, translator, downstream)
    await asyncio.to_thread(parts.live.load)
    await asyncio.to_thread(parts.credentials.refresh)
    # A table of ten thousand keys is no garbage: looking through it again and again shows in the slowest requests.
    gc.freeze()
    gc.set_threshold(*_COLLECT_RARELY)
    try:
        await _serve(settings, parts, stop)
    finally:
        await forwarder.close()
        await parts.spool.flush()


def assemble(
    settings: Settings, forwarder: Upstream, translator: Upstream | None, downstream: Application | None
) -> Parts:
    """Everything but the sockets."""
    metrics, replica, random = Metrics(), Replica(), Random(SystemRandom().random())  # noqa: S311 # draws, no secrets
    pods, allowances = Pods(random=random, now=time.monotonic), Allowances()
    live = LiveTable(settings.gateway, settings.table_file, metrics, follow=_followers(pods, allowances))
    credentials = Credentials(settings.credentials_dir)
    spool = Spool(settings.spool_dir, metrics)
    attempts = Attempts(pods, forwarder, translator, credentials, metrics, spool, time.monotonic)
    edge = Edge(live, attempts, allowances, metrics, replica, random, time.monotonic, numbering(), downstream)
    internal = Internal(metrics, lambda: _missing(live, replica), downstream)
    return Parts(edge, internal, replica, live, pods, credentials, metrics, spool)


def _followers(pods: Pods, allowances: Allowances) -> Callable[[Index], None]:
    def follow(index: Index) -> None:
        pods.apply(index)
        allowances.apply(index)

    return follow


def _missing(live: LiveTable, replica: Replica) -> list[str]:
    table = [] if live.index else ["no routing table yet"]
    return table if replica.state is State.SERVING else [*table, f"the replica is {replica.state}"]


async def _serve(settings: Settings, parts: Parts, stop: asyncio.Event) -> None:
    clients = listener(settings, parts.edge, settings.port)
    inside = listener(settings, parts.internal, settings.internal_port)
    async with asyncio.TaskGroup() as group:
        around = [group.create_task(parts.spool.run()), group.create_task(parts.credentials.run())]
        listening = [group.create_task(clients.serve()), group.create_task(inside.serve())]
        puller = _puller(settings, parts) if settings.server else None
        pulling = group.create_task(puller.run()) if puller else None
        stopping = group.create_task(stop.wait())
        # A listener that ends by itself could not have its port.
        await asyncio.wait([stopping, *listening], return_when=asyncio.FIRST_COMPLETED)
        await _drain(settings, parts, clients, listening[0], puller)
        inside.should_exit = True
        if puller and pulling:
            pulling.cancel()
            await _say(parts.replica, State.GONE, puller)
            await puller.server.close()
        for task in (*around, stopping):
            task.cancel()


async def _drain(
    settings: Settings, parts: Parts, clients: uvicorn.Server, serving: "asyncio.Task[None]", puller: Puller | None
) -> None:
    _log.info("draining, %d requests in flight", parts.replica.in_flight)
    await _say(parts.replica, State.DRAINING, puller)
    if not serving.done():
        await asyncio.sleep(settings.linger_seconds)
    clients.should_exit = True
    await asyncio.wait([serving])


async def _say(replica: Replica, state: State, puller: Puller | None) -> None:
    """Tell the server, if it listens; what it does not hear, it learns from the heartbeats that stop."""
    replica.state = state
    if puller is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await puller.tell()


def listener(settings: Settings, application: Application, port: int) -> uvicorn.Server:
    """A server of this process; port 0 takes any free one."""
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=port,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        ws="none",
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
    return _Quiet(config)


def _version() -> str:
    """Of what is installed; run from a checkout it has none."""
    try:
        return metadata.version("penstock")
    except metadata.PackageNotFoundError:
        return "unreleased"


def _puller(settings: Settings, parts: Parts) -> Puller:
    session, trust = aiohttp.ClientSession(), Trust(settings.server_ca_file)
    server = Server(settings.server, settings.gateway, settings.pod_uid, settings.token_file, session, trust)
    return Puller(
        server=server,
        live=parts.live,
        pods=parts.pods,
        credentials=parts.credentials,
        replica=parts.replica,
        identity=Identity(settings.pod or settings.pod_uid, _version()),
        metrics=parts.metrics,
        random=Random(SystemRandom().random()),  # noqa: S311 # jitter is no secret
    )
