"""Read an engine's flags from its released wheel, without installing or importing it.

`python tools/engine_flags.py vllm-0.33.0-*.whl > operator/penstock/catalogue/flags/vllm-0.33.0.json`. Two things are
found in the source: literal `add_argument("--flag", ...)` calls, and fields of the classes from which the engine makes
its flags. A boolean field is a switch, a list takes several values, and every other spelling of a flag is written down
beside its first one, the spellings that turn a switch off among them.
"""  # noqa: INP001 - a script, not a package

import argparse
import ast
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_SWITCHES = frozenset({"store_true", "store_false", "BooleanOptionalAction", "DeprecatedStoreTrueAction"})
_TURNED_OFF_BY_NO = "BooleanOptionalAction"
_OPPOSITES = {"enable-": "disable-", "disable-": "enable-"}
_LISTS = frozenset({"list", "List", "tuple", "Tuple", "set", "Set", "Sequence"})


@dataclass(frozen=True)
class Layout:
    """Where an engine keeps its arguments: modules with calls, classes whose every field is a flag, types of fields.

    `parser` is the module of its own parser, which may give `--enable-x` the opposite `--disable-x`.
    """

    engine: str
    calls: tuple[str, ...]
    flag_classes: tuple[str, ...]
    fields: tuple[str, ...]
    parser: str = ""


LAYOUTS = {
    "vllm": Layout(
        "vLLM",
        calls=(
            "vllm/engine/arg_utils.py",
            "vllm/entrypoints/cli/serve.py",
            "vllm/entrypoints/common/cli_args.py",
            "vllm/entrypoints/launchers/cli_args.py",
        ),
        flag_classes=("FrontendArgs", "BaseFrontendArgs"),
        fields=("vllm/config/", "vllm/entrypoints/", "vllm/engine/arg_utils.py"),
        parser="vllm/utils/argparse_utils.py",
    ),
    "sglang": Layout(
        "SGLang",
        calls=("sglang/srt/server_args.py",),
        flag_classes=("*",),
        fields=("sglang/srt/arg_groups/fields/", "sglang/srt/server_args.py"),
    ),
}


@dataclass(frozen=True)
class FoundFlag:
    """One flag by its first spelling; `nargs` is argparse's: empty for one value, else `*`, `+` or `?`.

    `off` are the spellings that turn a switch off.
    """

    name: str
    value: bool
    nargs: str = ""
    aliases: tuple[str, ...] = ()
    off: tuple[str, ...] = ()


def main() -> int:
    """Print the flags of the wheel that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    wheel: Path = parser.parse_args().wheel
    name, version = wheel.name.split("-")[:2]
    if name not in LAYOUTS:
        sys.stderr.write(f"{wheel.name}: no wheel of {' or '.join(LAYOUTS)}\n")
        return 2
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    release: dict[str, object] = {"engine": LAYOUTS[name].engine, "version": version, "wheel_sha256": digest}
    release |= document(read_flags(wheel, LAYOUTS[name]))
    sys.stdout.write(json.dumps(release, indent=1, sort_keys=True) + "\n")
    return 0


def document(found: Iterable[FoundFlag]) -> dict[str, object]:
    """Every spelling with whether it takes a value, other and opposite spellings, lists, optional values."""
    flags = {flag.name: flag for flag in found}
    aliases = {alias: flag.name for flag in flags.values() for alias in flag.aliases if alias not in flags}
    return {
        "flags": {name: flags[aliases.get(name, name)].value for name in (*flags, *aliases)},
        "aliases": aliases,
        "negations": {off: flag.name for flag in flags.values() for off in flag.off if off not in flags},
        "lists": sorted(flag.name for flag in flags.values() if flag.nargs in {"*", "+"}),
        "optional": sorted(flag.name for flag in flags.values() if flag.nargs in {"*", "?"}),
    }


def read_flags(wheel: Path, layout: Layout) -> list[FoundFlag]:
    """Every flag that the wheel's server has."""
    with zipfile.ZipFile(wheel) as archive:
        sources = {entry: archive.read(entry).decode() for entry in archive.namelist() if _wanted(entry, layout)}
    trees = {entry: ast.parse(source) for entry, source in sources.items()}
    types = dict(_field_types(trees, layout.fields))
    single = {name for tree in trees.values() for name in _single_valued(tree)}
    flags: list[FoundFlag] = []
    for entry, tree in trees.items():
        if entry.startswith(layout.fields):
            flags.extend(_field_flags(tree, layout.flag_classes, single))
        if entry.startswith(layout.calls):
            flags.extend(_called_flags(tree, types))
    paired = any(_pairs_opposites(tree) for entry, tree in trees.items() if entry == layout.parser)
    return [_with_opposite(flag) if paired else flag for flag in flags]


def _pairs_opposites(tree: ast.Module) -> bool:
    """True where the engine's own parser gives each `--enable-x` a `--disable-x`, and the other way round."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return "_inverse_prefixes" in names


def _with_opposite(flag: FoundFlag) -> FoundFlag:
    opposites = [new + flag.name.removeprefix(old) for old, new in _OPPOSITES.items() if flag.name.startswith(old)]
    return replace(flag, off=(*flag.off, *opposites)) if flag.off else flag


def _off(name: str, *, optional: bool) -> tuple[str, ...]:
    """What argparse's optional boolean adds."""
    return (f"no-{name}",) if optional else ()


