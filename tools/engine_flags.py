"""Read an engine's flags from its released wheel, without installing or importing it.

`python tools/engine_flags.py vllm-0.33.0-*.whl > operator/penstock/catalogue/flags/vllm-0.33.0.json`. Two things are found in the
source: literal `add_argument("--flag", ...)` calls, and fields of the classes from which the engine makes its flags. A boolean field is a switch.
"""

import argparse
import ast
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SWITCHES = frozenset({"store_true", "store_false", "BooleanOptionalAction", "DeprecatedStoreTrueAction"})


@dataclass(frozen=True)
class Layout:
    """Where an engine keeps its arguments: modules with calls, classes whose every field is a flag, types of fields."""

    engine: str
    calls: tuple[str, ...]
    flag_classes: tuple[str, ...]
    fields: tuple[str, ...]


LAYOUTS = {
    "vllm": Layout(
        "vLLM",
        calls=("vllm/engine/arg_utils.py", "vllm/entrypoints/"),
        flag_classes=("FrontendArgs", "BaseFrontendArgs"),
        fields=("vllm/config/", "vllm/entrypoints/", "vllm/engine/arg_utils.py"),
    ),
    "sglang": Layout(
        "SGLang",
        calls=("sglang/srt/server_args.py",),
        flag_classes=("*",),
        fields=("sglang/srt/arg_groups/fields/", "sglang/srt/server_args.py"),
    ),
}


def main() -> int:
    """Print the flags of the wheel that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    wheel: Path = parser.parse_args().wheel
    name, version = wheel.name.split("-")[:2]
    if name not in LAYOUTS:
        print(f"{wheel.name}: no wheel of {' or '.join(LAYOUTS)}", file=sys.stderr)
        return 2
    flags = read_flags(wheel, LAYOUTS[name])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    release = {"engine": LAYOUTS[name].engine, "version": version, "wheel_sha256": digest, "flags": flags}
    print(json.dumps(release, indent=1, sort_keys=True))
    return 0


def read_flags(wheel: Path, layout: Layout) -> dict[str, bool]:
    """Map each flag, without dashes, to whether it takes a value."""
    with zipfile.ZipFile(wheel) as archive:
        sources = {entry: archive.read(entry).decode() for entry in archive.namelist() if _wanted(entry, layout)}
    trees = {entry: ast.parse(source) for entry, source in sources.items()}
    types = dict(_field_types(trees, layout.fields))
    flags: dict[str, bool] = {}
    for entry, tree in trees.items():
        if entry.startswith(layout.calls):
            flags.update(_called_flags(tree, types))
        if entry.startswith(layout.fields):
            flags.update(_field_flags(tree, layout.flag_classes))
    return flags


def _wanted(entry: str, layout: Layout) -> bool:
    return entry.endswith(".py") and entry.startswith((*layout.calls, *layout.fields))


def _field_types(trees: dict[str, ast.Module], places: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for entry, tree in trees.items():
        if entry.startswith(places):
            for field in _fields(tree, ("*",)):
                yield field.name, field.type


@dataclass(frozen=True)
class _Field:
    name: str
    type: str
    annotation: ast.expr


def _fields(tree: ast.Module, classes: tuple[str, ...]) -> Iterator[_Field]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and ("*" in classes or node.name in classes):
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    yield _Field(item.target.id, _type_of(item.annotation), item.annotation)


def _type_of(annotation: ast.expr) -> str:
    """The type's text; of an annotated one (`A[T, ...]`, `Annotated[T, ...]`) the inner type."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in {"A", "Annotated"}:
        inner = annotation.slice
        return ast.unparse(inner.elts[0]) if isinstance(inner, ast.Tuple) else ast.unparse(inner)
    return ast.unparse(annotation)


def _field_flags(tree: ast.Module, classes: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Fields that are flags: all of vLLM's front-end class; of SGLang's those with metadata, by name and alias."""
    for field in _fields(tree, classes):
        if "*" not in classes:
            yield field.name.replace("_", "-"), not _is_switch(field.type)
        elif isinstance(field.annotation, ast.Subscript) and ast.unparse(field.annotation.value) == "A":
            yield from _annotated_flags(field)


def _annotated_flags(field: _Field) -> Iterator[tuple[str, bool]]:
    metadata = {
        keyword.arg: keyword.value
        for call in ast.walk(field.annotation)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Arg"
        for keyword in call.keywords
    }
    if "no_cli" in metadata and ast.unparse(metadata["no_cli"]) == "True":
        return
    own = _text(metadata.get("cli_name")) or field.name
    switch = _is_switch(field.type) or ("action" in metadata and "Store" in ast.unparse(metadata["action"]))
    for name in (own, *_texts(metadata.get("aliases"))):
        yield name.lstrip("-").replace("_", "-"), not switch


def _called_flags(tree: ast.Module, types: dict[str, str]) -> Iterator[tuple[str, bool]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            names = [text for argument in node.args if (text := _text(argument)).startswith("-")]
            switch = _is_switch_call(node, types)
            for name in names:
                yield name.lstrip("-").replace("_", "-"), not switch


def _is_switch_call(call: ast.Call, types: dict[str, str]) -> bool:
    for keyword in call.keywords:
        if keyword.arg == "action":
            return ast.unparse(keyword.value).strip("'\"").rpartition(".")[2] in _SWITCHES
        if keyword.arg is None:  # **kwargs["field"], alone or with more around it
            named = [_text(node.slice) for node in ast.walk(keyword.value) if isinstance(node, ast.Subscript)]
            return any(_is_switch(types.get(name, "")) for name in named)
    return False


def _is_switch(text: str) -> bool:
    return text.replace(" ", "") in {"bool", "bool|None", "Optional[bool]", "None|bool"}


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _texts(node: ast.expr | None) -> list[str]:
    return [text for item in node.elts if (text := _text(item))] if isinstance(node, ast.List | ast.Tuple) else []


if __name__ == "__main__":
    sys.exit(main())
