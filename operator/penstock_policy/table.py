"""A gateway's routing table: what is routed to what, for whom, within which borders; gateway-neutral, frozen.

Published whole by the operator, known by its `digest`; `wire.py` writes and reads it. Names are `namespace/name`.
Money is in micro-units of the table's currency, sensitivities are positions in `levels`, the lowest first.
"""

from dataclasses import dataclass, field

__all__ = [
    "ANY_OPERATION",
    "Backend",
    "BackendKind",
    "Consumer",
    "Limits",
    "Match",
    "Price",
    "Protocol",
    "Route",
    "Rule",
    "Share",
    "Table",
]

BackendKind = str
"""`Deployment` for one of our own, `Provider` for a hosted model."""

Protocol = str
"""What the backend speaks: `OpenAI` and `Anthropic` get the client's bytes, anything else is LiteLLM's provider prefix,
such as `mistral`, and is translated."""

ANY_OPERATION = ("chat/completions", "completions", "embeddings", "messages", "responses")
"""The paths under `/v1` that a gateway owns; `models` is answered from the table itself."""


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-units for a million tokens, such as 3_000_000 for $3.00."""

    input_micros: int
    output_micros: int = 0


@dataclass(frozen=True, slots=True)
class Backend:
    """Something that answers: a deployment's revision behind its pods, or one model of a provider."""

    name: str
    """`deployment/<namespace>/<name>` or `provider/<namespace>/<name>/<model>`; metrics and records carry it."""
    kind: BackendKind
    protocol: Protocol
    model: str
    """What stands in the request's `model` when it gets there."""
    endpoints: tuple[str, ...]
    """Base URLs without `/v1`, one per ready pod, or the provider's; empty while nothing of it serves."""
    max_sensitivity: int
    """The highest level that may reach it."""
    countries: frozenset[str] = frozenset()
    """Where it answers, ISO 3166; empty: nobody said, which passes no jurisdiction."""
    operations: tuple[str, ...] = ANY_OPERATION
    credential: str = ""
    """The file of the merged credentials that holds its API key; empty: it needs none."""
    context_tokens: int | None = None
    """The longest request; None: unknown."""
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a rule takes: all that is stated must hold, and one entry of each set."""

    tasks: frozenset[str] = frozenset()
    sensitivities: frozenset[int] = frozenset()
    tiers: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case, and the exact value."""
    min_prompt_tokens: int = 0
    max_prompt_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """A backend's weight beside the others'; 0: only when the others fail."""

    backend: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; None: the gateway's own. An attempt never outlives the request."""

    request_seconds: float | None = None
    first_token_seconds: float | None = None
    attempts: int = 2
    """How often one backend is tried before the next, the first attempt included."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which requests, and what answers them: shares first, then the fallback in its order."""

    name: str
    shares: tuple[Share, ...]
    match: Match = Match()
    fallback: tuple[str, ...] = ()
    countries: frozenset[str] | None = None
    """What lies inside the jurisdictions, blocs resolved; None: anywhere."""
    max_price_micros: int | None = None
    """The most that a million tokens, input or output, may cost; an unknown price passes no ceiling."""
    limits: Limits = Limits()
    problem: str = ""
    """Why this rule answers nothing, such as a reference without consent; it still takes its requests and refuses them,
    so that none slips through to a laxer rule below it."""


@dataclass(frozen=True, slots=True)
class Route:
    """The names that clients put into `model`, and the rules in order; the first that matches wins."""

    name: str
    model_names: tuple[str, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who calls: a key is known by its SHA-256 only."""

    name: str
    key_sha256: str
    routes: frozenset[str]
    """The Routes that it may call; `<namespace>/*`: all of that namespace: ten thousand keys do not list them all."""
    tier: str = ""
    team: str = ""
    sensitivity_floor: int = 0
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def may_call(self, route: str) -> bool:
        """Whether it may call the Route `namespace/name`."""
        return route in self.routes or f"{route.partition('/')[0]}/*" in self.routes


@dataclass(frozen=True, slots=True)
class Table:
    """Everything that a gateway replica decides with. `generation` grows with each one that the operator publishes."""

    gateway: str
    generation: int
    levels: tuple[str, ...]
    credential_version: str = ""
    """The version of the merged credentials that the providers' entries need; a replica says which one it has."""
    currency: str = "USD"
    routes: tuple[Route, ...] = ()
    backends: tuple[Backend, ...] = ()
    consumers: tuple[Consumer, ...] = field(default=(), repr=False)
