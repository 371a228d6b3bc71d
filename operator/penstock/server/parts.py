"""What the routes work with: made once per process, reached from each request."""

from dataclasses import dataclass

from fastapi import Request

from penstock.server.access import Authenticator, GatewayName, Subresource
from penstock.server.database import Database
from penstock.server.metrics import ServerMetrics
from penstock.server.reading import TableReader
from penstock.server.replicas import Replicas
from penstock.server.tables import Tables
from penstock.server.tokens import Tokens
from penstock.server.waiting import Waiters
from penstock.server.watching import Watcher
from penstock.workqueue.clock import Clock

__all__ = ["Parts", "parts_of"]


@dataclass(frozen=True, slots=True)
class Parts:
    """One server's parts."""

    database: Database
    clock: Clock
    authenticator: Authenticator
    tables: Tables
    reader: TableReader
    replicas: Replicas
    tokens: Tokens
    waiters: Waiters
    watcher: Watcher
    metrics: ServerMetrics

    @classmethod
    def build(
        cls,
        database: Database,
        authenticator: Authenticator,
        clock: Clock,
        *,
        replica_seconds: float = 15.0,
        most_waiters: int = 4000,
    ) -> "Parts":
        """Wire them; nothing is opened or asked."""
        tables, waiters, metrics = Tables(database, clock), Waiters(clock, most_waiters), ServerMetrics()
        reader = TableReader(tables)
        metrics.waiters.set_function(lambda: len(waiters))
        return cls(
            database=database,
            clock=clock,
            authenticator=authenticator,
            tables=tables,
            reader=reader,
            replicas=Replicas(database, clock, replica_seconds),
            tokens=Tokens(database, clock),
            waiters=waiters,
            watcher=Watcher(tables, reader, waiters, clock),
            metrics=metrics,
        )

    def table_changed(self, gateway: GatewayName) -> None:
        """Wake everybody who waits for its table."""
        self.reader.changed(gateway)
        self.waiters.ring((gateway, Subresource.TABLE))

    def replicas_changed(self, gateway: GatewayName) -> None:
        """Wake everybody who waits for its replicas."""
        self.waiters.ring((gateway, Subresource.REPLICAS))


def parts_of(request: Request) -> Parts:
    """Of the server that got the request."""
    parts: Parts = request.app.state.parts
    return parts
