"""Finding a checkpoint by what people call it: its exact name, another spelling, or its family in another format."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from penstock.api.formats import Precision
from penstock.catalogue.model_table import KnownTotals, model_table
from penstock.catalogue.models import ModelFacts, built_in, built_in_names, entry_of
from penstock.catalogue.requantising import requantised
from penstock.catalogue.spelling import ModelName, StoredFormat, aliases, format_of_words, parse_name
from penstock.catalogue.totals import Totals, facts_from_totals

__all__ = ["find", "find_in_format"]

_UNQUANTISED = frozenset({Precision.BF16, Precision.FP16})


@dataclass(frozen=True, slots=True)
class _Known:
    """An entry of the catalogue with its name in parts; its facts are read when they are asked for."""

    model: str
    name: ModelName

    @property
    def facts(self) -> ModelFacts:
        """What is known of it."""
        facts = _exact(self.model)
        assert facts is not None  # noqa: S101 - names come from the table itself
        return facts


def find(name: str) -> ModelFacts | None:
    """The checkpoint that a name means, None where the catalogue has nothing of its family and size.

    Spelling, organisation and date do not matter; a format in the name does. `source` of the facts says how they came
    about: `catalogue`, `formula` (an architecture in a format without a checkpoint) or `totals` (a borrowed shape).
    """
    short = name.rsplit("/", maxsplit=1)[-1].strip().lower()
    exact = _exact(aliases().get(short, name).strip()) or _exact(_short_names().get(short, ""))
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
    parsed = parse_name(found.model)
    wanted = StoredFormat(stored.precisions[::-1], stored.is_micro_scaled) if is_amd else stored
    return _in_format(parsed, _relatives(parsed), wanted)


def _means(found: ModelFacts, stored: StoredFormat) -> bool:
    """Whether these facts are what the word says; mixed checkpoints answer to several words."""
    also = () if found.source == "totals" else entry_of(found.model).also_called
    return found.precision in stored.precisions or any(precision in also for precision in stored.precisions)


def _in_format(parsed: ModelName, relatives: tuple[_Known, ...], stored: StoredFormat | None) -> ModelFacts:
    ranked = sorted(relatives, key=lambda known: _distance(parsed, known))
    if stored is None:
        return ranked[0].facts
    for precision in stored.precisions:
        same = [known for known in ranked if known.facts.precision is precision]
        if same:
            return same[0].facts
    unquantised = [known for known in ranked if known.facts.precision in _UNQUANTISED]
    return _stored_otherwise((unquantised or ranked)[0].facts, stored)


def _stored_otherwise(facts: ModelFacts, stored: StoredFormat) -> ModelFacts:
    if facts.source != "totals":
        return requantised(facts.model, stored)
    entry = model_table().totals[facts.model.lower()]
    return facts_from_totals(replace(_totals(entry), precision=stored.precisions[0], weights_bytes=None))


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
    return families[max(near, key=len)] if near else _abbreviated(parsed)


def _abbreviated(parsed: ModelName) -> tuple[_Known, ...]:
    """The one family that a short name means (`Llama-4-Scout`, `Qwen3-235B`); nothing where several may be meant."""
    longer = [stem for stem in _families() if stem[:1] == parsed.stem[:1] and set(parsed.stem) < set(stem)]
    shortest = min((len(stem) for stem in longer), default=0)
    nearest = [_families()[stem] for stem in longer if len(stem) == shortest]
    sizes = {relatives[0].facts.parameters for relatives in nearest}
    return nearest[0] if len(sizes) == 1 and len(parsed.stem) > 1 else ()


def _extends(parsed: ModelName, stem: tuple[str, ...]) -> bool:
    """A name with words that no entry knows (`-DSpark`) still means its family, if every size agrees."""
    if len(stem) < 2 or parsed.stem[:1] != stem[:1] or not set(stem) <= set(parsed.stem):  # noqa: PLR2004 - a family and its size
        return False
    return parsed.sizes == _families()[stem][0].name.sizes


@cache
def _short_names() -> Mapping[str, str]:
    """Names without their organisation; the first entry of a name wins."""
    names: dict[str, str] = {}
    for known in _all():
        names.setdefault(known.model.rsplit("/", maxsplit=1)[-1].lower(), known.model)
    return MappingProxyType(names)


@cache
def _families() -> Mapping[tuple[str, ...], tuple[_Known, ...]]:
    families: dict[tuple[str, ...], list[_Known]] = {}
    for known in _all():
        families.setdefault(known.name.stem, []).append(known)
    return MappingProxyType({stem: tuple(entries) for stem, entries in families.items()})


@cache
def _all() -> tuple[_Known, ...]:
    """Every entry; those with an architecture come first, so that they win."""
    names = (*built_in_names(), *(entry.model for entry in model_table().totals.values()))
    return tuple(_Known(model, parse_name(model)) for model in names)


def _exact(model: str) -> ModelFacts | None:
    found = built_in(model)
    if found is not None:
        return found
    entry = model_table().totals.get(model.lower())
    return None if entry is None else facts_from_totals(_totals(entry))


def _totals(entry: KnownTotals) -> Totals:
    return Totals(
        model=entry.model,
        precision=entry.precision,
        parameters=entry.parameters,
        active_parameters=entry.active_parameters,
        weights_bytes=entry.weights_bytes,
        context_tokens=entry.context_tokens,
    )
