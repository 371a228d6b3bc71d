"""What a provider objects to in a request: its own words, and whether it is its model that it does not know.

The model's name is the gateway's word and not the client's, so a provider that refuses it is at fault itself, even
where it says so with a 400.
"""

import re
from typing import Any

import orjson

__all__ = ["Objection", "objection_in", "objection_of"]

_UNKNOWN_MODEL = frozenset({"model_not_found", "invalid_model", "unknown_model", "model_not_available"})
_ABOUT_MODEL = re.compile(
    r"\b(invalid|unknown|no such) model\b|\bmodel\b.*\b(not found|not exist|not available|decommissioned)\b",
    re.IGNORECASE | re.DOTALL,
)


class Objection:
    """An error's body, in OpenAI's form, Anthropic's, or flat as Mistral's."""

    def __init__(self, content: dict[str, Any]) -> None:
        inner = content.get("error")
        self._error: dict[str, Any] = inner if isinstance(inner, dict) else content
        self._text = inner if isinstance(inner, str) else self._error.get("message")

    @property
    def message(self) -> str:
        """What it says to people; empty where it says nothing."""
        return self._text if isinstance(self._text, str) else ""

    @property
    def field(self) -> str | None:
        """The field that is wrong, if it names one."""
        found = self._error.get("param")
        return found if isinstance(found, str) else None

    def to_model(self, model: str) -> bool:
        """Whether it is `model` that the provider does not have."""
        kinds = {str(self._error.get("code")), str(self._error.get("type"))}
        if self.field == "model" or not _UNKNOWN_MODEL.isdisjoint(kinds):
            return True
        return model in self.message and _ABOUT_MODEL.search(self.message) is not None


def objection_of(body: bytes) -> Objection | None:
    """Of an answer; None where it is no JSON object."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return Objection(content) if isinstance(content, dict) else None


def objection_in(text: str) -> Objection | None:
    """Of a text that ends with a body, as messages of LiteLLM's errors do; None where there is none."""
    begin, end = text.find("{"), text.rfind("}")
    return objection_of(text[begin : end + 1].encode()) if 0 <= begin < end else None
