"""Which backends may answer a request, in which order, and why the others may not.

Everything fails closed: a level that nobody knows counts as the highest, a backend that states no country passes no
jurisdiction, one without a price passes no ceiling, and where nothing is left the answer is a refusal with the reasons.
Every hop that is returned has passed every check; a caller never goes to a backend that is not among them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from penstock_policy.table import Backend, Consumer, Match, Route, Rule, Table

__all__ = ["Decision", "Index", "Reason", "Refusal", "Rejection", "Request", "decide"]


class Reason(StrEnum):
    """Why a request or a backend is turned away; clients and metrics see these words."""

    MODEL_UNKNOWN = "ModelUnknown"
    ROUTE_NOT_ALLOWED = "RouteNotAllowed"
    NO_RULE_MATCHES = "NoRuleMatches"
    RULE_DEGRADED = "RuleDegraded"
    BACKEND_UNKNOWN = "BackendUnknown"
    NOT_SERVING = "NotServing"
    SENSITIVITY = "Sensitivity"
    JURISDICTION = "Jurisdiction"
    PRICE = "Price"
    OPERATION = "Operation"
    CONTEXT_LENGTH = "ContextLength"
    NO_BACKEND = "NoBackend"


_FORBIDDEN = frozenset({Reason.SENSITIVITY, Reason.JURISDICTION, Reason.PRICE, Reason.RULE_DEGRADED})
_CLIENTS_OWN = frozenset({Reason.OPERATION, Reason.CONTEXT_LENGTH})


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a request. Only `consumer` and `sensitivity_found` are the gateway's own word."""

    model: str
    consumer: Consumer
    operation: str = "chat/completions"
    task: str = ""
    sensitivity_asked: str = ""
    """The level that the client names; it can only raise."""
    sensitivity_found: str = ""
    """The level that a classifier found; it can only raise."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    prompt_tokens: int = 0
    """An estimate that is not too low."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A backend of the rule that may not answer this request, and why."""

    backend: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Decision:
    """The backends to try, in this order; never empty."""

    route: Route
    rule: Rule
    level: int
    hops: tuple[Backend, ...]
    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """No backend may answer; `status` is the HTTP status that says so."""

    status: int
    reason: Reason
    message: str
    route: str = ""
    rule: str = ""
    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Index:
    """A table, with its look-ups made once."""

    table: Table
    routes: Mapping[str, Route]
    """By each name that clients call."""
    backends: Mapping[str, Backend]
    consumers: Mapping[str, Consumer]
    """By the SHA-256 of their key."""
    levels: Mapping[str, int]

    @classmethod
    def of(cls, table: Table) -> "Index":
        """Where two routes have one name, the first of the table has it: the operator puts the older one first."""
        routes: dict[str, Route] = {}
        for route in table.routes:
            for name in route.model_names:
                routes.setdefault(name, route)
        return cls(
            table=table,
            routes=routes,
            backends={backend.name: backend for backend in table.backends},
            consumers={consumer.key_sha256: consumer for consumer in table.consumers},
            levels={name: number for number, name in enumerate(table.levels)},
        )

    def level(self, name: str) -> int:
        """Its position; the highest for a name that nobody knows, the lowest for none."""
        return self.levels.get(name, len(self.table.levels) - 1) if name else 0


def decide(index: Index, request: Request, draw: float) -> Decision | Refusal:
    """The decision; `draw` from [0, 1) chooses among the weights."""
    route = index.routes.get(request.model)
    if route is None:
        return Refusal(404, Reason.MODEL_UNKNOWN, f"No route has the model name {request.model!r}")
    if not request.consumer.may_call(route.name):
        message = f"The key may not call {request.model!r}; its Consumer's `routeRefs` do not name {route.name}"
        return Refusal(403, Reason.ROUTE_NOT_ALLOWED, message, route.name)
    level = max(
        request.consumer.sensitivity_floor,
        index.level(request.sensitivity_asked),
        index.level(request.sensitivity_found),
    )
    rule = next((each for each in route.rules if _takes(each.match, request, level)), None)
    if rule is None:
        message = f"No rule of {route.name} takes this request (task {request.task!r}, level {_name(index, level)})"
        return Refusal(404, Reason.NO_RULE_MATCHES, message, route.name)
    return _answer(index, request, _Taken(route, rule, level), draw)


