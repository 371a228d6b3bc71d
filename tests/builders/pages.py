"""The pages of the documentation, as far as they can be checked: blocks of code, links, headings."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ROOT", "Block", "Link", "anchors", "blocks", "links", "manifests", "navigation", "pages"]

ROOT = Path(__file__).parents[2]
_DOCS = ROOT / "docs"
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_INDENTED = re.compile(r"(?:\A|\n\n)((?:    [^\n]+\n)+)")
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^()\s]+)\)")
_RUN = "<!-- run -->"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code; `runs`: it is marked to be run from the root of the checkout."""

    page: Path
    number: int
    language: str
    text: str
    runs: bool = False

    def __str__(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(ROOT)}[{self.number}]"

    @property
    def commands(self) -> Iterator[str]:
        """Lines of a shell, those that go on in the next joined; what a pipe feeds apart."""
        if self.language in {"console", "bash", "sh", ""}:
            for line in re.sub(r"\\\n\s*", " ", self.text).splitlines():
                yield line.partition(" # ")[0].strip()


@dataclass(frozen=True, slots=True)
class Link:
    """A link inside the checkout; `anchor` is empty where it names no heading."""

    page: Path
    target: Path
    anchor: str

    def __str__(self) -> str:
        """Whence and whither."""
        return f"{self.page.relative_to(ROOT)} -> {self.target}#{self.anchor}"


def pages() -> list[Path]:
    """Every page of the site, and those that stand beside it."""
    beside = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "manifests/samples/README.md")
    return [*sorted(_DOCS.rglob("*.md")), *(ROOT / each for each in beside)]


@cache
def blocks() -> tuple[Block, ...]:
    """Of all pages."""
    return tuple(block for page in pages() for block in _blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for number, found in enumerate(_FENCE.finditer(text)):
        marked = text[: found.start()].rstrip().endswith(_RUN)
        yield Block(page, number, found["language"], textwrap.dedent(found["body"]), marked)
    rest = _FENCE.sub("", text)
    for number, found in enumerate(_INDENTED.finditer(rest), start=1000):
        yield Block(page, number, "", textwrap.dedent(found[1]))


def manifests() -> Iterator[tuple[Block, dict[str, Any]]]:
    """Every document of every block of YAML."""
    for block in blocks():
        if block.language == "yaml":
            yield from ((block, each) for each in yaml.safe_load_all(block.text) if each is not None)


def links() -> Iterator[Link]:
    """Those that stay in the checkout; code is not looked at."""
    for page in pages():
        text = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
        for href in _LINK.findall(text):
            if "://" not in href and not href.startswith("mailto:"):
                path, _, anchor = href.partition("#")
                yield Link(page, (page.parent / path).resolve() if path else page, anchor)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Of its headings, as MkDocs makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return frozenset(_slug(re.sub(r"[`*]|\]\([^)]*\)|\[", "", each)) for each in headings)


def _slug(heading: str) -> str:
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


class _Loader(yaml.SafeLoader):
    """mkdocs.yml names a function of a theme's package, which nobody has here."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda _loader, suffix, _node: suffix)


def navigation() -> list[str]:
    """The pages of the site's navigation, in its order."""
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    return list(_leaves(settings["nav"]))


def _leaves(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _leaves(child)
