"""Label and field selectors, as strings of a request."""

import re
from collections.abc import Callable
from typing import Any

from penstock.cluster.fake.answers import Answer
from penstock.cluster.fake.registry import KindInfo

__all__ = ["Matcher", "matcher"]

Matcher = Callable[[dict[str, Any]], bool]

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<operator>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<absent>!?)(?P<key>[^\s!=,()]+)$")
_COMMON_FIELDS = ("metadata.name", "metadata.namespace")
_POD_FIELDS = ("spec.nodeName", "status.phase")
_INVOLVED = ("apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid")
_EVENT_FIELDS = (*(f"involvedObject.{name}" for name in _INVOLVED), "reason", "reportingComponent", "type")


def matcher(info: KindInfo, labels: str, fields: str) -> Matcher:
    """One predicate of both; 400 where a selector cannot be read."""
    tests = [_label_test(part) for part in _split(labels)] + [_field_test(info, part) for part in _split(fields)]
    return lambda live: all(test(live) for test in tests)


def _split(text: str) -> list[str]:
    """By commas outside of parentheses."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def _labels(live: dict[str, Any]) -> dict[str, str]:
    return live["metadata"].get("labels") or {}


def _label_test(part: str) -> Matcher:
    if found := _SET.match(part):
        key, wanted = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["operator"] == "in":
            return lambda live: _labels(live).get(key) in wanted
        return lambda live: _labels(live).get(key) not in wanted
    if found := _EQUAL.match(part):
        key, value = found["key"], found["value"]
        if found["operator"] == "!=":
            return lambda live: _labels(live).get(key) != value
        return lambda live: _labels(live).get(key) == value
    if found := _EXISTS.match(part):
        key, present = found["key"], not found["absent"]
        return lambda live: (key in _labels(live)) == present
    raise Answer(400, "BadRequest", f"unable to parse requirement: {part}")


def _field_test(info: KindInfo, part: str) -> Matcher:
    found = _EQUAL.match(part)
    if found is None:
        raise Answer(400, "BadRequest", f"invalid selector: '{part}'; can't understand '{part}'")
    path, value, equal = found["key"], found["value"], found["operator"] != "!="
    allowed = {*_COMMON_FIELDS, *(item.lstrip(".") for item in info.selectable)}
    if info.plural == "pods":
        allowed |= set(_POD_FIELDS)
    if info.plural == "events":
        allowed |= set(_EVENT_FIELDS)
    if path not in allowed:
        raise Answer(400, "BadRequest", f"field label not supported: {path}")
    return lambda live: (str(_at(live, path)) == value) == equal


def _at(live: dict[str, Any], path: str) -> Any:
    value: Any = live
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else value
