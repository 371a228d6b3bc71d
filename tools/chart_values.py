"""Write the table of the chart's values in docs/chart.md, from the comments in values.yaml.

`python tools/chart_values.py` writes, `--check` compares (exit code 1). A value's comment is the block right above it.
"""  # noqa: INP001 - a script, not a package

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
VALUES = ROOT / "charts" / "penstock" / "values.yaml"
PAGE = ROOT / "docs" / "chart.md"

_BEGIN, _END = "<!-- values: tools/chart_values.py -->", "<!-- end of values -->"


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its path, its default as JSON (empty for a group of values), and what its comment says."""

    path: str
    default: str
    says: str


def values_of(text: str) -> tuple[Value, ...]:
    """Every value in a values.yaml, groups before what is in them."""
    root = yaml.compose(text)
    lines = text.splitlines()
    return tuple(_values(root, "", lines)) if isinstance(root, yaml.MappingNode) else ()


def table(values: Sequence[Value]) -> str:
    """As Markdown."""
    rows = [f"| `{each.path}` | {f'`{each.default}`' if each.default else ''} | {each.says} |" for each in values]
    return "\n".join(["| value | default | says |", "|---|---|---|", *(row.replace("|  |", "| |") for row in rows)])


def page(current: str, values: Sequence[Value]) -> str:
    """The page with the table anew; ValueError where it has no place for one."""
    before, begin, rest = current.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        message = f"docs/chart.md lacks {_BEGIN} or {_END}"
        raise ValueError(message)
    return f"{before}{begin}\n{table(values)}\n{end}{after}"


def _values(node: yaml.MappingNode, prefix: str, lines: Sequence[str]) -> Iterator[Value]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        group = isinstance(value, yaml.MappingNode) and bool(value.value)
        default = "" if group else json.dumps(yaml.safe_load(yaml.serialize(value)))
        yield Value(path, default, _comment(lines, key.start_mark.line))
        if group:
            yield from _values(value, f"{path}.", lines)


def _comment(lines: Sequence[str], line: int) -> str:
    above = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        above.append(lines[line].lstrip().removeprefix("#").strip())
    return " ".join(reversed(above))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Write the table of the chart's values.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page differs")
    check = parser.parse_args(argv).check
    current = PAGE.read_text()
    wanted = page(current, values_of(VALUES.read_text()))
    if not check:
        PAGE.write_text(wanted)
    elif wanted != current:
        sys.stderr.write("docs/chart.md differs from values.yaml; run `python tools/chart_values.py`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
