"""`GET /v1/models`: from the table, and only what the key may call."""

from typing import Any

import orjson

from penstock_gateway.dialects import Dialect
from penstock_gateway.errors import Refused
from penstock_policy.decision import Index
from penstock_policy.table import Consumer

__all__ = ["model_listing"]


def model_listing(index: Index, consumer: Consumer, dialect: Dialect, model: str) -> bytes:
    """All of them, or the one named `model`; Refused with 404 where the key may not call it."""
    names = sorted(name for name, route in index.routes.items() if consumer.may_call(route.name))
    if not model:
        return orjson.dumps(_list([_entry(name, dialect) for name in names], dialect))
    if model not in names:
        raise Refused(404, "model_not_found", f"The model {model!r} does not exist for this key", "model")
    return orjson.dumps(_entry(model, dialect))


def _entry(name: str, dialect: Dialect) -> dict[str, Any]:
    if dialect is Dialect.ANTHROPIC:
        return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": 0, "owned_by": "penstock"}


def _list(entries: list[dict[str, Any]], dialect: Dialect) -> dict[str, Any]:
    if dialect is Dialect.ANTHROPIC:
        first, last = (entries[0]["id"], entries[-1]["id"]) if entries else (None, None)
        return {"data": entries, "has_more": False, "first_id": first, "last_id": last}
    return {"object": "list", "data": entries}
