"""From pydantic's errors to refusals that teach: the field as the user wrote it, the reason, and a cure."""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic_core import ErrorDetails

from penstock.api.meta import Model
from penstock.api.model_tree import field_names, field_paths, model_at
from penstock.api.patterns import PATTERNS
from penstock.api.refusals import Refusal

__all__ = ["Location", "innermost", "nearest", "path_of", "refusal_of", "refuse_unknown", "shown"]

Location = Sequence[str | int]
Lesson = tuple[str, str]
"""A reason and a cure."""

_HIDDEN = "(not shown)"
_PATTERNS = {pattern.regex: pattern for pattern in PATTERNS}
_REMOVE = "Remove it"


def refusal_of(error: ErrorDetails, model: type[Model], root: str) -> Refusal:
    """What one error of validating `model` says to the user; `root` is the model's path in the manifest."""
    location = error["loc"]
    if error["type"] == "extra_forbidden":
        return refuse_unknown(location, model, root)
    if error["type"] == "missing":
        return Refusal(path_of(location, root), "", "is required", "Add it")
    reason, cure = _LESSONS.get(error["type"], _other)(error)
    return Refusal(path_of(location, root), _value_of(error), reason, cure)


def innermost(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without errors that only follow from one further inside: a list that counts its bad entry as missing."""
    inside = {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}
    return [detail for detail in details if detail["loc"] not in inside]


def path_of(location: Location, root: str) -> str:
    """`("variants", 0, "model")` as `spec.variants[0].model`."""
    path = root
    for step in location:
        if step == "[key]":
            continue
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if step.isidentifier() else f"['{step}']"
    return path


def shown(value: Any) -> str:
    """A value as the user would know it again; its type where YAML made something of it that JSON has no word for."""
    try:
        return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except (RecursionError, TypeError, ValueError):
        return f"({type(value).__name__})"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, whatever its case; None where none is."""
    lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), lower, n=1)
    return lower[found[0]] if found else None


def refuse_unknown(location: Location, model: type[Model], root: str) -> Refusal:
    """A field that does not exist: the one that was meant, the place where it belongs, or what there is."""
    name, parent = str(location[-1]), path_of(location[:-1], root)
    owner = model_at(model, location[:-1])
    names = field_names(owner) if owner else ()
    return Refusal(path_of(location, root), "", f"is no field of `{parent}`", _cure_unknown(name, names, model))


def _cure_unknown(name: str, names: Sequence[str], model: type[Model]) -> str:
    if meant := nearest(name, names):
        return f"Write `{meant}`"
    if elsewhere := [path for path in field_paths(model) if path.removesuffix("[]").rpartition(".")[2] == name]:
        return f"Move it to `{elsewhere[0].removesuffix('[]')}`"
    return f"{_REMOVE}; there are {', '.join(names)}" if names else _REMOVE


def _value_of(error: ErrorDetails) -> str:
    """The value, unless it may be somebody's secret."""
    location = error["loc"]
    if "environment" in location and location[-1] == "value":
        return _HIDDEN
    return shown(error["input"])


def _context(error: ErrorDetails) -> Mapping[str, Any]:
    return error.get("ctx", {})


def _other(error: ErrorDetails) -> Lesson:
    return f"is not accepted ({error['msg']})", "Correct it"


def _enum(error: ErrorDetails) -> Lesson:
    expected = str(_context(error)["expected"])
    if isinstance(error["input"], bool):
        return f"must be {expected}", "Put it in quotes: YAML reads words such as Off and No as false"
    if not isinstance(error["input"], str):
        return f"must be {expected}", "Write one of them"
    words = [word.strip("' ") for part in expected.split(" or ") for word in part.split(",")]
    meant = nearest(error["input"], words)
    return f"must be {expected}", f"Write '{meant}'" if meant else "Write one of them"


def _string(error: ErrorDetails) -> Lesson:
    value = error["input"]
    if isinstance(value, bool):
        return "must be text", "Put it in quotes: YAML reads words such as NO and on as false and true"
    if isinstance(value, int | float):
        return "must be text", f'Put it in quotes: "{value}"'
    return "must be text", "Write a single value in quotes"


def _pattern(error: ErrorDetails) -> Lesson:
    pattern = _PATTERNS[str(_context(error)["pattern"])]
    return f"must be {pattern.words}", f"Write it as in '{pattern.example}'"


def _integer(error: ErrorDetails) -> Lesson:
    value = error["input"]
    if isinstance(value, str) and value.isdigit():
        return "must be a whole number", f"Remove the quotes: {value}"
    return "must be a whole number", "Write it in digits, without a unit, a point or quotes"


def _lowest(error: ErrorDetails) -> Lesson:
    return f"must be at least {_context(error)['ge']}", "Raise it"


def _highest(error: ErrorDetails) -> Lesson:
    return f"must be at most {_context(error)['le']}", "Lower it"


def _too_long_text(error: ErrorDetails) -> Lesson:
    return f"must have at most {_context(error)['max_length']} characters", "Shorten it"


def _too_short_text(_: ErrorDetails) -> Lesson:
    return "must not be empty", "Write a value, or remove the field"


def _too_long(error: ErrorDetails) -> Lesson:
    return f"must have at most {_context(error)['max_length']} entries", "Remove some"


def _too_short(error: ErrorDetails) -> Lesson:
    return f"must have at least {_context(error)['min_length']} entries", "Add some, or remove the field"


def _list(error: ErrorDetails) -> Lesson:
    if isinstance(error["input"], str | int):
        return "must be a list", f"Put it in brackets: [{error['input']}]"
    return "must be a list", "Begin each entry with '- '"


def _object(_: ErrorDetails) -> Lesson:
    return "must be an object with fields", "Write its fields below it, indented, as `name: value`"


def _not_json(error: ErrorDetails) -> Lesson:
    return f"cannot be read ({_context(error)['error']})", "Write only the fields of the reference page"


def _time(_: ErrorDetails) -> Lesson:
    return "must be a time by RFC 3339", "Write it as in '2027-03-31T00:00:00Z'"


_LESSONS: Mapping[str, Callable[[ErrorDetails], Lesson]] = MappingProxyType(
    {
        "datetime_from_date_parsing": _time,
        "datetime_parsing": _time,
        "datetime_type": _time,
        "dict_type": _object,
        "enum": _enum,
        "greater_than_equal": _lowest,
        "int_from_float": _integer,
        "int_parsing": _integer,
        "int_parsing_size": _integer,
        "int_type": _integer,
        "json_invalid": _not_json,
        "less_than_equal": _highest,
        "list_type": _list,
        "model_type": _object,
        "string_pattern_mismatch": _pattern,
        "string_too_long": _too_long_text,
        "string_too_short": _too_short_text,
        "string_type": _string,
        "timezone_aware": _time,
        "too_long": _too_long,
        "too_short": _too_short,
        "tuple_type": _list,
    }
)
