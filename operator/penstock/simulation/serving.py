"""The HTTP side of a simulated engine: OpenAI's API, health, information and metrics, as the real routes behave.

It knows nothing of processes: loading, signals and exits are engine.py's.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from typing import Any

from aiohttp import web

from penstock.api.formats import EngineName
from penstock.simulation.command_line import EngineSettings
from penstock.simulation.exposition import EngineMetrics
from penstock.simulation.faults import Faults
from penstock.simulation.openai import Ask, BadRequest, Reply, error_body, model_list, read_ask
from penstock.workqueue.clock import Clock

__all__ = ["Serving", "Timing"]

_BODY_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds of the clock that the engine is given.

    `load` until the weights are in memory and `warm_up` after it; `first_token` and `token` for each request,
    `prompt_token` for each token of its prompt.
    """

    load: float = 30.0
    warm_up: float = 2.0
    first_token: float = 0.2
    prompt_token: float = 0.0001
    token: float = 0.02


@dataclass(slots=True)
class Serving:
    """Answers requests; `draining` and `warm` are set from outside."""

    settings: EngineSettings
    timing: Timing
    clock: Clock
    faults: Faults
    metrics: EngineMetrics
    fingerprint: str = "simulated"
    warm: bool = False
    draining: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _slots: asyncio.Semaphore = field(init=False)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _in_flight: int = 0

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.settings.max_sequences)
        self.idle.set()

    def application(self) -> web.Application:
        """Every route that the simulation has; others are 404."""
        application = web.Application(client_max_size=_BODY_BYTES)
        application.router.add_post("/v1/chat/completions", self._route(chat=True))
        application.router.add_post("/v1/completions", self._route(chat=False))
        application.router.add_get("/v1/models", self._models)
        application.router.add_get("/health", self._health)
        if self.settings.serves_metrics:
            application.router.add_get("/metrics", self._metrics)
        for path, handler in self._own_routes():
            application.router.add_get(path, handler)
        return application

    def _own_routes(self) -> list[tuple[str, Callable[[web.Request], Awaitable[web.Response]]]]:
        if self.settings.engine is EngineName.VLLM:
            return [("/version", self._version), ("/ping", self._health), ("/load", self._load)]
        information = [(path, self._server_info) for path in ("/server_info", "/get_server_info")]
        return [("/ready", self._health), ("/ping", self._health), ("/model_info", self._model_info), *information]

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(model_list(self.settings, created=self._now()))

    async def _health(self, _: web.Request) -> web.Response:
        """Only a flag for vLLM: it stays well while it drains or hangs. SGLang is ill while it starts or ends."""
        well = self.settings.engine is EngineName.VLLM or (self.warm and not self.draining)
        return web.Response(status=HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": self.settings.version})

    async def _load(self, _: web.Request) -> web.Response:
        return web.json_response({"server_load": self._in_flight})

    async def _server_info(self, _: web.Request) -> web.Response:
        content = {
            "model_path": self.settings.model,
            "served_model_name": self.settings.served_names[0],
            "tp_size": self.settings.tensor_parallel,
            "context_length": self.settings.max_model_tokens,
            "max_running_requests": self.settings.max_sequences,
            "disaggregation_mode": "null",
            "version": self.settings.version,
        }
        return web.json_response(content)

    async def _model_info(self, _: web.Request) -> web.Response:
        return web.json_response({"model_path": self.settings.model, "is_generation": True})

    def _route(self, *, chat: bool) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._complete(request, chat=chat)
            except BadRequest as problem:
                return web.json_response(error_body(self.settings.engine, problem), status=problem.status)
            except ConnectionResetError:
                # The client went, or we were killed: nobody reads this, and it is no fault to log.
                return web.Response()

        return handle

    async def _complete(self, request: web.Request, *, chat: bool) -> web.StreamResponse:
        if self.faults.error:
            raise BadRequest(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalServerError", "EngineCore is dead.")
        if self.draining and self.settings.engine is EngineName.VLLM:
            # What the real one does with requests that come while it drains was not observed: the harsher case.
            raise BadRequest(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailableError", "The engine is shutting down.")
        ask = read_ask(self.settings, await _body(request), chat=chat)
        prefix = "chatcmpl" if chat else "cmpl"
        reply = Reply(ask, f"{prefix}-{next(self._numbers)}", self._now(), self.fingerprint)
        async with self._turn(ask):
            return await (self._stream(request, reply) if ask.stream else self._whole(reply))

    @asynccontextmanager
    async def _turn(self, ask: Ask) -> AsyncIterator[None]:
        """Wait for a free sequence, run, and count it."""
        self._in_flight += 1
        self.idle.clear()
        try:
            async with self._slot():
                self.metrics.started(ask.prompt_tokens + ask.tokens)
                try:
                    yield
                finally:
                    self.metrics.ended(ask.prompt_tokens + ask.tokens)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self.idle.set()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        self.metrics.queued(1)
        try:
            await self._slots.acquire()
        finally:
            self.metrics.queued(-1)
        try:
            yield
        finally:
            self._slots.release()

    async def _prefill(self, ask: Ask) -> None:
        if self.faults.hang:
            await asyncio.Event().wait()
        await self._wait(self.timing.first_token + self.timing.prompt_token * ask.prompt_tokens)

    async def _whole(self, reply: Reply) -> web.Response:
        began = self.clock.monotonic()
        await self._prefill(reply.ask)
        first = self.clock.monotonic() - began
        await self._wait(self.timing.token * (reply.ask.tokens - 1))
        self._count(reply, began=began, first=first)
        return web.json_response(reply.whole())

    async def _stream(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        began = self.clock.monotonic()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        first = 0.0
        for number, chunk in enumerate(reply.chunks()):
            if number == self.faults.disconnect_after:
                _cut(request)
            if number == 0:
                await self._prefill(reply.ask)
                first = self.clock.monotonic() - began
                await _send(response, reply.first_chunk())
            else:
                await self._wait(self.timing.token)
            await _send(response, chunk)
        await _send(response, reply.usage_chunk())
        await response.write(b"data: [DONE]\n\n")
        self._count(reply, began=began, first=first)
        return response

    def _count(self, reply: Reply, *, began: float, first: float) -> None:
        ask = reply.ask
        whole = self.clock.monotonic() - began
        reason = "length" if ask.cut else "stop"
        self.metrics.answered(prompt_tokens=ask.prompt_tokens, tokens=ask.tokens, reason=reason)
        self.metrics.timed(first_token=first, token=(whole - first) / max(1, ask.tokens - 1), request=whole)

    async def _wait(self, seconds: float) -> None:
        await self.clock.sleep(seconds * self.faults.slow)

    def _now(self) -> int:
        return int(self.clock.now().timestamp())


async def _body(request: web.Request) -> Any:
    try:
        return await request.json()
    except json.JSONDecodeError as error:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "BadRequestError", f"the body is no JSON: {error}") from error


async def _send(response: web.StreamResponse, chunk: dict[str, Any] | None) -> None:
    if chunk is not None:
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def _cut(request: web.Request) -> None:
    """Break the connection as a dying process does."""
    if request.transport is not None:
        request.transport.abort()
    message = "the engine broke the stream"
    raise ConnectionResetError(message)
