"""One server process: migrate, serve, watch, until it is told to stop; long polls then end at once."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from penstock.cluster.client import Client
from penstock.server.access import Authenticator
from penstock.server.application import application
from penstock.server.database import Database
from penstock.server.kubernetes_access import KubernetesAccess
from penstock.server.listening import BACKLOG, listening
from penstock.server.parts import Parts
from penstock.server.problems import Problem
from penstock.server.tls import CertificateFiles, CertificateFilesUnusable
from penstock.server.token_file import TokenFile
from penstock.workqueue.clock import Clock, sleep_or

__all__ = ["ServerSettings", "run_server", "serve"]

_log = logging.getLogger(__name__)

_MIGRATE_AGAIN_SECONDS = 2.0
_LAST_REQUESTS_SECONDS = 20
_FAREWELL_SECONDS = 1.0
# Longer than clients keep theirs, and than replicas pause: else we close connections that are just being used.
_KEEP_ALIVE_SECONDS = 75


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the command line says."""

    database_url: str
    host: str = "0.0.0.0"  # noqa: S104 - gateways come from other nodes
    port: int = 8090
    operator_token_file: Path | None = None
    kubeconfig: str | None = None
    replica_seconds: float = 15.0
    tls_cert_file: Path | None = None
    """With `tls_key_file`: speak TLS; None: plain HTTP."""
    tls_key_file: Path | None = None


async def run_server(settings: ServerSettings, clock: Clock, stop: asyncio.Event) -> None:
    """Run until `stop`; PenstockError where it cannot be started."""
    tls = _tls(settings)
    database = Database(settings.database_url)
    async with _authenticator(settings, clock) as authenticator:
        parts = Parts.build(database, authenticator, clock, replica_seconds=settings.replica_seconds)
        with listening(settings.host, settings.port) as listener:
            try:
                await serve(parts, listener, stop, tls)
            finally:
                await database.close()


def _tls(settings: ServerSettings) -> CertificateFiles | None:
    """None where neither file is named; CertificateFilesUnusable where only one is."""
    if settings.tls_cert_file is None and settings.tls_key_file is None:
        return None
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        message = "`--tls-cert-file` and `--tls-key-file` belong together: give both, or none for plain HTTP"
        raise CertificateFilesUnusable(message)
    return CertificateFiles(settings.tls_cert_file, settings.tls_key_file)


async def serve(
    parts: Parts, listener: socket.socket, stop: asyncio.Event, tls: CertificateFiles | None = None
) -> None:
    """Serve on that socket until `stop`, requests under way included; DatabaseUnusable."""
    config = uvicorn.Config(
        application(parts),
        # The one parser and the one loop that we install and test with, whatever else is there.
        http="h11",
        loop="asyncio",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
    )
    config.load()
    config.ssl = tls.context if tls else None
    server = _Uvicorn(config)
    host, port = listener.getsockname()[:2]
    _log.info("serving on %s:%s, database %s, %s", host, port, parts.database, "TLS" if tls else "plain HTTP")
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        helpers = [group.create_task(_migrate(parts)), group.create_task(parts.watcher.run())]
        if tls is not None:
            helpers.append(group.create_task(tls.watch(parts.clock)))
        await _either(stop, serving)
        parts.waiters.close()
        server.should_exit = True
        await serving
        for helper in helpers:
            helper.cancel()


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the command line: uvicorn would raise them again at the end, and end with another status."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        hanging_up = asyncio.create_task(self._hang_up())
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()

    async def _hang_up(self) -> None:
        """Over TLS a connection that was closed waits for the client's farewell, which one that idles never gives."""
        while True:
            await asyncio.sleep(_FAREWELL_SECONDS)
            for connection in list(self.server_state.connections):
                transport = connection.transport
                if transport.is_closing() and not transport.get_write_buffer_size():
                    transport.abort()


async def _either(stop: asyncio.Event, serving: "asyncio.Task[None]") -> None:
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)


async def _migrate(parts: Parts) -> None:
    """Until it is done: a database that starts after the server is no reason to fail."""
    never = asyncio.Event()
    while True:
        try:
            await parts.database.migrate()
        except Problem as problem:
            _log.warning("migrating the database: %s; trying again", problem.message)
            await sleep_or(parts.clock, _MIGRATE_AGAIN_SECONDS, never)
        else:
            _log.info("the database is up to date")
            return


@asynccontextmanager
async def _authenticator(settings: ServerSettings, clock: Clock) -> AsyncIterator[Authenticator]:
    """The token file where one is given, else Kubernetes."""
    if settings.operator_token_file is not None:
        file = TokenFile(settings.operator_token_file)
        await asyncio.to_thread(file.check)
        yield file
        return
    async with await Client.connect(kubeconfig=settings.kubeconfig) as client:
        yield KubernetesAccess(client, clock)
