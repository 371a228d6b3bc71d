"""One request on its way through the edge: what was asked and decided, what was tried, and the answer's head."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from penstock_gateway.asgi import Headers, Message, Receive, Send, start
from penstock_gateway.asked import Asked
from penstock_gateway.dialects import Dialect
from penstock_gateway.errors import FaultKind
from penstock_policy.decision import Decision
from penstock_policy.table import Consumer

__all__ = ["Departure", "Exchange"]

_LONGEST_WHY = 200
_UNWATCHED_SECONDS = 0.02


class Departure:
    """Cancels the task that it is entered in when the client goes; `gone` says so.

    It reads `receive`, and only after a moment: most requests are over before a task for it would pay.
    """

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._receive = receive
        self._over = False
        self._task: asyncio.Task[object] | None = None
        self._watch: asyncio.Task[Message] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_UNWATCHED_SECONDS, self._begin)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self.over()
        if not self.gone or self._task is None:
            return False
        # Ours is taken back; a cancellation from outside, as at the end of a drain, goes on.
        others = self._task.uncancel()
        return kind is not None and issubclass(kind, asyncio.CancelledError) and others == 0

    def over(self) -> None:
        """Before the last bytes are sent: from now on an end of the connection is no departure."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _begin(self) -> None:
        self._watch = asyncio.ensure_future(self._read())
        self._watch.add_done_callback(self._ended)

    async def _read(self) -> Message:
        return await self._receive()

    def _ended(self, watch: "asyncio.Task[Message]") -> None:
        if watch.cancelled() or self._over or self._task is None:
            return
        self.gone = True
        self._task.cancel()


@dataclass(slots=True)
class Exchange:
    """A request that was let in; `began` and `deadline` are seconds of the clock that never goes back."""

    id: str
    asked: Asked
    dialect: Dialect
    consumer: Consumer
    session: str
    decision: Decision
    generation: int
    headers: tuple[tuple[str, str], ...]
    send: Send
    departure: Departure
    now: Callable[[], float]
    began: float
    deadline: float
    attempts: int = 0
    begun: bool = False
    """Whether the client has the head of an answer: then nothing else can answer any more."""
    begun_at: float = 0.0
    status: int = 0
    """What the client was answered."""
    tokens: int = 0
    """What all attempts used together, as far as answers told it."""
    faults: list[tuple[str, FaultKind]] = field(default_factory=list)
    """What was tried or passed over, in order."""

    @property
    def why(self) -> str:
        """Why this backend answers: the first choice, or what happened to those before it."""
        if not self.faults:
            return "first choice"
        return "after " + ", ".join(f"{name} {kind}" for name, kind in self.faults)[:_LONGEST_WHY]

    def marks(self, backend: str) -> Headers:
        """The response headers that explain the answer."""
        told = (
            (b"x-penstock-route", self.decision.route.name),
            (b"x-penstock-rule", self.decision.rule.name),
            (b"x-penstock-backend", backend),
            (b"x-penstock-attempts", str(self.attempts)),
            (b"x-penstock-why", self.why),
            (b"x-penstock-generation", str(self.generation)),
        )
        return [(name, value.encode("latin-1", "replace")) for name, value in told if value]

    async def begin(self, status: int, headers: Headers, backend: str) -> None:
        """Send the head."""
        self.begun, self.begun_at, self.status = True, self.now(), status
        await self.send(start(status, headers + self.marks(backend)))

    async def go_on(self, body: bytes) -> None:
        """Send a piece."""
        await self.send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes) -> None:
        """Send the last piece."""
        self.departure.over()
        await self.send({"type": "http.response.body", "body": body})
