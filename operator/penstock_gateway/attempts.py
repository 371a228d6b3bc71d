"""The attempts of a request: over the decision's hops and nothing else, pod by pod, until one answers."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock_gateway.credentials import Credentials
from penstock_gateway.errors import Fault, FaultKind, Refused
from penstock_gateway.exchange import Exchange
from penstock_gateway.metrics import Metrics
from penstock_gateway.pods import Pod, Pods, Standing
from penstock_gateway.records import CLIENT_LEFT, STOPPED, Record
from penstock_gateway.spool import Spool
from penstock_gateway.trial import Limits, Trial
from penstock_gateway.upstream import Call, Upstream
from penstock_policy.table import Backend

__all__ = ["Attempts"]

_FIRST_BYTE_SECONDS = 120.0
_GAP_SECONDS = 60.0
_SHARE_OF_TIME = 0.6

# A client can provoke a 404 and is the cause of many a 429: they do not open a circuit for everybody else.
_HARMLESS = frozenset({FaultKind.RATE_LIMITED, FaultKind.NOT_FOUND, FaultKind.TOO_LARGE})
_NOT_AGAIN = frozenset(
    {
        FaultKind.RATE_LIMITED,
        FaultKind.NOT_FOUND,
        FaultKind.UNAUTHORIZED,
        FaultKind.UNEXPECTED,
        FaultKind.ATTEMPT_TIMEOUT,
    }
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the next attempt goes."""

    backend: Backend
    standing: Standing
    pod: Pod


