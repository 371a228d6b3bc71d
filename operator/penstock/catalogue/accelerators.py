"""Accelerators: what Penstock knows of each GPU by its name, and how to tell it from a node's labels.

The door to the table of hardware.py and the label reading of node_labels.py.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.hardware import Accelerator, FormatSupport, KnownAccelerator, Vendor, known_accelerators
from penstock.catalogue.node_labels import Detection, detect

__all__ = [
    "ACCELERATORS",
    "Accelerator",
    "Detection",
    "FormatSupport",
    "Vendor",
    "by_catalogue_id",
    "by_name",
    "detect",
    "find_spelled",
]

_LONGEST_NAME = 100
_LONGEST_CHIP_WORDS = 3
_MEMORY_TOLERANCE_PERCENT = 10
_MIB_PER_GIB = 1024
_WORD = re.compile(r"[a-z0-9]+")
_MEMORY = re.compile(r"^(\d{2,3})gi?b$")
_FORMS = {"sxm": "SXM", "sxm4": "SXM", "sxm5": "SXM", "pcie": "PCIe", "nvl": "NVL", "oam": "OAM"}

ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {known.accelerator.name: known.accelerator for known in known_accelerators()}
)

_IDENTIFIERS = MappingProxyType({known.catalogue_id: known.accelerator for known in known_accelerators()})
_LETTERS = MappingProxyType({name.upper(): accelerator for name, accelerator in ACCELERATORS.items()})


def by_name(name: str) -> Accelerator:
    """The accelerator of this name, letter case aside; Refused lists the nearest names."""
    found = _LETTERS.get(name.upper())
    if found is not None:
        return found
    near = difflib.get_close_matches(name.upper(), _LETTERS, n=3, cutoff=0.4)
    names = [_LETTERS[letters].name for letters in near] or sorted(ACCELERATORS)
    reason = "no accelerator of this name is known"
    raise Refused([Refusal("spec.accelerator", name, reason, f"Use one of {', '.join(names)}")])


def by_catalogue_id(identifier: str) -> Accelerator:
    """The accelerator of a reference row such as `h100-sxm`; KeyError where there is none."""
    return _IDENTIFIERS[identifier]


def find_spelled(name: str) -> Accelerator | None:
    """What people mean by `h100`, `A100-80GB`, `H100-80GB-SXM` or `RTX4090`; None where it names no one accelerator.

    Without a form the module wins over the card, without a size the larger memory.
    """
    exact = _LETTERS.get(name.strip().upper()) or _IDENTIFIERS.get(name.strip().lower())
    if exact is not None:
        return exact
    words = _WORD.findall(name[:_LONGEST_NAME].lower())
    rows = [row for row in known_accelerators() if _chip(row) in set(_joined(words))]
    if len({row.spelling.chip for row in rows}) != 1:
        return None
    forms = {_FORMS[word] for word in words if word in _FORMS}
    fitting = [row for row in rows if _fits(row, forms, words)]
    return min(fitting, key=_commonness).accelerator if fitting else None


def _chip(row: KnownAccelerator) -> str:
    return "".join(_WORD.findall(row.spelling.chip.lower()))


def _joined(words: Sequence[str]) -> Iterator[str]:
    """Each word, and neighbours written as one (`RTX 4090`)."""
    for start in range(len(words)):
        for length in range(1, _LONGEST_CHIP_WORDS + 1):
            yield "".join(words[start : start + length])


def _fits(row: KnownAccelerator, forms: set[str], words: Sequence[str]) -> bool:
    if forms and row.spelling.form not in forms:
        return False
    stated = [int(found[1]) * _MIB_PER_GIB for word in words if (found := _MEMORY.match(word))]
    known = row.spelling.memory_mib
    return all(abs(size - known) * 100 <= known * _MEMORY_TOLERANCE_PERCENT for size in stated)


def _commonness(row: KnownAccelerator) -> tuple[bool, int]:
    return (row.spelling.form not in {"SXM", "OAM"}, -row.spelling.memory_mib)
