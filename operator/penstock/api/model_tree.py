"""Walking our models: their fields by the names that users write, and the objects made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from penstock.api.markers import ListType
from penstock.api.meta import Model

__all__ = [
    "Visited",
    "field_model",
    "field_names",
    "field_paths",
    "list_type",
    "lists_without_doubles",
    "model_at",
    "nested_model",
    "visit",
    "visit_models",
]


@dataclass(frozen=True, slots=True)
class Visited:
    """One object of a parsed spec, and its path as the user writes it."""

    path: str
    value: Model


def _alias(name: str, field: FieldInfo) -> str:
    return field.alias or name


@cache
def field_names(model: type[Model]) -> tuple[str, ...]:
    """The names that users write, in the model's order."""
    return tuple(_alias(name, field) for name, field in model.model_fields.items())


def nested_model(annotation: Any) -> type[Model] | None:
    """The model inside an annotation such as `tuple[Variant, ...] | None`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation if issubclass(annotation, Model) else None
    return next((found for inner in get_args(annotation) if (found := nested_model(inner)) is not None), None)


def field_model(model: type[Model], name: str) -> type[Model]:
    """The model of one field; TypeError where the field holds something else."""
    found = nested_model(model.model_fields[name].annotation)
    if found is None:
        message = f"{model.__name__}.{name} holds no model"
        raise TypeError(message)
    return found


def list_type(field: FieldInfo) -> ListType | None:
    """How the API server merges this list; None for what is no list."""
    return next((mark for mark in field.metadata if isinstance(mark, ListType)), None)


def model_at(model: type[Model], location: Sequence[str | int]) -> type[Model] | None:
    """The model of the object at a place below `model`; None where there is none."""
    current: type[Model] | None = model
    for step in location:
        if isinstance(step, int):
            continue
        fields = {_alias(name, field): field for name, field in current.model_fields.items()} if current else {}
        current = nested_model(fields[step].annotation) if step in fields else None
    return current


@cache
def field_paths(model: type[Model], path: str = "spec") -> tuple[str, ...]:
    """The path of every field below `model`, lists as `pools[]`."""
    paths: list[str] = []
    for name, field in model.model_fields.items():
        mark = "[]" if list_type(field) else ""
        here = f"{path}.{_alias(name, field)}{mark}"
        inner = nested_model(field.annotation)
        paths += [here, *(field_paths(inner, here) if inner else ())]
    return tuple(paths)


@cache
def lists_without_doubles(model: type[Model]) -> tuple[tuple[str, str, ListType], ...]:
    """The lists in which each entry stands once: attribute, the name that users write, and what identifies an entry."""
    marked = [(name, _alias(name, field), list_type(field)) for name, field in model.model_fields.items()]
    return tuple((name, alias, mark) for name, alias, mark in marked if mark is not None and mark.kind != "atomic")


@cache
def _nesting_fields(model: type[Model]) -> tuple[tuple[str, str], ...]:
    """The attributes that hold models, with the names that users write."""
    fields = model.model_fields.items()
    return tuple((name, _alias(name, field)) for name, field in fields if nested_model(field.annotation))


def visit(value: Model, path: str = "spec") -> Iterator[Visited]:
    """Every object of a parsed spec, from the outside in."""
    yield Visited(path, value)
    for name, alias in _nesting_fields(type(value)):
        child = getattr(value, name)
        if isinstance(child, Model):
            yield from visit(child, f"{path}.{alias}")
        elif child:
            for index, item in enumerate(child):
                yield from visit(item, f"{path}.{alias}[{index}]")


def visit_models(model: type[Model], path: str = "") -> Iterator[tuple[str, type[Model]]]:
    """Every model below `model` with its path, lists as `pools[]`; the model itself and its metadata left out."""
    for name, field in model.model_fields.items():
        inner = nested_model(field.annotation)
        if inner is None or (name == "metadata" and not path):
            continue
        here = f"{path}.{_alias(name, field)}".lstrip(".") + ("[]" if list_type(field) else "")
        yield here, inner
        yield from visit_models(inner, here)
