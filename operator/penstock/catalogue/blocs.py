"""Countries and blocs of countries, for jurisdictions: a place passes only where all its countries lie inside.

The lists are in blocs.json. A country's ISO 3166-1 code stands for itself; a code that is neither is unknown, and an
unknown code admits nothing.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

__all__ = ["bloc_names", "contains", "countries_of"]


def countries_of(code: str) -> frozenset[str] | None:
    """The countries of a bloc, or of a country's own code; None where the code is neither."""
    return _codes().get(code)


def contains(jurisdictions: Iterable[str], countries: Iterable[str]) -> bool:
    """True where every one of `countries` lies inside some jurisdiction; no country stated lies nowhere."""
    stated = frozenset(countries)
    allowed = frozenset[str]().union(*(countries_of(code) or frozenset() for code in jurisdictions))
    return bool(stated) and stated <= allowed


def bloc_names() -> tuple[str, ...]:
    """The blocs that are known, for messages that teach."""
    return tuple(sorted(_listed()["blocs"]))


@cache
def _codes() -> Mapping[str, frozenset[str]]:
    own = {code: frozenset({code}) for code in _listed()["countries"]}
    return MappingProxyType(own | {name: frozenset(members) for name, members in _listed()["blocs"].items()})


@cache
def _listed() -> Mapping[str, Any]:
    listed: Mapping[str, Any] = json.loads(
        resources.files("penstock.catalogue").joinpath("blocs.json").read_text(encoding="utf-8")
    )
    return listed
