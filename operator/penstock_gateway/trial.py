"""One attempt at one pod: its time limits, the relay of the answer, and what it came to.

Until the first byte is sent to the client a fault is raised, and another attempt may follow; after that the client is
told by an error event, because an answer cannot be begun twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from penstock_gateway.dialects import error_event
from penstock_gateway.errors import Fault, FaultKind
from penstock_gateway.events import Events
from penstock_gateway.exchange import Exchange
from penstock_gateway.objections import objection_of
from penstock_gateway.records import ANSWERED, CLIENTS_FAULT, Record
from penstock_gateway.upstream import Call, Reply, Upstream
from penstock_gateway.usage import NO_USAGE, usage_of_body

__all__ = ["Limits", "Trial"]

_LARGEST_ANSWER_BYTES = 256 * 2**20
_OK = range(200, 300)
_SERVER = 500
_BAD_REQUEST = 400
_KINDS = {
    401: FaultKind.UNAUTHORIZED,
    402: FaultKind.UNAUTHORIZED,
    403: FaultKind.UNAUTHORIZED,
    404: FaultKind.NOT_FOUND,
    405: FaultKind.NOT_FOUND,
    408: FaultKind.UNEXPECTED,
    425: FaultKind.UNEXPECTED,
    429: FaultKind.RATE_LIMITED,
}
_CLIENT = range(400, 500)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: until the first byte of a stream (or of an embedding), between its pieces, until the client is answered.

    The last is there so that an upstream that hangs leaves time to another one; infinite where there is none.
    """

    first_byte: float
    gap: float
    attempt: float


@dataclass(slots=True)
class Trial:
    """`run` ends when the client has its answer; Fault where another attempt may give one."""

    exchange: Exchange
    call: Call
    upstream: Upstream
    limits: Limits
    record: Record
    now: Callable[[], float]
    _expected: FaultKind = FaultKind.FIRST_BYTE_TIMEOUT
    _began: float = 0.0

    async def run(self) -> None:
        """Fault, where nothing was sent to the client; what it came to is in the record."""
        self._began = self.now()
        try:
            async with asyncio.timeout(None) as timer:
                await self._run(timer)
        except TimeoutError:
            raise Fault(self._expected) from None
        finally:
            self.record.total_seconds = self.now() - self._began

    async def _run(self, timer: asyncio.Timeout) -> None:
        quick = self.exchange.asked.stream or self.exchange.asked.operation == "embeddings"
        self._allow(timer, self.limits.first_byte if quick else None, FaultKind.FIRST_BYTE_TIMEOUT)
        reply = await self.upstream.open(self.call)
        try:
            self.record.status = reply.status
            _refuse_fault(reply.status)
            if reply.stream and reply.status in _OK:
                await self._relay(reply, timer)
            else:
                await self._whole(reply, timer)
        finally:
            reply.close()

    def _allow(self, timer: asyncio.Timeout, seconds: float | None, expected: FaultKind) -> None:
        """Wait so long, and never longer than the request or, until the client has an answer, the attempt may take."""
        now = self.now()
        left, self._expected = self.exchange.deadline - now, FaultKind.TOTAL_TIMEOUT
        mine = self._began + self.limits.attempt - now
        if mine < left and not self.exchange.begun:
            left, self._expected = mine, FaultKind.ATTEMPT_TIMEOUT
        if seconds is not None and seconds < left:
            left, self._expected = seconds, expected
        timer.reschedule(asyncio.get_running_loop().time() + left)

    async def _whole(self, reply: Reply, timer: asyncio.Timeout) -> None:
        """Read to the end before anything is sent: until then another pod may answer."""
        body = await self._first(reply)
        self._allow(timer, None, FaultKind.TOTAL_TIMEOUT)
        body = await _rest(reply, body)
        if reply.status == _BAD_REQUEST:
            self._refuse_own_model(body)
        self.record.outcome = ANSWERED if reply.status in _OK else CLIENTS_FAULT
        timer.reschedule(None)
        length = (b"content-length", str(len(body)).encode())
        await self.exchange.begin(reply.status, [*reply.headers, length], self.call.backend.name)
        await self.exchange.end(body)
        if reply.status in _OK:
            self.record.usage = usage_of_body(body) or NO_USAGE

    def _refuse_own_model(self, body: bytes) -> None:
        """Fault where the upstream does not know the model that it is said to serve: that is no client's error."""
        objection = objection_of(body)
        if objection is not None and objection.to_model(self.call.backend.model):
            raise Fault(FaultKind.NOT_FOUND, _BAD_REQUEST)

    async def _first(self, reply: Reply) -> bytes:
        piece = await reply.read()
        self.record.first_byte_seconds = self.now() - self._began
        return piece

    async def _relay(self, reply: Reply, timer: asyncio.Timeout) -> None:
        piece = await self._first(reply)
        if not piece:
            raise Fault(FaultKind.RESET)
        events = Events(drops_usage=self.exchange.asked.adds_usage)
        try:
            await self.exchange.begin(reply.status, reply.headers, self.call.backend.name)
            await self._pass_on(reply, piece, events, timer)
            await self.exchange.end(events.end())
            self.record.outcome = ANSWERED
        finally:
            self.record.usage = events.usage or NO_USAGE

    async def _pass_on(self, reply: Reply, piece: bytes, events: Events, timer: asyncio.Timeout) -> None:
        while piece:
            passed = events.feed(piece)
            if passed:
                # A client that reads slowly is not the upstream's fault.
                self._allow(timer, None, FaultKind.TOTAL_TIMEOUT)
                await self.exchange.go_on(passed)
            self._allow(timer, self.limits.gap, FaultKind.GAP_TIMEOUT)
            piece = await reply.read()
        timer.reschedule(None)

    async def break_off(self, fault: Fault) -> None:
        """Tell the client that its stream ends here."""
        message = f"{self.call.backend.name} broke off: {fault.kind}"
        await self.exchange.end(error_event(self.exchange.dialect, fault.kind, message))


def _refuse_fault(status: int) -> None:
    """A client's own errors pass; all others are the upstream's fault, redirections too: nobody is sent elsewhere."""
    if status in _OK:
        return
    if status in _KINDS:
        raise Fault(_KINDS[status], status)
    if status not in _CLIENT:
        raise Fault(FaultKind.SERVER_ERROR if status >= _SERVER else FaultKind.UNEXPECTED, status)


async def _rest(reply: Reply, first: bytes) -> bytes:
    piece = await reply.read() if first else b""
    if not piece:
        return first
    parts, size = [first], len(first)
    while piece:
        parts.append(piece)
        size += len(piece)
        if size > _LARGEST_ANSWER_BYTES:
            raise Fault(FaultKind.TOO_LARGE)
        piece = await reply.read()
    return b"".join(parts)
