"""From a manifest to a resource, or to refusals that teach.

What the API server checks by schema and CEL is checked here by the same models and rules, so that a file can be
judged without a cluster and a live object of an older schema is never trusted.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import islice
from typing import Any, Literal

from pydantic import ValidationError

from penstock.api.envelope import kind_of, metadata_of, unknown_outer_fields
from penstock.api.markers import ListType
from penstock.api.meta import API_VERSION, Model, Resource
from penstock.api.model_tree import Visited, field_model, lists_without_doubles, visit
from penstock.api.refusals import Refusal, Refused
from penstock.api.teaching import Location, innermost, path_of, refusal_of, shown

__all__ = ["broken_rules", "parse"]

_MOST_REFUSALS = 16
_LARGEST_SPEC = 2**20


def parse(manifest: Any, *, strict: bool) -> Resource:
    """The resource that a manifest describes; Refused where it does not hold.

    `strict` is for files that people write: unknown fields, nulls and oversize are refused too. Otherwise they
    are passed over, as the API server prunes them. `status` is not read.
    """
    if not isinstance(manifest, Mapping):
        cure = "Write one object per document: apiVersion, kind, metadata, spec"
        raise Refused([Refusal("", shown(manifest), "must be an object with fields", cure)])
    kind = kind_of(manifest)
    if strict:
        _raise_any(unknown_outer_fields(manifest))
    metadata = metadata_of(manifest, kind)
    text = _spec_as_json(manifest)
    if strict:
        _raise_any(_untidy(text))
    spec = _read_spec(text, field_model(kind.model, "spec"), extra="forbid" if strict else "ignore")
    _raise_any(broken_rules(spec))
    return kind.model.model_validate({"apiVersion": API_VERSION, "kind": kind.name, "metadata": metadata, "spec": spec})


def _raise_any(refusals: Iterable[Refusal]) -> None:
    first = list(islice(refusals, _MOST_REFUSALS))
    if first:
        raise Refused(first)


def _spec_as_json(manifest: Mapping[str, Any]) -> str:
    spec = manifest.get("spec")
    if not isinstance(spec, Mapping):
        cure = "Write its fields below it, indented" if "spec" in manifest else "Add it"
        raise Refused([Refusal("spec", shown(spec) if spec is not None else "", "must be an object with fields", cure)])
    try:
        return json.dumps(spec, default=_time_as_text)
    except (RecursionError, TypeError, ValueError) as error:
        cure = "Write plain YAML without anchors that contain themselves"
        raise Refused([Refusal("spec", "", f"cannot be written as JSON ({error})", cure)]) from error


def _time_as_text(value: Any) -> str:
    """YAML reads an unquoted time as one; the API server gets it as text."""
    if isinstance(value, date):
        return value.isoformat()
    message = f"{type(value).__name__} has no place in a manifest"
    raise TypeError(message)


def _untidy(text: str) -> Iterator[Refusal]:
    if len(text) > _LARGEST_SPEC:
        reason = f"must have at most {_LARGEST_SPEC} bytes, and has {len(text)}: the API server takes no more"
        yield Refusal("spec", "", reason, "Move what is large into a ConfigMap or a volume")
        return
    for location in _nulls(json.loads(text)):
        reason = "must not be null, which is what YAML makes of a field without a value"
        yield Refusal(path_of(location, "spec"), "null", reason, "Give it a value, or remove it")


def _nulls(spec: dict[str, Any]) -> Iterator[Location]:
    """Where a null stands; with a stack of its own, because people's nesting has no bound."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), spec)]
    while stack:
        location, value = stack.pop()
        if value is None:
            yield location
        elif isinstance(value, dict):
            stack += [((*location, key), inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            stack += [((*location, index), inner) for index, inner in reversed(list(enumerate(value)))]


def _read_spec(text: str, model: type[Model], *, extra: Literal["forbid", "ignore"]) -> Model:
    try:
        # As JSON, where pydantic's strict mode takes a list for a tuple and a word for an enum, but no "3" for a 3.
        return model.model_validate_json(text, strict=True, extra=extra)
    except ValidationError as error:
        details = innermost(error.errors(include_url=False))
        raise Refused(refusal_of(detail, model, "spec") for detail in details[:_MOST_REFUSALS]) from error


def broken_rules(spec: Model) -> Iterator[Refusal]:
    """What no single field says: rules between fields, and entries of a list that are there twice."""
    for visited in visit(spec):
        for rule in visited.value.RULES:
            if rule.holds is not None and not rule.holds(visited.value):
                field = f"{visited.path}.{rule.field}" if rule.field else visited.path
                yield Refusal(field, _value_at(visited, rule.field), rule.reason, rule.cure)
        yield from _doubles(visited)


def _value_at(visited: Visited, field: str) -> str:
    content = visited.value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    value = content.get(field) if field else sorted(content)
    return "" if value is None else shown(value)


def _doubles(visited: Visited) -> Iterator[Refusal]:
    for name, alias, mark in lists_without_doubles(type(visited.value)):
        seen: set[tuple[Any, ...]] = set()
        for index, item in enumerate(getattr(visited.value, name)):
            identity = _identity(item, mark)
            if identity in seen:
                yield _refuse_double(f"{visited.path}.{alias}[{index}]", identity, mark)
            seen.add(identity)


def _identity(item: Any, mark: ListType) -> tuple[Any, ...]:
    if not mark.keys:
        return (item,)
    content = item.model_dump(mode="json", by_alias=True)
    return tuple(content[key] for key in mark.keys)


def _refuse_double(field: str, identity: tuple[Any, ...], mark: ListType) -> Refusal:
    keys = ", ".join(f"`{key}`" for key in mark.keys)
    reason = f"must not have the same {keys} as an earlier entry" if keys else "must not be there twice"
    return Refusal(field, ", ".join(map(str, identity)), reason, "Remove one of the two")