@dataclass(slots=True)
class Attempts:
    """`answer` sends the client its answer; Refused where nothing gave one."""

    pods: Pods
    forwarder: Upstream
    translator: Upstream | None
    credentials: Credentials
    metrics: Metrics
    spool: Spool
    now: Callable[[], float]

    async def answer(self, exchange: Exchange) -> str:
        """The name of the backend that answered."""
        hops = exchange.decision.hops
        for number, backend in enumerate(hops, 1):
            if await self._answered_by(exchange, backend, hops[number:]):
                return backend.name
        told = "; ".join(f"{name}: {kind}" for name, kind in exchange.faults)
        raise Refused(503, "no_backend_answered", f"No backend of {exchange.decision.route.name} answered: {told}")

    async def _answered_by(self, exchange: Exchange, backend: Backend, later: Sequence[Backend]) -> bool:
        upstream, credential = self._upstream(exchange, backend), self._credential(backend)
        if upstream is None or credential is None:
            kind = FaultKind.NO_TRANSLATOR if upstream is None else FaultKind.NO_CREDENTIAL
            exchange.faults.append((backend.name, kind))
            return False
        tried = set[Pod]()
        for left in range(max(1, exchange.decision.rule.limits.attempts) - 1, -1, -1):
            place = self._next_place(exchange, backend, tried)
            if isinstance(place, FaultKind):
                if not tried:
                    exchange.faults.append((backend.name, place))
                return False
            tried.add(place.pod)
            call = Call(exchange.asked, exchange.dialect, place.backend, place.pod, credential, exchange.headers)
            others = (left > 0 and self.pods.permits(place.standing, tried)) or self._any_serves(exchange, later)
            if await self._try(exchange, place.standing, call, upstream, _limits(exchange, self.now(), others=others)):
                return True
        return False

    def _next_place(self, exchange: Exchange, backend: Backend, tried: set[Pod]) -> "_Place | FaultKind":
        """Anew for each attempt: the table may have changed while the last one went on."""
        current = self.pods.now_of(backend)
        if current is None or not current.endpoints:
            return FaultKind.WITHDRAWN
        standing = self.pods.of(current)
        pod = self._next_pod(exchange, standing, tried)
        return FaultKind.CIRCUIT_OPEN if pod is None else _Place(current, standing, pod)

    def _upstream(self, exchange: Exchange, backend: Backend) -> Upstream | None:
        return self.forwarder if backend.protocol == exchange.dialect else self.translator

    def _credential(self, backend: Backend) -> str | None:
        return self.credentials.of(backend.credential) if backend.credential else ""

    def _any_serves(self, exchange: Exchange, backends: Sequence[Backend]) -> bool:
        """Whether one of them could be asked at this moment."""
        for backend in backends:
            current = self.pods.now_of(backend)
            if (
                current is not None
                and self._upstream(exchange, backend) is not None
                and self._credential(backend) is not None
                and self.pods.permits(self.pods.of(current), ())
            ):
                return True
        return False

    def _next_pod(self, exchange: Exchange, standing: Standing, tried: set[Pod]) -> Pod | None:
        """One that was not tried; else one again, where the same pod may do better a moment later."""
        pod = self.pods.choose(standing, exchange.session, tried)
        if pod is not None or not tried or exchange.faults[-1][1] in _NOT_AGAIN:
            return pod
        return self.pods.choose(standing, exchange.session, ())

    async def _try(
        self, exchange: Exchange, standing: Standing, call: Call, upstream: Upstream, limits: Limits
    ) -> bool:
        """False where another attempt may follow."""
        exchange.attempts += 1
        record = _record(exchange, call)
        trial = Trial(exchange, call, upstream, limits, record, self.now)
        standing.took(call.pod)
        try:
            await trial.run()
        except Fault as fault:
            record.outcome, record.status = fault.kind, fault.status or record.status
            self._judge(exchange, standing, call.pod, fault.kind)
            await self._after(exchange, trial, fault)
            return exchange.begun
        except asyncio.CancelledError:
            record.outcome = record.outcome or (CLIENT_LEFT if exchange.departure.gone else STOPPED)
            _spare(standing, call.pod)
            raise
        else:
            standing.breaker.succeeded()
            call.pod.breaker.succeeded()
            return True
        finally:
            standing.gave_back(call.pod)
            self._account(exchange, record, call.backend)

    async def _after(self, exchange: Exchange, trial: Trial, fault: Fault) -> None:
        """What a fault leads to: the end of a begun stream, of the time, or the next attempt."""
        if exchange.begun:
            await trial.break_off(fault)
            return
        exchange.faults.append((trial.call.backend.name, fault.kind))
        if self.now() >= exchange.deadline:
            told = "; ".join(f"{name}: {kind}" for name, kind in exchange.faults)
            raise Refused(504, "request_timeout", f"The request's time is over: {told}")

    def _judge(self, exchange: Exchange, standing: Standing, pod: Pod, kind: FaultKind) -> None:
        # A begun answer that outlasts the request's time was long, or read slowly.
        if kind in _HARMLESS or (exchange.begun and kind is FaultKind.TOTAL_TIMEOUT):
            _spare(standing, pod)
            return
        now = self.now()
        standing.breaker.failed(now)
        pod.breaker.failed(now)

    def _account(self, exchange: Exchange, record: Record, backend: Backend) -> None:
        usage = record.usage
        exchange.tokens += usage.tokens_in + usage.tokens_out
        record.cost_micros = usage.cost(backend.price)
        self.metrics.attempts.of(backend.name, record.outcome).inc()
        if usage.tokens_in or usage.tokens_out:
            self.metrics.tokens.of(backend.name, "in").inc(usage.tokens_in)
            self.metrics.tokens.of(backend.name, "out").inc(usage.tokens_out)
            self.metrics.tokens.of(backend.name, "cached").inc(usage.cached)
        self.spool.append(record)


def _spare(standing: Standing, pod: Pod) -> None:
    standing.breaker.spared()
    pod.breaker.spared()


def _limits(exchange: Exchange, now: float, *, others: bool) -> Limits:
    """Where others may answer, one that hangs leaves them a part of the time that is left; the last one has it all."""
    stated = exchange.decision.rule.limits.first_token_seconds
    attempt = (exchange.deadline - now) * _SHARE_OF_TIME if others else math.inf
    return Limits(_FIRST_BYTE_SECONDS if stated is None else stated, _GAP_SECONDS, attempt)


def _record(exchange: Exchange, call: Call) -> Record:
    return Record(
        id=f"{exchange.id}-{exchange.attempts}",
        time=time.time(),
        consumer=exchange.consumer.name,
        route=exchange.decision.route.name,
        rule=exchange.decision.rule.name,
        backend=call.backend.name,
        pod=call.pod.endpoint,
        operation=exchange.asked.operation,
        stream=exchange.asked.stream,
        generation=exchange.generation,
        why=exchange.why,
    )
