"""Requests and answers in OpenAI's form, as vLLM and SGLang read and write them; no transport and no time.

Tokens are counted by a rule of thumb, answers are words of a fixed sentence: no model runs here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.api.formats import EngineName
from penstock.simulation.command_line import EngineSettings

__all__ = ["Ask", "BadRequest", "Reply", "error_body", "model_list", "read_ask"]

_CHARACTERS_PER_TOKEN = 4
_SENTENCE = (
    "I",
    "am",
    "simulated",
    "no",
    "model",
    "runs",
    "here",
    "and",
    "every",
    "answer",
    "is",
    "this",
    "sentence",
    "again",
)
_OWN_LENGTH = 24
"""Tokens after which an answer stops by itself."""


class BadRequest(Exception):
    """The engine answers with this status and message."""

    def __init__(self, status: int, kind: str, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a completion, read and checked; `tokens` is how long the answer will be."""

    chat: bool
    model: str
    prompt_tokens: int
    tokens: int
    cut: bool
    stream: bool
    include_usage: bool


def error_body(engine: EngineName, problem: BadRequest) -> dict[str, Any]:
    """The engine's own form: vLLM nests it, SGLang does not."""
    content = {"message": problem.message, "type": problem.kind, "param": problem.parameter, "code": problem.status}
    return {"error": content} if engine is EngineName.VLLM else {"object": "error", **content}


def model_list(settings: EngineSettings, *, created: int) -> dict[str, Any]:
    """The body of /v1/models."""
    owner = "vllm" if settings.engine is EngineName.VLLM else "sglang"
    entries = [
        {
            "id": name,
            "object": "model",
            "created": created,
            "owned_by": owner,
            "root": settings.model,
            "parent": None,
            "max_model_len": settings.max_model_tokens,
        }
        for name in settings.served_names
    ]
    return {"object": "list", "data": entries}


def read_ask(settings: EngineSettings, body: Any, *, chat: bool) -> Ask:
    """Check a request body as the engine does; BadRequest where it refuses."""
    if not isinstance(body, Mapping):
        raise BadRequest(400, "BadRequestError", "the body must be a JSON object")
    model = body.get("model") or settings.served_names[0]
    if settings.engine is EngineName.VLLM and model not in settings.served_names:
        # SGLang answers whatever name it is called by.
        raise BadRequest(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
    prompt_tokens = _count(_prompt(body, chat=chat))
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    _check_length(settings, prompt_tokens, limit)
    room = settings.max_model_tokens - prompt_tokens
    tokens = min(_OWN_LENGTH, room, limit or room)
    if body.get("ignore_eos") and limit:
        tokens = min(room, limit)
    options = body.get("stream_options") or {}
    return Ask(
        chat=chat,
        model=model,
        prompt_tokens=prompt_tokens,
        tokens=tokens,
        cut=tokens < _OWN_LENGTH,
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """Writes the answer to one request: whole, or chunk by chunk. `created` is in Unix seconds."""

    ask: Ask
    identifier: str
    created: int
    fingerprint: str

    @property
    def words(self) -> tuple[str, ...]:
        """One word a token; all but the first begin with a space."""
        chosen = [_SENTENCE[index % len(_SENTENCE)] for index in range(self.ask.tokens)]
        return tuple(word if index == 0 else f" {word}" for index, word in enumerate(chosen))

    @property
    def usage(self) -> dict[str, int]:
        """Tokens of prompt and answer."""
        prompt, answer = self.ask.prompt_tokens, self.ask.tokens
        return {"prompt_tokens": prompt, "total_tokens": prompt + answer, "completion_tokens": answer}

    def whole(self) -> dict[str, Any]:
        """The answer in one body."""
        text = "".join(self.words)
        content = {"message": {"role": "assistant", "content": text}} if self.ask.chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": self._finish}
        return {**self._head(""), "choices": [choice], "usage": self.usage}

    def first_chunk(self) -> dict[str, Any] | None:
        """The chunk that names the role, which only chats have."""
        return self._chunk({"role": "assistant", "content": ""}, None) if self.ask.chat else None

    def chunks(self) -> Iterator[dict[str, Any]]:
        """One chunk for each token; the last one says why it ends."""
        last = self.ask.tokens - 1
        for index, word in enumerate(self.words):
            finish = self._finish if index == last else None
            yield self._chunk({"content": word}, finish) if self.ask.chat else self._chunk(word, finish)

    def usage_chunk(self) -> dict[str, Any] | None:
        """The chunk after the last, where the client asked for it."""
        if not self.ask.include_usage:
            return None
        return {**self._head(".chunk"), "choices": [], "usage": self.usage}

    @property
    def _finish(self) -> str:
        return "length" if self.ask.cut else "stop"

    def _head(self, suffix: str) -> dict[str, Any]:
        kind = f"chat.completion{suffix}" if self.ask.chat else "text_completion"
        return {
            "id": self.identifier,
            "object": kind,
            "created": self.created,
            "model": self.ask.model,
            "system_fingerprint": self.fingerprint,
        }

    def _chunk(self, content: dict[str, str] | str, finish: str | None) -> dict[str, Any]:
        part = {"text": content} if isinstance(content, str) else {"delta": content}
        choice = {"index": 0, **part, "logprobs": None, "finish_reason": finish}
        return {**self._head(".chunk"), "choices": [choice]}


def _prompt(body: Mapping[str, Any], *, chat: bool) -> str:
    if not chat:
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise BadRequest(400, "BadRequestError", "prompt: a string is required", "prompt")
        return prompt
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest(400, "BadRequestError", "messages: a list of at least one message is required", "messages")
    return "\n".join(str(message.get("content", "")) for message in messages if isinstance(message, Mapping))


def _count(text: str) -> int:
    return max(1, -(-len(text) // _CHARACTERS_PER_TOKEN))


def _check_length(settings: EngineSettings, prompt_tokens: int, limit: Any) -> None:
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise BadRequest(400, "BadRequestError", f"max_tokens must be at least 1, got {limit}", "max_tokens")
    wanted = prompt_tokens + (limit or 1)
    if wanted > settings.max_model_tokens:
        message = (
            f"This model's maximum context length is {settings.max_model_tokens} tokens. However, you requested "
            f"{wanted} tokens ({prompt_tokens} in the prompt, {limit or 1} in the completion)."
        )
        raise BadRequest(400, "BadRequestError", message, "messages")