@dataclass(frozen=True, slots=True)
class _Taken:
    """The rule that takes the request, and the request's level."""

    route: Route
    rule: Rule
    level: int


def _takes(match: Match, request: Request, level: int) -> bool:
    consumer = request.consumer
    return (
        (not match.tasks or request.task in match.tasks)
        and (not match.sensitivities or level in match.sensitivities)
        and (not match.tiers or consumer.tier in match.tiers)
        and (not match.teams or consumer.team in match.teams)
        and match.min_prompt_tokens <= request.prompt_tokens
        and (match.max_prompt_tokens is None or request.prompt_tokens <= match.max_prompt_tokens)
        and all(request.headers.get(name) == value for name, value in match.headers)
    )


def _answer(index: Index, request: Request, taken: _Taken, draw: float) -> Decision | Refusal:
    rule = taken.rule
    if rule.problem:
        return Refusal(503, Reason.RULE_DEGRADED, rule.problem, taken.route.name, rule.name)
    passed: dict[str, Backend] = {}
    rejected: list[Rejection] = []
    for name in dict.fromkeys((*(share.backend for share in rule.shares), *rule.fallback)):
        backend = index.backends.get(name)
        reason = Reason.BACKEND_UNKNOWN if backend is None else _why_not(backend, request, taken)
        if backend is None or reason is not None:
            rejected.append(Rejection(name, reason or Reason.BACKEND_UNKNOWN))
        else:
            passed[name] = backend
    if not passed:
        return _refusal(index, taken, rejected)
    hops = tuple(passed[name] for name in _in_order(rule, passed, draw))
    return Decision(taken.route, rule, taken.level, hops, tuple(rejected))


def _why_not(backend: Backend, request: Request, taken: _Taken) -> Reason | None:
    """Borders before anything else: what is refused for them is never called a matter of capacity."""
    rule = taken.rule
    if taken.level > backend.max_sensitivity:
        return Reason.SENSITIVITY
    if rule.countries is not None and not (backend.countries and backend.countries <= rule.countries):
        return Reason.JURISDICTION
    if rule.max_price_micros is not None and not _affordable(backend, rule.max_price_micros):
        return Reason.PRICE
    if request.operation not in backend.operations:
        return Reason.OPERATION
    if backend.context_tokens is not None and request.prompt_tokens > backend.context_tokens:
        return Reason.CONTEXT_LENGTH
    return None if backend.endpoints else Reason.NOT_SERVING


def _affordable(backend: Backend, ceiling: int) -> bool:
    price = backend.price
    return price is not None and max(price.input_micros, price.output_micros) <= ceiling


def _in_order(rule: Rule, passed: Mapping[str, Backend], draw: float) -> Sequence[str]:
    """The one that the draw hits, the other shares by weight, then the fallback; each once."""
    shares = [share for share in rule.shares if share.backend in passed]
    first = _drawn([(share.backend, share.weight) for share in shares], draw)
    others = [share.backend for share in sorted(shares, key=lambda share: -share.weight)]
    fallback = [name for name in rule.fallback if name in passed]
    return tuple(dict.fromkeys((*first, *others, *fallback)))


def _drawn(weights: Sequence[tuple[str, int]], draw: float) -> tuple[str, ...]:
    left = draw * sum(weight for _, weight in weights)
    for name, weight in weights:
        left -= weight
        if left < 0:
            return (name,)
    return ()


def _refusal(index: Index, taken: _Taken, rejected: Sequence[Rejection]) -> Refusal:
    route, rule = taken.route.name, taken.rule.name
    reasons = {rejection.reason for rejection in rejected}
    told = "; ".join(f"{rejection.backend}: {rejection.reason}" for rejection in rejected)
    message = f"No backend of {route}, rule {rule}, may answer at level {_name(index, taken.level)}: {told}"
    return Refusal(_status(reasons), Reason.NO_BACKEND, message, route, rule, tuple(rejected))


def _status(reasons: set[Reason]) -> int:
    """403 where borders forbid all, 400 where the request fits none, 503 where one may serve again later."""
    if reasons <= _FORBIDDEN:
        return 403
    return 400 if reasons <= _FORBIDDEN | _CLIENTS_OWN else 503


def _name(index: Index, level: int) -> str:
    return index.table.levels[level] if level < len(index.table.levels) else str(level)
