"""A steady load on an endpoint that speaks OpenAI's API, and who answered it by the response headers of the edge.

Requests leave at their times whether or not those before them are answered, as from many clients.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

from penstock.workqueue.clock import Clock, SystemClock

__all__ = ["Counts", "LoadSettings", "Outcome", "Result", "SteadyLoad"]

_MARKS = ("route", "rule", "backend", "attempts", "generation", "why")
"""Response headers of the edge, after `x-penstock-`."""
_OTHERS = "others"
_MOST_VALUES = 256
_FAREWELL_SECONDS = 15.0


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "Answered"
    FAILED = "Failed"
    """Before the first byte of an answer, or with a status of 400 or more."""
    BROKEN = "Broken"
    """After it: the answer did not come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """Whom to ask, how often, and which share (0 to 1) as streams; `url` without the `/v1`, times in seconds."""

    url: str
    model: str
    per_second: float
    key: str = field(default="", repr=False)
    streams: float = 0.5
    tokens: int = 8
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30.0
    at_once: int = 256
    kept: int = 200


@dataclass(frozen=True, slots=True)
class Result:
    """One request: how it ended, what the edge said of it, `problem` where it went wrong, and how long it took."""

    outcome: Outcome
    stream: bool
    status: int
    seconds: float
    marks: Mapping[str, str]
    fingerprint: str = ""
    problem: str = ""


@dataclass(slots=True)
class Counts:
    """Requests that were sent in one stretch of time, by how they ended and by the headers of their answers.

    `skipped` were not sent, as too many were under way. Of each header at most 256 values are told apart.
    """

    sent: int = 0
    skipped: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    fingerprints: Counter[str] = field(default_factory=Counter)
    marks: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in _MARKS})

    @property
    def answered(self) -> int:
        """To their end, with a status below 400."""
        return self.outcomes[Outcome.ANSWERED]

    @property
    def failed(self) -> int:
        """Before the first byte, or refused."""
        return self.outcomes[Outcome.FAILED]

    @property
    def broken(self) -> int:
        """In the middle."""
        return self.outcomes[Outcome.BROKEN]

    @property
    def backends(self) -> Counter[str]:
        """Answers by the backend that gave them."""
        return self.marks["backend"]

    @property
    def in_flight(self) -> int:
        """Sent, and not over yet."""
        return self.sent - sum(self.outcomes.values())

    def add(self, result: Result) -> None:
        """One of them is over."""
        self.outcomes[result.outcome] += 1
        self.statuses[result.status] += 1
        for counter, value in ((self.problems, result.problem), (self.fingerprints, result.fingerprint)):
            _count(counter, value)
        for name, value in result.marks.items():
            _count(self.marks[name], value)


class SteadyLoad:
    """`async with` starts it and ends it; what is under way then is waited for.

    `counts` are of the stretch of time since `begin` was called last, `latest` the last results, oldest first.
    """

    def __init__(self, settings: LoadSettings, *, clock: Clock | None = None) -> None:
        self.counts = Counts()
        self.latest: deque[Result] = deque(maxlen=settings.kept)
        self._settings = settings
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None
        self._pacing: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        # A connection for each request, as from many clients: a Service spreads connections, not requests.
        connector = aiohttp.TCPConnector(limit=self._settings.at_once, force_close=True)
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        self._pacing = asyncio.create_task(self._pace(self._session), name=f"load on {self._settings.model}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pacing is not None:
            self._pacing.cancel()
            await asyncio.gather(self._pacing, return_exceptions=True)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=0 if kind else _FAREWELL_SECONDS)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def begin(self) -> Counts:
        """Count anew what is sent from now on; what was counted so far, to which what is under way still comes."""
        before, self.counts = self.counts, Counts()
        return before

    async def _pace(self, session: aiohttp.ClientSession) -> None:
        """By the times at which requests are due, so that a slow moment is made up for."""
        began, number = self._clock.monotonic(), 0
        while True:
            due = began + number / self._settings.per_second
            await self._clock.sleep(due - self._clock.monotonic())
            number += 1
            self._send(session, number)

    def _send(self, session: aiohttp.ClientSession, number: int) -> None:
        counts = self.counts
        if len(self._under_way) >= self._settings.at_once:
            counts.skipped += 1
            return
        counts.sent += 1
        share = self._settings.streams
        stream = int(number * share) > int((number - 1) * share)
        task = asyncio.create_task(self._ask(session, counts, stream=stream))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self, session: aiohttp.ClientSession, counts: Counts, *, stream: bool) -> None:
        asking = _Asking(self._settings, stream=stream)
        began = self._clock.monotonic()
        try:
            await asking.run(session)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            asking.problem = type(error).__name__
        except asyncio.CancelledError:
            asking.problem = "the load ended"
            raise
        finally:
            result = asking.result(self._clock.monotonic() - began)
            counts.add(result)
            self.latest.append(result)


@dataclass(slots=True)
class _Asking:
    """One request as far as it got."""

    settings: LoadSettings
    stream: bool
    status: int = 0
    begun: bool = False
    whole: bool = False
    fingerprint: str = ""
    problem: str = ""
    marks: dict[str, str] = field(default_factory=dict)

    async def run(self, session: aiohttp.ClientSession) -> None:
        url = f"{self.settings.url}/v1/chat/completions"
        async with session.post(url, json=self._body(), headers=self._headers()) as response:
            self.status = response.status
            told = {name: response.headers.get(f"x-penstock-{name}", "") for name in _MARKS}
            self.marks = {name: value for name, value in told.items() if value}
            if response.status >= HTTPStatus.BAD_REQUEST:
                self.problem = f"status {response.status}"
                return
            await (self._read_stream(response) if self.stream else self._read_whole(response))

    def result(self, seconds: float) -> Result:
        outcome = Outcome.ANSWERED if self.whole else Outcome.BROKEN if self.begun else Outcome.FAILED
        problem = self.problem or ("" if self.whole else "no end")
        return Result(outcome, self.stream, self.status, seconds, self.marks, self.fingerprint, problem)

    def _body(self) -> dict[str, Any]:
        words = [{"role": "user", "content": "What are you?"}]
        body = {"model": self.settings.model, "messages": words, "max_tokens": self.settings.tokens}
        return {**body, "stream": True} if self.stream else body

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self.settings.key}"} if self.settings.key else {}
        return {**self.settings.headers, **key}

    async def _read_whole(self, response: aiohttp.ClientResponse) -> None:
        content = bytearray()
        async for piece in response.content.iter_any():
            self.begun = True
            content += piece
        self.fingerprint = str(json.loads(content).get("system_fingerprint") or "")
        self.whole = True

    async def _read_stream(self, response: aiohttp.ClientResponse) -> None:
        """To its `[DONE]`; an error in the middle is no end."""
        async for line in response.content:
            self.begun = True
            words = line.decode().removeprefix("data:").strip()
            if words == "[DONE]":
                self.whole = not self.problem
            elif words.startswith("{"):
                self._read_chunk(json.loads(words))

    def _read_chunk(self, chunk: Mapping[str, Any]) -> None:
        self.fingerprint = str(chunk.get("system_fingerprint") or self.fingerprint)
        if "error" in chunk:
            self.problem = "an error in the stream"


def _count(counter: Counter[str], value: str) -> None:
    """Bounded: what comes after many different values is counted together."""
    if value:
        counter[value if value in counter or len(counter) < _MOST_VALUES else _OTHERS] += 1
