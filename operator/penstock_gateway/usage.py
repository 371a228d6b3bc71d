"""Tokens of an answer, as OpenAI's, vLLM's and Anthropic's forms tell them, and what they cost."""

from dataclasses import dataclass
from typing import Any

import orjson

from penstock_policy.table import Price

__all__ = ["NO_USAGE", "Usage", "usage_of_body", "usage_of_object"]

_TOKENS_PRICED = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens; `cached` are those of the input that the upstream had already."""

    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0

    def later(self, other: "Usage") -> "Usage":
        """What a later event of the same stream says goes first: counts only grow."""
        return Usage(
            max(self.tokens_in, other.tokens_in),
            max(self.tokens_out, other.tokens_out),
            max(self.cached, other.cached),
        )

    def cost(self, price: Price | None) -> int:
        """In micro-units, rounded up: a budget is never overspent by rounding. 0 without a price."""
        if price is None:
            return 0
        exact = self.tokens_in * price.input_micros + self.tokens_out * price.output_micros
        return -(-exact // _TOKENS_PRICED)


NO_USAGE = Usage()


def usage_of_body(body: bytes) -> Usage | None:
    """Of a whole answer; None where it tells none."""
    try:
        return usage_of_object(orjson.loads(body))
    except orjson.JSONDecodeError:
        return None


def usage_of_object(content: Any) -> Usage | None:
    """Of an answer or of one event: at the top, in `response` (responses) or in `message` (messages)."""
    if not isinstance(content, dict):
        return None
    for holder in (content, content.get("response"), content.get("message")):
        if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
            return _read(holder["usage"])
    return None


def _read(told: dict[str, Any]) -> Usage:
    details = told.get("prompt_tokens_details") or told.get("input_tokens_details")
    cached = _number(details, "cached_tokens")
    # Anthropic counts what was cached beside the input, not in it.
    beside = _number(told, "cache_read_input_tokens")
    written = _number(told, "cache_creation_input_tokens")
    return Usage(
        (_number(told, "prompt_tokens") or _number(told, "input_tokens")) + beside + written,
        _number(told, "completion_tokens") or _number(told, "output_tokens"),
        cached + beside,
    )


def _number(content: Any, name: str) -> int:
    value = content.get(name) if isinstance(content, dict) else None
    return value if isinstance(value, int) and value > 0 else 0
