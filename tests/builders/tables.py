"""Routing tables for tests: one route, one key that may call it, and what a test wants different."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

from penstock_policy.table import Backend, Consumer, Limits, Match, Price, Route, Rule, Share, Table

__all__ = ["KEY", "backend", "consumer", "table"]

KEY = "sk-test"
GATEWAY = "ai/main"


def backend(name: str, *endpoints: str, **more: Any) -> Backend:
    """A deployment of ours that serves `served` under the given addresses."""
    stated = {
        "kind": "Deployment",
        "protocol": "OpenAI",
        "model": "served",
        "max_sensitivity": 2,
        "price": Price(3_000_000, 6_000_000),
    }
    return Backend(name=name, endpoints=endpoints, **{**stated, **more})


def consumer(name: str = "ai/tester", key: str = KEY, **more: Any) -> Consumer:
    """Who calls with `key`."""
    return Consumer(
        **{"name": name, "key_sha256": sha256(key.encode()).hexdigest(), "routes": frozenset({"ai/chat"}), **more}
    )


def table(*backends: Backend, limits: Limits | None = None, generation: int = 1, **more: Any) -> Table:
    """A table whose route `ai/chat`, called `chat`, has the first backend as its share and the others as fallback."""
    first, *others = (one.name for one in backends)
    rule = Rule(
        "all",
        shares=(Share(first),),
        fallback=tuple(others),
        match=Match(),
        limits=limits or Limits(attempts=1, request_seconds=20, first_token_seconds=20),
    )
    made = Table(
        gateway=GATEWAY,
        generation=generation,
        levels=("public", "internal", "restricted"),
        routes=(Route("ai/chat", ("chat",), (rule,)),),
        backends=backends,
        consumers=(consumer(),),
    )
    return replace(made, **more)
