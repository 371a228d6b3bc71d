"""A client's request body: what the edge must know of it, what it refuses, and what it changes on the way.

Bytes are changed in place where that is certain to hit the right ones; otherwise the parsed body is written anew, which
also settles which of two equal keys counts, so that no upstream reads another one than the decision did.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from penstock_gateway.errors import Refused

__all__ = ["Asked"]

_STEERING = (
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "api_base",
    "base_url",
    "api_key",
    "mock_response",
    "num_retries",
    "tags",
)
_STEERING_SET = frozenset(_STEERING)
_MODEL = re.compile(rb'"model"\s*:\s*"[^"\\]*"')
_USAGE_OPTION = b'{"stream_options":{"include_usage":true},'
_BYTES_PER_TOKEN = 3
"""Low on purpose: an estimate must not be too low."""


@dataclass(slots=True)
class Asked:
    """A request body, read and checked."""

    operation: str
    body: bytes
    content: dict[str, Any]
    model: str
    stream: bool
    wants_usage: bool
    """Whether the client itself asked for the usage chunk."""

    @classmethod
    def read(cls, operation: str, body: bytes) -> "Asked":
        """Refused with 400 where it is no JSON object, names no model or steers what is not the client's to steer."""
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Refused(400, "invalid_json", f"The body is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise Refused(400, "invalid_json", "The body must be a JSON object")
        _refuse_steering(content)
        model = content.get("model")
        if not isinstance(model, str) or not model:
            raise Refused(400, "model_required", "model: a name is required", "model")
        stream = content.get("stream") is True
        return cls(operation, body, content, model, stream, stream and _asks_for_usage(content))

    @property
    def prompt_tokens(self) -> int:
        """An estimate from its size."""
        return len(self.body) // _BYTES_PER_TOKEN + 1

    @property
    def adds_usage(self) -> bool:
        """Whether the usage chunk is ours: asked for upstream, kept from the client."""
        return self.stream and not self.wants_usage and self.operation in {"chat/completions", "completions"}

    def towards(self, model: str) -> bytes:
        """The body with this `model`, and for streams with usage."""
        # An escaped second "model" would be invisible here and decide there.
        sure = self.body.count(b'"model"') == 1 and b"\\u00" not in self.body
        if not sure or (self.adds_usage and "stream_options" in self.content):
            return self._anew(model)
        body = self.body if model == self.model else self._renamed(model)
        return _USAGE_OPTION + body.lstrip()[1:] if self.adds_usage else body

    def translated(self, model: str) -> dict[str, Any]:
        """The body as an object, for a translator."""
        content = {**self.content, "model": model}
        if self.adds_usage:
            options = content.get("stream_options")
            content["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return content

    def _renamed(self, model: str) -> bytes:
        replaced = b'"model":' + orjson.dumps(model)
        body, hits = _MODEL.subn(lambda _: replaced, self.body, count=1)
        return body if hits else self._anew(model)

    def _anew(self, model: str) -> bytes:
        return orjson.dumps(self.translated(model))


def _asks_for_usage(content: dict[str, Any]) -> bool:
    options = content.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _refuse_steering(content: dict[str, Any]) -> None:
    if not _STEERING_SET.isdisjoint(content):
        field = next(name for name in _STEERING if name in content)
        raise _steers(field)
    metadata = content.get("metadata")
    if isinstance(metadata, dict) and "tags" in metadata:
        field = "metadata.tags"
        raise _steers(field)


def _steers(field: str) -> Refused:
    return Refused(400, "field_not_allowed", f"{field}: routing is the gateway's; this field is not allowed", field)
