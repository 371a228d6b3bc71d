"""Embeddings in OpenAI's form: vectors of unit length that depend on nothing but the text."""

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from penstock.simulation.openai import BadRequest

__all__ = ["embedding_list"]

_DIMENSIONS = 8
_MOST_DIMENSIONS = 4096
_MOST_INPUTS = 2048
_CHARACTERS_PER_TOKEN = 4
_HALF = 127.5


def embedding_list(body: Any, *, models: Sequence[str]) -> dict[str, Any]:
    """The body of an answer to that request; BadRequest where it is refused."""
    if not isinstance(body, Mapping):
        raise BadRequest(400, "invalid_request_error", "the body must be a JSON object")
    model = body.get("model")
    if model not in models:
        raise BadRequest(404, "invalid_request_error", f"The model `{model}` does not exist.", "model")
    texts = _texts(body.get("input"))
    dimensions = body.get("dimensions") or _DIMENSIONS
    if not isinstance(dimensions, int) or not 1 <= dimensions <= _MOST_DIMENSIONS:
        message = f"dimensions: {dimensions!r} is not between 1 and {_MOST_DIMENSIONS}"
        raise BadRequest(400, "invalid_request_error", message, "dimensions")
    packed = body.get("encoding_format") == "base64"
    data = [_entry(index, _vector(text, dimensions), packed=packed) for index, text in enumerate(texts)]
    tokens = sum(max(1, -(-len(text) // _CHARACTERS_PER_TOKEN)) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    fitting = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    if not fitting or not 1 <= len(texts) <= _MOST_INPUTS:
        message = f"input: a string or a list of 1 to {_MOST_INPUTS} strings is required"
        raise BadRequest(400, "invalid_request_error", message, "input")
    return list(texts)


def _vector(text: str, dimensions: int) -> list[float]:
    digest = sha256(text.encode()).digest()
    raw = [digest[index % len(digest)] / _HALF - 1 for index in range(dimensions)]
    # No byte is exactly half of 255, so the length is never zero.
    length = math.sqrt(sum(value * value for value in raw))
    return [value / length for value in raw]


def _entry(index: int, vector: list[float], *, packed: bool) -> dict[str, Any]:
    content = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if packed else vector
    return {"object": "embedding", "index": index, "embedding": content}
