"""The application on the clients' port: it answers the paths that it owns and hands some of the others downstream.

Raw ASGI. Everything that a request needs is in memory: between its body and its upstream nothing is awaited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from penstock_gateway.admission import authenticate, body_of, headers_of, passed_on
from penstock_gateway.allowances import Allowances
from penstock_gateway.asgi import Application, ClientLeft, Headers, Receive, Scope, Send, respond
from penstock_gateway.asked import Asked
from penstock_gateway.attempts import Attempts
from penstock_gateway.dialects import OPERATIONS, Dialect, dialect_of, error_body
from penstock_gateway.errors import Limited, Refused
from penstock_gateway.exchange import Departure, Exchange
from penstock_gateway.listing import model_listing
from penstock_gateway.live import LiveTable
from penstock_gateway.metrics import Metrics
from penstock_gateway.replica import Replica
from penstock_policy.decision import Decision, Index, Refusal, Request, decide
from penstock_policy.table import Consumer

__all__ = ["Edge"]

_REQUEST_SECONDS = 600.0
_RETRY_SECONDS = b"1"
_CLIENT_LEFT = "499"
_OK = range(200, 300)
_MODELS = "/v1/models"
_OPEN_DOWNSTREAM = (
    "/v1/audio/",
    "/v1/batches",
    "/v1/files",
    "/v1/images/",
    "/v1/moderations",
    "/v1/rerank",
    "/mcp",
)
"""What clients may call of the downstream application; its administration is on the internal port only."""


@dataclass(slots=True)
class Edge:
    """An ASGI application; `now` is a clock in seconds that never goes back, `random` draws among the weights."""

    live: LiveTable
    attempts: Attempts
    allowances: Allowances
    metrics: Metrics
    replica: Replica
    random: Random
    now: Callable[[], float]
    number: Callable[[], str]
    downstream: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"] if scope["type"] == "http" else ""
        operation = OPERATIONS.get(path)
        if operation is not None:
            await self._counted(operation, scope, receive, send)
        elif path == _MODELS or path.startswith(f"{_MODELS}/"):
            await self._models(scope, send)
        elif self.downstream is not None and _is_open(path):
            await self.downstream(scope, receive, send)
        elif path:
            await _refuse(send, Dialect.OPENAI, Refused(404, "not_found", f"There is no {path} here"))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _counted(self, operation: str, scope: Scope, receive: Receive, send: Send) -> None:
        self.replica.in_flight += 1
        self.metrics.in_flight.inc()
        try:
            await self._ask(operation, scope, receive, send)
        except ClientLeft:
            self.metrics.requests.of("", "", "", _CLIENT_LEFT).inc()
        finally:
            self.replica.in_flight -= 1
            self.metrics.in_flight.dec()

    async def _ask(self, operation: str, scope: Scope, receive: Receive, send: Send) -> None:
        began, dialect = self.now(), dialect_of(operation)
        try:
            index = self._admitting(scope, "POST")
            headers = headers_of(scope)
            consumer = authenticate(index, headers)
            asked = Asked.read(operation, await body_of(headers, receive))
            decision = self._decide(index, consumer, asked, headers)
        except Refused as refused:
            self.metrics.requests.of("", "", "", str(refused.status)).inc()
            await _refuse(send, dialect, refused)
            return
        if isinstance(decision, Refusal):
            self.metrics.requests.of(decision.route, decision.rule, "", str(decision.status)).inc()
            marks = _decided(decision.route, decision.rule, decision.reason, index)
            await _refuse(send, dialect, _told(decision), marks)
            return
        limited = self._limited(consumer, asked, decision)
        if limited is not None:
            marks = _decided(decision.route.name, decision.rule.name, limited.limit, index)
            await _refuse(send, dialect, limited, marks)
            return
        limit = decision.rule.limits.request_seconds
        with Departure(receive) as departure:
            exchange = Exchange(
                id=self.number(),
                asked=asked,
                dialect=dialect,
                consumer=consumer,
                session=headers.get("x-penstock-session", ""),
                decision=decision,
                generation=index.table.generation,
                headers=passed_on(headers),
                send=send,
                departure=departure,
                now=self.now,
                began=began,
                deadline=began + (_REQUEST_SECONDS if limit is None else limit),
            )
            await self._answer(exchange)

    def _admitting(self, scope: Scope, method: str) -> Index:
        """The table that decides about this request, from here to its end."""
        if scope["method"] != method:
            raise Refused(405, "method_not_allowed", f"Only {method} is answered here")
        if self.live.index is None:
            raise Refused(503, "not_ready", "This gateway has no routing table yet")
        return self.live.index

    def _decide(self, index: Index, consumer: Consumer, asked: Asked, headers: dict[str, str]) -> Decision | Refusal:
        request = Request(
            model=asked.model,
            consumer=consumer,
            operation=asked.operation,
            task=headers.get("x-penstock-task", ""),
            sensitivity_asked=headers.get("x-penstock-sensitivity", ""),
            headers=headers,
            prompt_tokens=asked.prompt_tokens,
        )
        return decide(index, request, self.random.random())

    def _limited(self, consumer: Consumer, asked: Asked, decision: Decision) -> Limited | None:
        # The time of now, not of the request's beginning: bodies come slowly, and buckets know no way back.
        now, replicas = self.now(), self.replica.sharing
        limited = self.allowances.admit(consumer, asked.prompt_tokens, replicas=replicas, now=now)
        if limited is not None:
            self.metrics.limited.of(consumer.name, limited.limit).inc()
            self.metrics.requests.of(decision.route.name, decision.rule.name, "", str(limited.status)).inc()
        return limited

    async def _answer(self, exchange: Exchange) -> None:
        backend, status = "", _CLIENT_LEFT
        try:
            backend = await self.attempts.answer(exchange)
            status = str(exchange.status)
        except Refused as refused:
            status = str(refused.status)
            exchange.departure.over()
            headers = exchange.marks("")
            await _refuse(exchange.send, exchange.dialect, refused, headers)
        finally:
            self.allowances.settle(exchange.consumer, exchange.asked.prompt_tokens, _used(exchange, status))
            route = exchange.decision.route.name
            self.metrics.requests.of(route, exchange.decision.rule.name, backend, status).inc()
            self.metrics.total.of(route).observe(self.now() - exchange.began)
            if exchange.begun:
                self.metrics.first_byte.of(route).observe(exchange.begun_at - exchange.began)

    async def _models(self, scope: Scope, send: Send) -> None:
        headers = headers_of(scope)
        dialect = Dialect.ANTHROPIC if "anthropic-version" in headers else Dialect.OPENAI
        try:
            index = self._admitting(scope, "GET")
            consumer = authenticate(index, headers)
            body = model_listing(index, consumer, dialect, scope["path"][len(_MODELS) + 1 :])
        except Refused as refused:
            await _refuse(send, dialect, refused)
            return
        await respond(send, 200, body)


def _is_open(path: str) -> bool:
    """Dots are refused: who reads them as folders would find another path behind an open one."""
    return path.startswith(_OPEN_DOWNSTREAM) and ".." not in path


def _told(refusal: Refusal) -> Refused:
    return Refused(refusal.status, refusal.reason, refusal.message)


def _used(exchange: Exchange, status: str) -> int:
    """Tokens: the estimate where an answer told none or nobody heard its end, none where nobody answered."""
    answered = exchange.status in _OK or status == _CLIENT_LEFT
    return exchange.tokens or (exchange.asked.prompt_tokens if answered else 0)


def _decided(route: str, rule: str, why: str, index: Index) -> Headers:
    """The response headers that explain a refusal."""
    told = (
        (b"x-penstock-route", route),
        (b"x-penstock-rule", rule),
        (b"x-penstock-why", why),
        (b"x-penstock-generation", str(index.table.generation)),
    )
    return [(name, value.encode("latin-1", "replace")) for name, value in told if value]


async def _refuse(send: Send, dialect: Dialect, refused: Refused, marks: Headers | None = None) -> None:
    """An error in the client's own form; what may pass soon says when to come again."""
    headers: Headers = [(b"content-type", b"application/json"), *(marks or [])]
    if isinstance(refused, Limited):
        headers.append((b"retry-after", str(refused.seconds).encode()))
    elif refused.status == 503:  # noqa: PLR2004 # HTTP's own number
        headers.append((b"retry-after", _RETRY_SECONDS))
    body = error_body(dialect, refused.status, refused.code, refused.message, refused.field)
    await respond(send, refused.status, body, headers)
