"""Which of a client's fields go into a translation: each API's own, and nothing else.

LiteLLM's functions take hundreds of arguments, and some of them send a request elsewhere (`model_list`), call other
models (`context_management`) or change its headers. So what is not known here never becomes an argument.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["arguments_in", "foreign_field"]

_SAMPLING = frozenset({"temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty", "logit_bias"})
_COMMON = frozenset({"model", "stream", "stream_options", "user"})
_FIELDS: Mapping[str, frozenset[str]] = {
    "chat/completions": _COMMON
    | _SAMPLING
    | {
        "audio",
        "function_call",
        "functions",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "reasoning_effort",
        "response_format",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "verbosity",
    },
    "completions": _COMMON | _SAMPLING | {"best_of", "echo", "logprobs", "max_tokens", "n", "prompt", "suffix"},
    "embeddings": frozenset({"model", "user", "input", "dimensions", "encoding_format"}),
    "responses": _COMMON
    | {
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "parallel_tool_calls",
        "reasoning",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_p",
        "truncation",
    },
    "messages": frozenset(
        {
            "model",
            "stream",
            "max_tokens",
            "messages",
            "output_format",
            "stop_sequences",
            "system",
            "temperature",
            "thinking",
            "tool_choice",
            "tools",
            "top_k",
            "top_p",
        }
    ),
}
_LEFT_OUT = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store"})
"""Notes and wishes for the provider that change no answer; as LiteLLM's arguments some of them mean other things."""


def foreign_field(operation: str, content: Mapping[str, Any]) -> str | None:
    """A field that cannot be translated; None where there is none."""
    known = _FIELDS[operation] | _LEFT_OUT
    unknown = next((name for name in content if name not in known), None)
    return "tools" if unknown is None and _calls_servers(content.get("tools")) else unknown


def arguments_in(operation: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that go on."""
    return {name: value for name, value in content.items() if name in _FIELDS[operation]}


def _calls_servers(tools: object) -> bool:
    """Tools of type `mcp` are servers, and LiteLLM would call some of them itself."""
    return isinstance(tools, list) and any(isinstance(tool, dict) and tool.get("type") == "mcp" for tool in tools)
