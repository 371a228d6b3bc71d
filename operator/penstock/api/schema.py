"""From our models to the structural schemas that the API server takes.

The API server refuses some of what pydantic writes and silently drops more; here everything is either
translated or an error at generation time. Nothing here knows CRDs.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from penstock.api.integers import INT32_MAX
from penstock.api.meta import Model
from penstock.api.rules import Rule

__all__ = ["UnsupportedSchemaError", "structural_schema"]

Schema = dict[str, Any]

_LONGEST_TIME = 64
_KEYWORDS = {
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-validations",
}


class UnsupportedSchemaError(TypeError):
    """A model says something, at `path`, that the API server would refuse or drop."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class _Structural(GenerateJsonSchema):
    """pydantic's generator without nulls, tuples' forms and constrained keys; with our rules."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Optional is absent, never null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Defaults that say something; an object's own defaults stand in its fields."""
        default = self.get_default_value(schema)
        if isinstance(default, Model):
            if default != type(default)():
                raise UnsupportedSchemaError(type(default).__name__, "its default must be its empty form")
            return {**self.generate_inner(schema["schema"]), "default": {}}
        if default in (None, "", (), {}):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """A map of strings; the form of its keys cannot be said and is checked by Penstock itself."""
        values = self.generate_inner(schema["values_schema"])
        result: JsonSchemaValue = {"type": "object", "additionalProperties": values}
        self.update_with_validations(result, schema, self.ValidationsMapping.object)
        return result

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """An object with its rules."""
        result = super().model_schema(schema)
        model = schema["cls"]
        if issubclass(model, Model) and model.RULES:
            result["x-kubernetes-validations"] = [_validation(rule) for rule in model.RULES]
        return result


def _validation(rule: Rule) -> Schema:
    validation = {"rule": rule.cel, "message": rule.message, "reason": "FieldValueInvalid"}
    return {**validation, "fieldPath": f".{rule.field}"} if rule.field else validation


def structural_schema(model: type[BaseModel]) -> Schema:
    """The schema of one model, self-contained; UnsupportedSchemaError where something has no bound or no form."""
    raw = model.model_json_schema(schema_generator=_Structural, by_alias=True, mode="validation")
    return _normalise(_inline(raw, raw.get("$defs", {})), model.__name__)


def _inline(node: Any, definitions: Schema) -> Any:
    """The node with every `$ref` replaced by what it points at; what stands beside a `$ref` wins."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    rest = {key: _inline(value, definitions) for key, value in node.items() if key not in {"$ref", "$defs"}}
    if "$ref" not in node:
        return rest
    target = _inline(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    return {**target, **rest}


def _normalise(node: Schema, path: str) -> Schema:
    """One schema node: only keywords that the API server keeps, every bound there, no empty default."""
    result = {key: value for key, value in node.items() if key != "title"}
    unknown = sorted(set(result) - _KEYWORDS)
    if unknown:
        raise UnsupportedSchemaError(path, f"{', '.join(unknown)} is lost or refused by the API server")
    match result.get("type"):
        case "object":
            return _normalise_object(result, path)
        case "array":
            _require(result, path, "items", "maxItems", "x-kubernetes-list-type")
            items = _normalise(result["items"], f"{path}[]")
            return {**result, "items": _unfilled(items) if result["x-kubernetes-list-type"] == "atomic" else items}
        case "integer":
            _require(result, path, "minimum", "maximum")
            wide = result["maximum"] > INT32_MAX or result["minimum"] < -INT32_MAX
            return {**result, "format": "int64" if wide else "int32"}
        case "string":
            return _normalise_string(result, path)
        case other:
            raise UnsupportedSchemaError(path, f"type {other} has no place in our API")


def _unfilled(node: Schema) -> Schema:
    """Without defaults: what an atomic list holds is owned as a whole by whoever applies it.

    A default that the API server fills in there makes the next apply of the same manifest a write, as if the list had
    been changed. Whoever reads the object knows the default; people find it in the description.
    """
    result = {key: value for key, value in node.items() if key != "default"}
    if isinstance(node.get("default"), str | int):
        result["description"] = f"{node.get('description', '')} Left out: {node['default']}.".strip()
    if "properties" in node:
        result["properties"] = {name: _unfilled(field) for name, field in node["properties"].items()}
    for inner in ("items", "additionalProperties"):
        if inner in node:
            result[inner] = _unfilled(node[inner])
    return result


def _normalise_string(node: Schema, path: str) -> Schema:
    if node.get("format") == "date-time":
        return {**node, "maxLength": _LONGEST_TIME}
    if "enum" not in node:
        _require(node, path, "maxLength")
    return node


def _normalise_object(node: Schema, path: str) -> Schema:
    if "properties" not in node:
        _require(node, path, "additionalProperties", "maxProperties")
        return {**node, "additionalProperties": _normalise(node["additionalProperties"], f"{path}{{}}")}
    fields = {name: _normalise(field, f"{path}.{name}") for name, field in node["properties"].items()}
    for field in fields.values():
        _write_out_default(field)
    return {**node, "properties": fields}


def _write_out_default(field: Schema) -> None:
    """An object's default in full: the API server holds it to the rules before it fills in the fields' own."""
    if field.get("default") != {}:
        return
    inner = field.get("properties", {}).items()
    default = {name: child["default"] for name, child in inner if "default" in child}
    if default:
        field["default"] = default
    else:
        del field["default"]


def _require(node: Schema, path: str, *keywords: str) -> None:
    missing = [keyword for keyword in keywords if keyword not in node]
    if missing:
        raise UnsupportedSchemaError(path, f"{', '.join(missing)} is missing")
