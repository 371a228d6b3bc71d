"""Routing tables: two of our own deployments, a hosted model, one route, one key."""

import hashlib
from dataclasses import replace
from typing import Any

from penstock_policy.decision import Index, Request
from penstock_policy.table import Backend, Consumer, Price, Route, Rule, Share, Table

__all__ = ["KEY", "backend", "consumer", "index", "request", "rule", "table"]

KEY = "sk-test"
LEVELS = ("low", "medium", "high")


def backend(name: str = "home", **fields: Any) -> Backend:
    """A deployment in Germany that takes everything."""
    made = Backend(
        name=name,
        kind="Deployment",
        protocol="OpenAI",
        model=f"{name}-model",
        endpoints=(f"http://{name}.test:8000",),
        max_sensitivity=2,
        countries=frozenset({"DE"}),
        price=Price(400_000, 1_600_000),
    )
    return replace(made, **fields)


def consumer(**fields: Any) -> Consumer:
    """A key of the namespace `team` that may call its one route."""
    made = Consumer(
        "team/bot", hashlib.sha256(KEY.encode()).hexdigest(), frozenset({"team/chat"}), "standard", "search"
    )
    return replace(made, **fields)


def rule(name: str = "all", *shares: str, **fields: Any) -> Rule:
    """A rule over these backends, one part each."""
    return replace(Rule(name, tuple(Share(share) for share in shares or ("home",))), **fields)


def table(*rules: Rule, **fields: Any) -> Table:
    """A gateway with the route `team/chat`, called `chat`."""
    made = Table(
        gateway="gateway/main",
        generation=7,
        levels=LEVELS,
        routes=(Route("team/chat", ("chat", "team/chat"), rules or (rule(),)),),
        backends=(
            backend(),
            backend("away", countries=frozenset({"FR"})),
            backend("hosted", kind="Provider", countries=frozenset({"US"}), max_sensitivity=0, credential="hosted"),
        ),
        consumers=(consumer(),),
    )
    return replace(made, **fields)


def index(*rules: Rule, **fields: Any) -> Index:
    """The same, ready to decide with."""
    return Index.of(table(*rules, **fields))


def request(**fields: Any) -> Request:
    """A chat request of the one key."""
    return replace(Request("chat", consumer()), **fields)