def _single_valued(tree: ast.Module) -> Iterator[str]:
    """Fields whose list is one word on the command line: the source deletes their `nargs`."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Delete) else []
        for target in targets:
            match target:
                case ast.Subscript(value=ast.Subscript(slice=field), slice=ast.Constant(value="nargs")):
                    yield _text(field)


def _wanted(entry: str, layout: Layout) -> bool:
    return entry.endswith(".py") and (entry == layout.parser or entry.startswith((*layout.calls, *layout.fields)))


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


def _field_flags(tree: ast.Module, classes: tuple[str, ...], single: set[str]) -> Iterator[FoundFlag]:
    """Fields that are flags: all of vLLM's front-end class; of SGLang's those with metadata, by name and alias."""
    for field in _fields(tree, classes):
        if "*" not in classes:
            nargs = "+" if _is_list(field.type) and field.name not in single else ""
            name, switch = _dashed(field.name), _is_switch(field.type)
            yield FoundFlag(name, not switch, nargs, off=_off(name, optional=switch))
        elif isinstance(field.annotation, ast.Subscript) and ast.unparse(field.annotation.value) == "A":
            yield from _annotated_flag(field)


def _annotated_flag(field: _Field) -> Iterator[FoundFlag]:
    metadata = {
        keyword.arg: keyword.value
        for call in ast.walk(field.annotation)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Arg"
        for keyword in call.keywords
    }
    if "no_cli" in metadata and ast.unparse(metadata["no_cli"]) == "True":
        return
    own = _text(metadata.get("cli_name")) or field.name
    action = ast.unparse(metadata["action"]) if "action" in metadata else ""
    switch = _is_switch(field.type) or "Store" in action
    nargs = _text(metadata.get("nargs")) or _text(_entry(metadata.get("action_kwargs"), "nargs"))
    if not nargs and _is_list(field.type) and "type_parser" not in metadata:
        nargs = "+"
    aliases = tuple(_dashed(name) for name in _texts(metadata.get("aliases")))
    off = _off(_dashed(own), optional=action.endswith(_TURNED_OFF_BY_NO))
    yield FoundFlag(_dashed(own), not switch, nargs, aliases, off)


def _called_flags(tree: ast.Module, types: dict[str, str]) -> Iterator[FoundFlag]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            names = [text for argument in node.args if (text := _text(argument)).startswith("-")]
            names.sort(key=lambda name: not name.startswith("--"))
            if names:
                first, *others = [_dashed(name) for name in names]
                action = _action_of_call(node, types)
                off = _off(first, optional=action == _TURNED_OFF_BY_NO)
                yield FoundFlag(first, action not in _SWITCHES, _nargs_of_call(node, types), tuple(others), off)


def _nargs_of_call(call: ast.Call, types: dict[str, str]) -> str:
    for keyword in call.keywords:
        if keyword.arg == "nargs":
            return _text(keyword.value)
    found = [types.get(name, "") for name in _named_fields(call)]
    if any(_is_list(text) for text in found):
        return "+"
    # vLLM's rule for a field that is a switch or a text.
    return "?" if any(set(_members_of(text)) == {"bool", "str", "None"} for text in found) else ""


def _action_of_call(call: ast.Call, types: dict[str, str]) -> str:
    """The action's name; vLLM makes an optional boolean of every field that is a switch."""
    for keyword in call.keywords:
        if keyword.arg == "action":
            return ast.unparse(keyword.value).strip("'\"").rpartition(".")[2]
    return _TURNED_OFF_BY_NO if any(_is_switch(types.get(name, "")) for name in _named_fields(call)) else ""


def _named_fields(call: ast.Call) -> list[str]:
    """The fields in `**kwargs["field"]`, alone or with more around it."""
    return [
        _text(node.slice)
        for keyword in call.keywords
        if keyword.arg is None
        for node in ast.walk(keyword.value)
        if isinstance(node, ast.Subscript)
    ]


def _dashed(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


def _entry(node: ast.expr | None, key: str) -> ast.expr | None:
    """The value of a literal dictionary's key."""
    pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
    return next((value for name, value in pairs if _text(name) == key), None)


def _is_list(text: str) -> bool:
    """True where one member of the (optional, united) type is a list, a tuple or a set."""
    return any(member in _LISTS for member in _members_of(text))


def _members_of(text: str) -> Iterator[str]:
    return _members(ast.parse(text, mode="eval").body) if text else iter(())


def _members(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _members(left)
            yield from _members(right)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            yield from _members(inner)
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=elements)):
            for element in elements:
                yield from _members(element)
        case ast.Subscript(value=value):
            yield ast.unparse(value)
        case _:
            yield ast.unparse(node)


def _is_switch(text: str) -> bool:
    return text.replace(" ", "") in {"bool", "bool|None", "Optional[bool]", "None|bool"}


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _texts(node: ast.expr | None) -> list[str]:
    return [text for item in node.elts if (text := _text(item))] if isinstance(node, ast.List | ast.Tuple) else []


if __name__ == "__main__":
    sys.exit(main())
