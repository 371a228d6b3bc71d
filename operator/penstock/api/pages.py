"""The reference pages: one per kind, from the same schema as its CRD. Writes no files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.api.crd import custom_resource_definition
from penstock.api.kinds import KINDS, Kind
from penstock.api.meta import API_VERSION, GROUP
from penstock.api.model_tree import visit_models
from penstock.api.patterns import PATTERNS

__all__ = ["reference_documents"]

Schema = Mapping[str, Any]

_HEADER = "<!-- Generated from the models by `penstock reference`; edit those. -->\n"
_WORDS = {pattern.regex: pattern for pattern in PATTERNS}


@dataclass(frozen=True, slots=True)
class _Field:
    path: str
    type: str
    default: str
    bounds: str
    meaning: str


def reference_documents() -> dict[str, str]:
    """Every page as Markdown, by file name, and a table of contents."""
    pages = {f"{kind.singular}.md": _page(kind) for kind in KINDS}
    return {"README.md": _contents(), **pages}


def _contents() -> str:
    lines = [
        _HEADER,
        f"# The kinds of `{API_VERSION}`",
        "",
        "| kind | short name | says | acted on |",
        "|---|---|---|---|",
    ]
    for kind in KINDS:
        acted = "yes" if kind.acted_on else "not yet"
        lines.append(f"| [{kind.name}]({kind.singular}.md) | `{kind.short_name}` | {kind.model.__doc__} | {acted} |")
    return "\n".join([*lines, "", "All of them are in the category `penstock`: `kubectl get penstock -A`.", ""])


def _page(kind: Kind) -> str:
    root = custom_resource_definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    lines = [_HEADER, f"# {kind.name}", "", str(kind.model.__doc__), "", *_identity(kind), ""]
    lines += ["## Spec", "", *_fields_table("spec", root["spec"], stated=True), ""]
    rules = list(_rules(kind))
    if rules:
        lines += ["### Rules between fields", "", *rules, ""]
    lines += ["## Status", "", *_fields_table("status", root["status"], stated=False), ""]
    lines += ["## Conditions", "", *_conditions(kind), ""]
    lines += ["## Columns of `kubectl get`", "", *_columns(kind), ""]
    return "\n".join(lines)


def _identity(kind: Kind) -> Iterator[str]:
    scope = "namespaced" if kind.namespaced else "cluster"
    yield from ("| | |", "|---|---|")
    yield f"| apiVersion | `{API_VERSION}` |"
    yield f"| full name | `{kind.plural}.{GROUP}` |"
    yield f"| short name | `{kind.short_name}` |"
    yield f"| scope | {scope} |"
    yield f"| name | at most {kind.longest_name} characters; {kind.name_pattern.words} |"
    yield f"| subresources | {'`status`, `scale`' if kind.scalable else '`status`'} |"
    if kind.selectable_fields:
        yield f"| field selectors | {', '.join(f'`{path[1:]}`' for path in kind.selectable_fields)} |"
    if not kind.acted_on:
        yield "| acted on | not yet: `Accepted=False`, reason `NotSupported` |"


def _fields_table(path: str, schema: Schema, *, stated: bool) -> Iterator[str]:
    if not stated:
        yield from ("| field | type | meaning |", "|---|---|---|")
        yield from (f"| `{field.path}` | {field.type} | {field.meaning} |" for field in _fields(path, schema))
        return
    yield from ("| field | type | default | bounds | meaning |", "|---|---|---|---|---|")
    for field in _fields(path, schema):
        yield f"| `{field.path}` | {field.type} | {field.default} | {field.bounds} | {field.meaning} |"


def _fields(path: str, schema: Schema) -> Iterator[_Field]:
    """Every field below an object, parents before children, in the models' order."""
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        here = f"{path}.{name}"
        yield _Field(here, _type(field), _default(field, required=name in required), _bounds(field), _meaning(field))
        items = field.get("items", {})
        if "properties" in field:
            yield from _fields(here, field)
        elif "properties" in items:
            yield from _fields(f"{here}[]", items)


def _type(field: Schema) -> str:
    match field["type"]:
        case "array":
            return f"list of {_type(field['items'])}"
        case "object" if "additionalProperties" in field:
            return "map of strings"
        case "string" if "enum" in field:
            return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
        case "string" if field.get("format") == "date-time":
            return "time"
        case other:
            return str(other)


def _default(field: Schema, *, required: bool) -> str:
    if required:
        return "required"
    default = field.get("default")
    return "" if default is None or isinstance(default, dict) else f"`{default}`"


def _bounds(field: Schema) -> str:
    parts = [
        *_range(field, "minimum", "maximum", ""),
        *_range(field, "minLength", "maxLength", " characters"),
        *_range(field, "minItems", "maxItems", " entries"),
        *_range(field, "minProperties", "maxProperties", " entries"),
    ]
    pattern = _WORDS.get(field.get("pattern", ""))
    return "; ".join([*parts, *([f"{pattern.words}, as in `{pattern.example}`"] if pattern else [])])


def _range(field: Schema, low: str, high: str, unit: str) -> Iterator[str]:
    if low in field and high in field:
        yield f"{field[low]} to {field[high]}{unit}"
    elif high in field and field.get("format") != "date-time":
        yield f"at most {field[high]}{unit}"


def _meaning(field: Schema) -> str:
    return str(field.get("description", "")).replace("|", "\\|").replace("\n", " ")


def _rules(kind: Kind) -> Iterator[str]:
    for path, model in visit_models(kind.model):
        for rule in model.RULES:
            yield f"- `{path}`: {rule.message}"


def _conditions(kind: Kind) -> Iterator[str]:
    yield from ("| type | True when |", "|---|---|")
    yield from (f"| `{condition.type}` | {condition.meaning} |" for condition in kind.conditions)


def _columns(kind: Kind) -> Iterator[str]:
    yield from ("| column | shows | with |", "|---|---|---|")
    for column in kind.columns:
        yield f"| {column.name} | {column.description} | {'`-o wide`' if column.priority else ''} |"
