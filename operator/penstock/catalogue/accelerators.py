"""Accelerators: what Penstock knows of each GPU by its name, and how to tell it from a node's labels.

The door to the table of hardware.py and the label reading of node_labels.py.
"""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.hardware import Accelerator, FormatSupport, Vendor, known_accelerators
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
]

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
