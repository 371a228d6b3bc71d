"""Translation by LiteLLM's functions, for backends that do not speak the client's protocol; its only importer.

LiteLLM is imported in a thread when the first such call comes: it takes seconds and hundreds of MiB, which a gateway
without such backends never spends.
"""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from penstock_gateway.asgi import Headers
from penstock_gateway.dialects import Dialect, error_body
from penstock_gateway.errors import Fault, FaultKind
from penstock_gateway.objections import objection_in
from penstock_gateway.translatable import arguments_in, foreign_field
from penstock_gateway.upstream import Call

__all__ = ["LiteLLMTranslator"]

_FUNCTIONS = {
    "chat/completions": "acompletion",
    "completions": "atext_completion",
    "embeddings": "aembedding",
    "responses": "aresponses",
}
_PREFIXES = {Dialect.OPENAI.value: ("hosted_vllm", "/v1")}
"""LiteLLM's name for a protocol, and what it wants after the address; for its hosted providers it adds that itself."""
_NO_STATUS = 500
_BAD_REQUEST, _NOT_FOUND = 400, 404


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

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self._load = load or _import
        self._module: Any = None
        self._loading = asyncio.Lock()

    async def open(self, call: Call) -> Translated:
        field = foreign_field(call.asked.operation, call.asked.content)
        if field is not None:
            message = f"{field}: cannot be translated for {call.backend.name}; leave it out"
            return _error(call, _BAD_REQUEST, message, field)
        try:
            module = await self._loaded()
        except ImportError as error:
            raise Fault(FaultKind.NO_TRANSLATOR) from error
        try:
            answer = await _function(module, call)(**_arguments(call))
        except Exception as error:  # noqa: BLE001 # every provider of LiteLLM raises its own
            return _refusal(error, call)
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


def _import() -> Any:
    """Without advice on the standard output, and without a look on the Internet for prices."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module: Any = importlib.import_module("litellm")
    module.suppress_debug_info = True
    return module


_JSON: Headers = [(b"content-type", b"application/json")]


def _function(module: Any, call: Call) -> Any:
    if call.dialect is Dialect.ANTHROPIC:
        return module.anthropic.messages.acreate
    return getattr(module, _FUNCTIONS[call.asked.operation])


def _arguments(call: Call) -> dict[str, Any]:
    """The attempts are ours, so LiteLLM makes one only; the costs too: told prices, it shows them to clients."""
    backend = call.backend
    prefix, suffix = _PREFIXES.get(backend.protocol, (backend.protocol.lower(), ""))
    operation, model = call.asked.operation, f"{prefix}/{backend.model}"
    arguments = {
        **arguments_in(operation, call.asked.translated(model)),
        "api_key": call.credential or "none",
        "api_base": call.pod.endpoint.rstrip("/") + suffix,
        "max_retries": 0,
        "num_retries": 0,
    }
    if call.dialect is Dialect.ANTHROPIC:
        # It would load LiteLLM's whole application for one, and call other models by it.
        arguments["litellm_router"] = _NoRouter()
    return arguments


class _NoRouter:
    """Stands where LiteLLM looks for its router; nothing can be asked of it."""


def _plain(content: Any) -> Any:
    return content.model_dump(mode="json", exclude_none=True) if hasattr(content, "model_dump") else content


def _json(content: Any) -> bytes:
    return orjson.dumps(_plain(content))


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _events(chunks: AsyncIterator[Any], dialect: Dialect) -> AsyncIterator[bytes]:
    """Anthropic's come as events already, OpenAI's as objects."""
    async for chunk in chunks:
        yield chunk if isinstance(chunk, bytes) else b"data: " + orjson.dumps(_as_openai(_plain(chunk))) + b"\n\n"
    if dialect is Dialect.OPENAI:
        yield b"data: [DONE]\n\n"


def _as_openai(chunk: Any) -> Any:
    """The chunk of usage without choices, as OpenAI's own: LiteLLM gives it one that says nothing."""
    if isinstance(chunk, dict) and "usage" in chunk and not any(map(_says_anything, chunk.get("choices", ()))):
        chunk["choices"] = []
    return chunk


def _says_anything(choice: dict[str, Any]) -> bool:
    return bool(choice.get("delta") or choice.get("finish_reason") or choice.get("text"))


def _refusal(error: Exception, call: Call) -> Translated:
    """An error that is the client's own is its answer; everything else is a fault, as the edge judges a status."""
    stated = getattr(error, "status_code", None)
    status = stated if isinstance(stated, int) else _NO_STATUS
    objection = objection_in(str(error))
    if objection is not None and status == _BAD_REQUEST and objection.to_model(call.backend.model):
        status = _NOT_FOUND
    # The provider's own words where they can be told from LiteLLM's.
    message = (objection.message if objection else "") or str(error)
    return _error(call, status, message, objection.field if objection else None)


def _error(call: Call, status: int, message: str, field: str | None) -> Translated:
    body = error_body(call.dialect, status, "upstream_error", message, field)
    return Translated(status, stream=False, _pieces=_one(body), headers=_JSON)


def _fault(error: Exception) -> Fault:
    status = getattr(error, "status_code", None)
    return Fault(FaultKind.RESET, status if isinstance(status, int) else 0)
