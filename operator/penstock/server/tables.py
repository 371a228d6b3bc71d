"""Routing tables in the database: published under compare-and-swap, handed out as the same bytes."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, delete, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock.server.access import GatewayName
from penstock.server.database import Database
from penstock.server.problems import Problem
from penstock.server.publication import Head, Publication, refusal, repeats, stale_term
from penstock.server.schema import bodies, gateways, replicas, tokens
from penstock.workqueue.clock import Clock

__all__ = ["CHANNEL", "LockedGateway", "Tables", "Versions", "lock_gateway"]

CHANNEL = "penstock_changes"
"""Where PostgreSQL notifies other server processes."""

Versions = dict[GatewayName, tuple[int, int]]
"""Per gateway a number that grows with its table, and one that grows with what its replicas report."""


@dataclass(frozen=True, slots=True)
class LockedGateway:
    """A gateway's row, locked until the transaction ends."""

    id: int
    head: Head


@dataclass(frozen=True, slots=True)
class Tables:
    """All gateways' tables."""

    database: Database
    clock: Clock

    async def publish(self, gateway: GatewayName, asked: Publication) -> tuple[Head, bool]:
        """What is published now, and whether it changed; Problem (409) where it may not be.

        The term counts as seen whatever comes of it, so a refusal is committed and raised after.
        """
        async with self.database.writing() as connection:
            locked = await lock_gateway(connection, gateway)
            term = max(locked.head.term, asked.term)
            problem = refusal(locked.head, asked)
            changed = problem is None and not repeats(locked.head, asked)
            if changed:
                head = Head(term, asked.envelope.generation, asked.envelope.hash, len(asked.body))
                await self._replace(connection, locked.id, head, asked.body)
                await announce(connection)
            else:
                head = Head(term, locked.head.generation, locked.head.hash, locked.head.size)
                await connection.execute(update(gateways).where(gateways.c.id == locked.id).values(term=term))
        if problem is not None:
            raise problem
        return head, changed

    async def head(self, gateway: GatewayName) -> Head:
        """What is published; Problem (404) where nothing is."""
        async with self.database.reading() as connection:
            row = (await connection.execute(select(gateways).where(*_is(gateway)))).first()
        if row is None or not row.hash:
            message = f"no table was ever published for {gateway}"
            cure = "check the name; the operator publishes once the InferenceGateway is accepted"
            raise Problem(404, "NotPublished", message, cure=cure)
        return _head(row)

    async def read(self, gateway: GatewayName) -> tuple[Head, bytes]:
        """The table and what is known of it, as of one moment; Problem (404)."""
        both = select(gateways, bodies.c.body).join(bodies, bodies.c.gateway_id == gateways.c.id)
        async with self.database.reading() as connection:
            row = (await connection.execute(both.where(*_is(gateway)))).first()
        if row is None:
            message = f"no table is published for {gateway}"
            raise Problem(404, "NotPublished", message, cure="check the name")
        return _head(row), bytes(row.body)

    async def forget(self, gateway: GatewayName, term: int | None) -> None:
        """Its table, replicas and tokens go; Problem (404, 409).

        Term and generation stay: a deposed leader cannot bring it back, and its namesake begins above them.
        """
        async with self.database.writing() as connection:
            known = (await connection.execute(select(gateways.c.id).where(*_is(gateway)))).first()
            if known is None:
                raise Problem(404, "NotFound", f"gateway {gateway} is not known", cure="check the name")
            locked = await lock_gateway(connection, gateway)
            stale = stale_term(locked.head, locked.head.term if term is None else term)
            if stale is not None:
                raise stale
            for table in (bodies, replicas, tokens):
                await connection.execute(delete(table).where(table.c.gateway_id == locked.id))
            values = {
                "term": max(locked.head.term, term or 0),
                "hash": "",
                "bytes": 0,
                "table_version": gateways.c.table_version + 1,
                "replicas_version": gateways.c.replicas_version + 1,
            }
            await connection.execute(update(gateways).where(gateways.c.id == locked.id).values(values))
            await announce(connection)

    async def versions(self) -> Versions:
        """Of all gateways, in one cheap query."""
        columns = (gateways.c.namespace, gateways.c.name, gateways.c.table_version, gateways.c.replicas_version)
        async with self.database.reading() as connection:
            rows = await connection.execute(select(*columns))
        return {GatewayName(row.namespace, row.name): (row.table_version, row.replicas_version) for row in rows}

    async def sizes(self) -> dict[GatewayName, int]:
        """Bytes of each published table."""
        columns = select(gateways.c.namespace, gateways.c.name, gateways.c.bytes).where(gateways.c.hash != "")
        async with self.database.reading() as connection:
            rows = await connection.execute(columns)
        return {GatewayName(row.namespace, row.name): row.bytes for row in rows}

    async def _replace(self, connection: AsyncConnection, gateway_id: int, head: Head, body: bytes) -> None:
        values = {
            "term": head.term,
            "generation": head.generation,
            "hash": head.hash,
            "bytes": head.size,
            "published_at": self.clock.now().timestamp(),
            "table_version": gateways.c.table_version + 1,
        }
        await connection.execute(update(gateways).where(gateways.c.id == gateway_id).values(values))
        await connection.execute(delete(bodies).where(bodies.c.gateway_id == gateway_id))
        await connection.execute(insert(bodies).values(gateway_id=gateway_id, body=body))


async def lock_gateway(connection: AsyncConnection, gateway: GatewayName) -> LockedGateway:
    """Its row, made where it is new; everything that changes a gateway does this first, so changes are one by one."""
    new = {"namespace": gateway.namespace, "name": gateway.name, "term": 0, "generation": 0, "hash": "", "bytes": 0}
    zero = {"published_at": 0.0, "table_version": 0, "replicas_version": 0}
    # SQLAlchemy has this clause per dialect only.
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    await connection.execute(dialect.insert(gateways).values({**new, **zero}).on_conflict_do_nothing())
    row = (await connection.execute(select(gateways).where(*_is(gateway)).with_for_update())).one()
    return LockedGateway(row.id, _head(row))


async def announce(connection: AsyncConnection) -> None:
    """Tell other server processes, once this is committed; on SQLite they look by themselves."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"NOTIFY {CHANNEL}"))


def _is(gateway: GatewayName) -> tuple[ColumnElement[bool], ...]:
    return (gateways.c.namespace == gateway.namespace, gateways.c.name == gateway.name)


def _head(row: Row[tuple[object, ...]]) -> Head:
    return Head(row.term, row.generation, row.hash, row.bytes)
