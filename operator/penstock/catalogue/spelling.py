"""How people spell a checkpoint's name and its number format: parts that decide its size, and parts that do not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, ValidationError

from penstock.api.formats import Precision
from penstock.api.refusals import Refusal, Refused

__all__ = [
    "ModelName",
    "Spelling",
    "StoredFormat",
    "aliases",
    "format_of_words",
    "parse_name",
    "read_spelling",
    "stated_parameters",
]

_LONGEST_NAME = 300
_SEPARATORS = re.compile(r"[\s_/:,+-]+")
_UNDERSCORED_NUMBER = re.compile(r"(?<=\d)_(?=\d)")
_REMARK = re.compile(r"[(\[][^)\]]*[)\]]")
_WORD_THEN_NUMBER = re.compile(r"^([a-z]{3,})(\d[\d.]*)$")
_SIZE = re.compile(r"^(?:\d+x)?[ae]?\d+(?:\.\d+)?[bmt]$|^\d+e$")
_TOTAL = re.compile(r"^(?:(\d+)x)?(\d+(?:\.\d+)?)([bmt])$")
_ACTIVE = re.compile(r"^a(\d+(?:\.\d+)?)([bm])$")
_EFFECTIVE = re.compile(r"^e\d+b$")
_DATE = re.compile(r"^\d{4}$|^v0\.\d$")
_VERSION = re.compile(r"^v\d+$")
_SCALE = {"m": 10**6, "b": 10**9, "t": 10**12}
_FORMATS = (
    (re.compile(r"mxfp4"), "MXFP4"),
    (re.compile(r"nvfp4"), "NVFP4"),
    (re.compile(r"mxfp8"), "MXFP8"),
    (re.compile(r"w4a8|w4a16|int4|awq|gptq|4[-_ ]?bit|int2"), "INT4"),
    (re.compile(r"fp8|float8|e4m3"), "FP8"),
    (re.compile(r"fp4"), "FP4"),
    (re.compile(r"w8a8|w8a16|int8|8[-_ ]?bit"), "INT8"),
    (re.compile(r"fp16|float16"), "FP16"),
    (re.compile(r"bf16|bfloat16"), "BF16"),
)


@dataclass(frozen=True, slots=True)
class StoredFormat:
    """A word for a number format: the precisions that it may mean, the likeliest first.

    `is_micro_scaled` tells MXFP8 (a scale per 32 weights) from plain FP8.
    """

    precisions: tuple[Precision, ...]
    is_micro_scaled: bool = False


_MEANINGS = {
    "MXFP8": StoredFormat((Precision.FP8,), is_micro_scaled=True),
    "FP4": StoredFormat((Precision.NVFP4, Precision.MXFP4)),
    "BF16": StoredFormat((Precision.BF16, Precision.FP16)),
    "FP16": StoredFormat((Precision.FP16, Precision.BF16)),
}


class Spelling(BaseModel):
    """Words of names by what they tell, from spelling.json; `aliases` are names for a checkpoint of another name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    formats: frozenset[str]
    roles: frozenset[str]
    makers: frozenset[str]
    sizes: frozenset[str]
    aliases: dict[str, str]


@dataclass(frozen=True, slots=True)
class ModelName:
    """A name in its parts, in small letters.

    `stem` names family, version and size and decides the architecture; `roles` what it was trained for and when.
    """

    stem: tuple[str, ...]
    roles: frozenset[str]
    stored: StoredFormat | None

    @property
    def sizes(self) -> frozenset[str]:
        """The parts of the stem that tell models of one family apart (`70b`, `a3b`, `flash`)."""
        return frozenset(part for part in self.stem if _SIZE.match(part) or part in _table().sizes)


def parse_name(name: str) -> ModelName:
    """Take a name apart; organisation, letter case, separators, remarks in brackets and formats do not matter."""
    words = _words(name)
    stem = _without_makers(tuple(word for word in words if word not in _table().formats and not _is_role(word)))
    roles = frozenset(word for word in words if _is_role(word))
    return ModelName(stem, roles, format_of_words(name))


def format_of_words(text: str) -> StoredFormat | None:
    """The format that a word, a name or a remark states; None where it states none."""
    lowered = text[:_LONGEST_NAME].lower()
    found = next((name for mark, name in _FORMATS if mark.search(lowered)), None)
    if found is None:
        return None
    return _MEANINGS.get(found) or StoredFormat((Precision(found),))


def stated_parameters(text: str) -> tuple[int | None, int | None]:
    """Total and active parameters that a name or a size such as `26B-A4B` states; None for what it does not."""
    total = active = None
    for word in _SEPARATORS.split(text[:_LONGEST_NAME].lower()):
        whole, chosen = _TOTAL.match(word), _ACTIVE.match(word)
        if whole is not None and total is None:
            total = round(int(whole[1] or 1) * float(whole[2]) * _SCALE[whole[3]])
        elif chosen is not None:
            active = round(float(chosen[1]) * _SCALE[chosen[2]])
    return total, active


def aliases() -> Mapping[str, str]:
    """Names that people use for a checkpoint of another name, in small letters and without organisation."""
    return _table().aliases


def _words(name: str) -> list[str]:
    """The words of a name after its organisation, numbers split from the family (`qwen3` is Qwen, 3)."""
    plain = _UNDERSCORED_NUMBER.sub(".", _REMARK.sub("", name[:_LONGEST_NAME])).strip().lower()
    parts = plain.split("/")
    own = parts[1] if len(parts) > 1 and parts[1] else parts[0]
    words: list[str] = []
    for word in _SEPARATORS.split(own):
        words.extend(_split(word, after=words))
    return words


def _split(word: str, *, after: list[str]) -> list[str]:
    if word.startswith("quantized.") or (_VERSION.match(word) and after and after[-1] in _table().formats):
        return ["quantized"]
    numbered = _WORD_THEN_NUMBER.match(word)
    if word in _table().formats or word in _table().roles or numbered is None:
        return [word] if word else []
    return [numbered[1], numbered[2]]


def _is_role(word: str) -> bool:
    return word in _table().roles or _DATE.match(word) is not None


def _without_makers(stem: tuple[str, ...]) -> tuple[str, ...]:
    return stem[1:] if len(stem) > 1 and stem[0] in _table().makers else stem


def read_spelling(text: str) -> Spelling:
    """The words of this JSON; Refused names what is wrong and where."""
    try:
        return Spelling.model_validate_json(text)
    except ValidationError as error:
        problems = [(".".join(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()]
    raise Refused(
        [Refusal(f"spelling.json:{place}", "", reason, "Correct the file of spellings") for place, reason in problems]
    )


@cache
def _table() -> Spelling:
    return read_spelling(resources.files("penstock.catalogue").joinpath("spelling.json").read_text(encoding="utf-8"))
