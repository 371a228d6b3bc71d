"""A hosted provider, simulated: OpenAI's API behind a key, on the loopback interface, with faults at the switch.

It answers as a simulated engine does, which knows nothing of keys, limits and embeddings: those are here.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from http import HTTPStatus
from types import TracebackType
from typing import Self

from aiohttp import web

from penstock.api.formats import EngineName
from penstock.catalogue.engines import DEFAULT_VERSIONS
from penstock.simulation.command_line import EngineSettings
from penstock.simulation.embeddings import embedding_list
from penstock.simulation.exposition import EngineMetrics
from penstock.simulation.faults import ProviderFaults
from penstock.simulation.openai import BadRequest, error_body
from penstock.simulation.serving import Serving, Timing
from penstock.workqueue.clock import Clock, SystemClock

__all__ = ["HostedProvider", "ProviderSettings"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PATHS = frozenset({"/v1/chat/completions", "/v1/embeddings", "/v1/models"})
_CONTEXT_TOKENS = 131_072
_AT_ONCE = 1024
_KV_TOKENS = 2**30
_CUT_SECONDS = 0.001
_BACKLOG = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Who it is, what it serves, and the key that it wants; `port` 0 takes a free one."""

    name: str
    models: Sequence[str]
    key: str = field(repr=False)
    timing: Timing = field(default_factory=lambda: Timing(first_token=0.05, prompt_token=0.0, token=0.005))
    host: str = "127.0.0.1"
    port: int = 0


class HostedProvider:
    """`async with` starts it and stops it. `requests` counts what came by path, `refused` what was no 2xx, by status.

    Answers say in `system_fingerprint` who gave them.
    """

    def __init__(self, settings: ProviderSettings, *, clock: Clock | None = None) -> None:
        self.faults = ProviderFaults()
        self.requests: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()
        self._settings = settings
        self._serving = _serving(settings, self.faults, clock or SystemClock())
        self._runner: web.AppRunner | None = None
        self._port = settings.port

    @property
    def url(self) -> str:
        """Where it listens, without the `/v1`."""
        return f"http://{self._settings.host}:{self._port}"

    @property
    def key(self) -> str:
        """What it wants to be asked with."""
        return self._settings.key

    async def __aenter__(self) -> Self:
        application = self._serving.application()
        application.router.add_post("/v1/embeddings", self._embeddings)
        application.middlewares.append(self._guarded)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_CUT_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, self._port, backlog=_BACKLOG).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count, then fail as the switches say, then ask for the key."""
        path = request.path if request.path in _PATHS else "other"
        self.requests[path] += 1
        if self.faults.down:
            _cut(request)
        try:
            self._admit(request)
            answer = await handler(request)
        except BadRequest as problem:
            answer = self._refusal(problem)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            self.refused[answer.status] += 1
        return answer

    def _admit(self, request: web.Request) -> None:
        if request.path not in _PATHS:
            raise BadRequest(HTTPStatus.NOT_FOUND, "invalid_request_error", f"Unknown request URL: {request.path}")
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        # Headers are bytes: what is no UTF-8 in them comes as surrogates.
        given = key.encode(errors="surrogateescape")
        if kind != "Bearer" or not compare_digest(given, self._settings.key.encode()):
            raise BadRequest(HTTPStatus.UNAUTHORIZED, "invalid_request_error", "Incorrect API key provided.")
        if self.faults.limited:
            raise BadRequest(HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error", "Rate limit reached; try again later.")
        if self.faults.unavailable:
            raise BadRequest(HTTPStatus.SERVICE_UNAVAILABLE, "server_error", "The server is overloaded.")

    def _refusal(self, problem: BadRequest) -> web.Response:
        after = self.faults.retry_after
        told = problem.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE} and after is not None
        headers = {"Retry-After": str(after)} if told else {}
        return web.json_response(error_body(EngineName.VLLM, problem), status=problem.status, headers=headers)

    async def _embeddings(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except json.JSONDecodeError as error:
            message = f"the body is no JSON: {error}"
            raise BadRequest(HTTPStatus.BAD_REQUEST, "invalid_request_error", message) from error
        content = embedding_list(body, models=self._settings.models)
        return web.json_response({**content, "system_fingerprint": self._settings.name})


def _serving(settings: ProviderSettings, faults: ProviderFaults, clock: Clock) -> Serving:
    """An engine's answers under the provider's names."""
    engine = EngineSettings(
        engine=EngineName.VLLM,
        version=DEFAULT_VERSIONS[EngineName.VLLM],
        model=settings.models[0],
        served_names=tuple(settings.models),
        host=settings.host,
        port=settings.port,
        max_model_tokens=_CONTEXT_TOKENS,
        max_sequences=_AT_ONCE,
        tensor_parallel=1,
        block_tokens=16,
        kv_cache_dtype="auto",
        shutdown_seconds=0.0,
        serves_metrics=False,
    )
    metrics = EngineMetrics(engine, kv_tokens=_KV_TOKENS)
    return Serving(
        settings=engine,
        timing=settings.timing,
        clock=clock,
        faults=faults,
        metrics=metrics,
        fingerprint=settings.name,
        warm=True,
    )


def _cut(request: web.Request) -> None:
    """End the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    message = "the provider is down"
    raise ConnectionResetError(message)
