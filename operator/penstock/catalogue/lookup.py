"""Finding a checkpoint by what people call it: its exact name, another spelling, or its family in another format."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from penstock.api.formats import Precision
from penstock.catalogue.models import ModelFacts, built_in, built_in_names, entry_of
from penstock.catalogue.requantising import requantised
from penstock.catalogue.spelling import ModelName, StoredFormat, aliases, format_of_words, parse_name

__all__ = ["find", "find_in_format"]

_UNQUANTISED = frozenset({Precision.BF16, Precision.FP16})


@dataclass(frozen=True, slots=True)
class _Known:
    """An entry of the catalogue with its name in parts."""

    model: str
    name: ModelName
    facts: ModelFacts


def find(name: str) -> ModelFacts | None:
    """The checkpoint that a name means, None where the catalogue has nothing of its family and size.

    Spelling, organisation and date do not matter; a format in the name does.
    """
    short = name.rsplit("/", maxsplit=1)[-1].strip().lower()
    exact = built_in(aliases().get(short, name))
    if exact is not None:
        return exact
    parsed = parse_name(name)
    relatives = _relatives(parsed)
    if not relatives:
        return None
    return _in_format(parsed, relatives, parsed.stored)


def find_in_format(name: str, words: str, *, is_amd: bool = False) -> ModelFacts | None:
    """As `find`, in the number format that `words` name: the checkpoint, a sibling, else its formula in that format.

    `is_amd` decides what a bare `fp4` means: MXFP4 there, NVFP4 elsewhere. A BF16 name beside `fp8` means its FP8
    checkpoint; words that name no format mean what the name says.
    """
    stored = format_of_words(words)
    found = find(name)
    if found is None or stored is None or _means(found, stored):
        return found
    parsed = parse_name(name)
    wanted = StoredFormat(stored.precisions[::-1], stored.is_micro_scaled) if is_amd else stored
    return _in_format(parsed, _relatives(parsed) or (_known(found.model),), wanted)


def _means(found: ModelFacts, stored: StoredFormat) -> bool:
    """Whether these facts are what the word says; mixed checkpoints answer to several words."""
    also = entry_of(found.model).get("alsoCalled", ())
    return found.precision in stored.precisions or any(precision in also for precision in stored.precisions)


def _in_format(parsed: ModelName, relatives: tuple[_Known, ...], stored: StoredFormat | None) -> ModelFacts:
    ranked = sorted(relatives, key=lambda known: _distance(parsed, known))
    if stored is None:
        return ranked[0].facts
    for precision in stored.precisions:
        same = [known for known in ranked if known.facts.precision is precision]
        if same:
            return same[0].facts
    if stored.precisions[0] in _UNQUANTISED:
        return requantised(ranked[0].model, stored)
    unquantised = [known for known in ranked if known.facts.precision in _UNQUANTISED]
    return requantised((unquantised or ranked)[0].model, stored)


def _distance(parsed: ModelName, known: _Known) -> tuple[bool, int, bool]:
    """Plain names before quantised ones, then those of the same role."""
    stated = known.name.stored is not None
    return (stated and parsed.stored is None, len(parsed.roles ^ known.name.roles), stated)


def _relatives(parsed: ModelName) -> tuple[_Known, ...]:
    """Entries of the same family and size, else of the nearest family name that the stem extends."""
    families = _families()
    if parsed.stem in families:
        return families[parsed.stem]
    near = [stem for stem in families if _extends(parsed, stem)]
    return families[max(near, key=len)] if near else ()


def _extends(parsed: ModelName, stem: tuple[str, ...]) -> bool:
    """A name with words that no entry knows (`-DSpark`) still means its family, if every size agrees."""
    if len(stem) < 2 or parsed.stem[:1] != stem[:1] or not set(stem) <= set(parsed.stem):  # noqa: PLR2004 - a family and its size
        return False
    return parsed.sizes == _families()[stem][0].name.sizes


@cache
def _families() -> Mapping[tuple[str, ...], tuple[_Known, ...]]:
    families: dict[tuple[str, ...], list[_Known]] = {}
    for known in _all():
        families.setdefault(known.name.stem, []).append(known)
    return MappingProxyType({stem: tuple(entries) for stem, entries in families.items()})


@cache
def _all() -> tuple[_Known, ...]:
    return tuple(_known(model) for model in built_in_names())


def _known(model: str) -> _Known:
    facts = built_in(model)
    assert facts is not None  # noqa: S101 - names come from the table itself
    return _Known(model, parse_name(model), facts)
