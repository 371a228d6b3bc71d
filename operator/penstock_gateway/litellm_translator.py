"""Translation by LiteLLM's functions, for backends that do not speak the client's protocol; its only importer.

LiteLLM is imported in a thread when the first such call comes: it takes seconds and hundreds of MiB, which a gateway
without such backends never spends.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from penstock_gateway.asgi import Headers
from penstock_gateway.dialects import Dialect
from penstock_gateway.errors import Fault, FaultKind
from penstock_gateway.upstream import Call

__all__ = ["LiteLLMTranslator"]

_FUNCTIONS = {
    "chat/completions": "acompletion",
    "completions": "atext_completion",
    "embeddings": "aembedding",
    "responses": "aresponses",
}
_TOKENS_PRICED = 1_000_000 * 1_000_000
"""Micro-units for a million tokens, as LiteLLM wants it: units for one."""
_NO_STATUS = 500


@dataclass(slots=True)
class Translated:
    """An answer in the client's dialect, already as bytes."""

    status: int
    stream: bool
    _pieces: AsyncIterator[bytes]
    headers: Headers = field(default_factory=list)

    async def read(self) -> bytes:
        try:
            return await anext(self._pieces, b"")
        except Exception as error:
            raise _fault(error) from error

    def close(self) -> None:
        """The iterator's connection ends with it."""


class LiteLLMTranslator:
    """`load` gives the module; tests put another one there."""

    def __init__(self, load: Callable[[], Any] = lambda: importlib.import_module("litellm")) -> None:
        self._load = load
        self._module: Any = None
        self._loading = asyncio.Lock()

    async def open(self, call: Call) -> Translated:
        try:
            module = await self._loaded()
        except ImportError as error:
            raise Fault(FaultKind.NO_TRANSLATOR) from error
        try:
            answer = await _function(module, call)(**_arguments(call))
        except Exception as error:  # noqa: BLE001 # every provider of LiteLLM raises its own
            return _refusal(error)
        if call.asked.stream:
            kind = (b"content-type", b"text/event-stream")
            return Translated(200, stream=True, _pieces=_events(answer, call.dialect), headers=[kind])
        return Translated(200, stream=False, _pieces=_one(_json(answer)), headers=_JSON)

    async def close(self) -> None:
        """LiteLLM's clients end with the process."""

    async def _loaded(self) -> Any:
        async with self._loading:
            if self._module is None:
                self._module = await asyncio.to_thread(self._load)
            return self._module


_JSON: Headers = [(b"content-type", b"application/json")]


def _function(module: Any, call: Call) -> Any:
    if call.dialect is Dialect.ANTHROPIC:
        return module.anthropic.messages.acreate
    return getattr(module, _FUNCTIONS[call.asked.operation])


def _arguments(call: Call) -> dict[str, Any]:
    """The attempts are ours, so LiteLLM makes one only."""
    backend = call.backend
    prefix = "hosted_vllm" if backend.protocol == Dialect.OPENAI else backend.protocol.lower()
    arguments = {
        **call.asked.translated(f"{prefix}/{backend.model}"),
        "api_key": call.credential or "none",
        "api_base": call.pod.endpoint,
        "max_retries": 0,
        "num_retries": 0,
    }
    if backend.price is not None:
        arguments["input_cost_per_token"] = backend.price.input_micros / _TOKENS_PRICED
        arguments["output_cost_per_token"] = backend.price.output_micros / _TOKENS_PRICED
    return arguments


def _plain(content: Any) -> Any:
    return content.model_dump(mode="json", exclude_none=True) if hasattr(content, "model_dump") else content


def _json(content: Any) -> bytes:
    return orjson.dumps(_plain(content))


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _events(chunks: AsyncIterator[Any], dialect: Dialect) -> AsyncIterator[bytes]:
    """Anthropic's come as events already, OpenAI's as objects."""
    async for chunk in chunks:
        yield chunk if isinstance(chunk, bytes) else b"data: " + _json(chunk) + b"\n\n"
    if dialect is Dialect.OPENAI:
        yield b"data: [DONE]\n\n"


def _refusal(error: Exception) -> Translated:
    """An error that is the client's own is its answer; everything else is a fault, as the edge judges a status."""
    status = getattr(error, "status_code", None)
    code = status if isinstance(status, int) else _NO_STATUS
    body = {"error": {"message": str(error), "type": "invalid_request_error", "param": None, "code": code}}
    return Translated(code, stream=False, _pieces=_one(orjson.dumps(body)), headers=_JSON)


def _fault(error: Exception) -> Fault:
    status = getattr(error, "status_code", None)
    return Fault(FaultKind.RESET, status if isinstance(status, int) else 0)
