"""Gateways' tokens: made here, shown once, kept as SHA-256 only, each good for its own gateway."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import Row, delete, insert, select, update

from penstock.server.access import GatewayName
from penstock.server.database import Database
from penstock.server.rotation import StoredToken, displaced, live
from penstock.server.schema import gateways
from penstock.server.schema import tokens as rows_
from penstock.server.tables import lock_gateway
from penstock.workqueue.clock import Clock

__all__ = ["PREFIX", "Tokens"]

PREFIX = "pgw_"
"""What a gateway's token begins with, so that it is never shown to Kubernetes."""

_BYTES = 32


@dataclass(frozen=True, slots=True)
class Tokens:
    """All gateways' tokens, at most two good ones each."""

    database: Database
    clock: Clock

    async def make(self, gateway: GatewayName) -> str:
        """A new token of 256 random bits; nobody can read it again."""
        token = PREFIX + secrets.token_urlsafe(_BYTES)
        now = self.clock.now().timestamp()
        async with self.database.writing() as connection:
            locked = await lock_gateway(connection, gateway)
            mine = select(rows_).where(rows_.c.gateway_id == locked.id)
            stored = [_stored(row) for row in await connection.execute(mine)]
            gone = [each.id for each in displaced(stored, now)]
            await connection.execute(delete(rows_).where(rows_.c.id.in_(gone)))
            values = {"gateway_id": locked.id, "digest": _digest(token), "created_at": now, "used_at": 0.0}
            await connection.execute(insert(rows_).values(values))
        return token

    async def owns(self, gateway: GatewayName, token: str) -> bool:
        """Whether it is a good token of this very gateway; its first use is noted, which retires the older one."""
        now = self.clock.now().timestamp()
        query = select(rows_).join(gateways, gateways.c.id == rows_.c.gateway_id)
        named = (gateways.c.namespace == gateway.namespace, gateways.c.name == gateway.name)
        async with self.database.reading() as connection:
            stored = [_stored(row) for row in await connection.execute(query.where(*named))]
        digest = _digest(token)
        # All are compared, in constant time each.
        found = [each for each in live(stored, now) if hmac.compare_digest(each.digest, digest)]
        if not found:
            return False
        if not found[0].used_at:
            async with self.database.writing() as connection:
                await connection.execute(update(rows_).where(rows_.c.id == found[0].id).values(used_at=now))
        return True


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _stored(row: Row[tuple[object, ...]]) -> StoredToken:
    return StoredToken(row.id, row.digest, row.created_at, row.used_at)
