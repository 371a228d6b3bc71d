"""Reading numbers out of a model's config.json, which nobody has validated: bounded, and a refusal names the key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.api.refusals import Refusal, Refused

__all__ = ["ConfigReader"]

_NESTED = ("text_config", "language_config", "llm_config")
_LARGEST = 10**9
_LONGEST_LIST = 10_000


@dataclass(frozen=True, slots=True)
class ConfigReader:
    """One config.json; numbers are looked up in its text part first (multimodal models nest them)."""

    model: str
    parts: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, model: str, config: Mapping[str, Any]) -> "ConfigReader":
        """Find the text part; Refused where the config is no JSON object."""
        if not isinstance(config, Mapping):
            raise Refused([_refusal(model, type(config).__name__, "its config.json is not a JSON object")])
        nested = [config[key] for key in _NESTED if isinstance(config.get(key), Mapping)]
        return cls(model, (*nested, config))

    def value(self, *keys: str) -> Any:
        """The first value that is there under any of these names, else None."""
        for part in self.parts:
            for key in keys:
                if part.get(key) is not None:
                    return part[key]
        return None

    def number(self, *keys: str, default: int | None = None) -> int:
        """A whole number in 0..10^9 under any of these names; Refused where it is absent without a default."""
        found = self.value(*keys)
        if found is None and default is not None:
            return default
        if found is None:
            reason = f"its config.json has no `{keys[0]}`"
            raise Refused([_refusal(self.model, keys[0], reason)])
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _LARGEST:
            raise Refused([_refusal(self.model, repr(found), f"`{keys[0]}` is not a whole number up to {_LARGEST}")])
        return found

    def positive(self, *keys: str, default: int | None = None) -> int:
        """As `number`, and at least 1."""
        found = self.number(*keys, default=default)
        if found < 1:
            raise Refused([_refusal(self.model, str(found), f"`{keys[0]}` must be at least 1")])
        return found

    def flag(self, *keys: str) -> bool:
        """True only where one of these is the JSON value true."""
        return self.value(*keys) is True

    def text(self, *keys: str) -> str:
        """A string under any of these names, else the empty string."""
        found = self.value(*keys)
        return found if isinstance(found, str) else ""

    def items(self, *keys: str) -> Sequence[Any]:
        """A list under any of these names, else an empty one; Refused where it is longer than any model is deep."""
        found = self.value(*keys)
        if not isinstance(found, list):
            return ()
        if len(found) > _LONGEST_LIST:
            raise Refused([_refusal(self.model, keys[0], f"`{keys[0]}` has {len(found)} entries")])
        return found

    def nested(self, *keys: str) -> "ConfigReader | None":
        """A reader of an object under one of these names, None where there is none."""
        found = self.value(*keys)
        return ConfigReader(self.model, (found,)) if isinstance(found, Mapping) else None


def _refusal(model: str, value: str, reason: str) -> Refusal:
    cure = f"Give the complete config.json of {model} in `metadata.config`"
    return Refusal(field="metadata.config", value=value, reason=reason, cure=cure)
