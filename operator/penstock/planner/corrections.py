"""What live metrics teach about speed: measured over modelled time per (model, accelerator, engine), bounded.

A correction moves slowly and only within bounds, so that an hour of odd traffic cannot move a fleet. Pure: whoever
measures passes the times in, and keeps the small document that this module writes and reads.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

__all__ = ["HIGHEST", "LOWEST", "Correction", "CorrectionKey", "Corrections", "calls_for_a_new_plan"]

LOWEST, HIGHEST = 0.5, 3.0
"""Beyond these the model is wrong about the replica and not merely off: the plan's accuracy says so instead."""

_STEADY_WEIGHT = 0.1
"""Of a new measurement, once ten were seen; before that each counts as much as any other."""
_LARGEST_STEP = math.log(1.25)
_RE_PLAN_CHANGE = 1.2
_TRUSTED_COUNT = 5


@dataclass(frozen=True, slots=True, order=True)
class CorrectionKey:
    """What a correction is learnt for; names as the plan has them."""

    model: str
    accelerator: str
    engine: str


@dataclass(frozen=True, slots=True)
class Correction:
    """A factor on modelled times, the measurements behind it, and since when it was learnt."""

    factor: float
    count: int
    since: datetime

    def after(self, ratio: float) -> "Correction":
        """With one more measured over modelled time; a single outlier moves it by a quarter at most."""
        weight = max(_STEADY_WEIGHT, 1 / (self.count + 1))
        gap = math.log(_bounded(ratio) / self.factor)
        moved = self.factor * math.exp(max(-_LARGEST_STEP, min(_LARGEST_STEP, weight * gap)))
        return Correction(_bounded(moved), self.count + 1, self.since)


@dataclass(frozen=True, slots=True)
class Corrections:
    """Everything learnt so far. Never changed in place."""

    entries: Mapping[CorrectionKey, Correction]

    @classmethod
    def none(cls) -> "Corrections":
        """Nothing learnt."""
        return cls(MappingProxyType({}))

    def factor(self, key: CorrectionKey) -> float:
        """What to multiply modelled times by: 1.0 until there are measurements enough to trust."""
        found = self.entries.get(key)
        return found.factor if found is not None and found.count >= _TRUSTED_COUNT else 1.0

    def learnt(self, key: CorrectionKey, *, measured: float, modelled: float, now: datetime) -> "Corrections":
        """With one measurement more; times in seconds, the modelled one uncorrected. Senseless times teach nothing."""
        if not (_is_time(measured) and _is_time(modelled)):
            return self
        before = self.entries.get(key) or Correction(1.0, 0, now)
        return Corrections(MappingProxyType({**self.entries, key: before.after(measured / modelled)}))

    def kept(self, keys: Iterable[CorrectionKey]) -> "Corrections":
        """Those of what still runs, so that the document does not grow for ever."""
        wanted = frozenset(keys)
        return Corrections(MappingProxyType({key: each for key, each in self.entries.items() if key in wanted}))

    def document(self) -> dict[str, dict[str, Any]]:
        """A small JSON-ready dictionary, in a steady order."""
        return {
            f"{key.model}|{key.accelerator}|{key.engine}": {
                "factor": round(each.factor, 4),
                "count": each.count,
                "since": each.since.astimezone(UTC).isoformat(),
            }
            for key, each in sorted(self.entries.items())
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Corrections":
        """What `document` wrote; entries that make no sense (edited by hand) are left out."""
        found = {}
        for name, entry in document.items():
            key, correction = _key(name), _correction(entry)
            if key is not None and correction is not None:
                found[key] = correction
        return cls(MappingProxyType(found))


def calls_for_a_new_plan(planned_with: float, present: float) -> bool:
    """Whether a correction has moved so far, by a fifth, that plans made with the old one should be made anew."""
    return max(planned_with, present) / min(planned_with, present) > _RE_PLAN_CHANGE


def _bounded(factor: float) -> float:
    return max(LOWEST, min(HIGHEST, factor))


def _is_time(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds > 0


def _key(name: str) -> CorrectionKey | None:
    parts = name.rsplit("|", 2)
    return CorrectionKey(*parts) if len(parts) == len(CorrectionKey.__slots__) and all(parts) else None


def _correction(entry: object) -> Correction | None:
    if not isinstance(entry, Mapping):
        return None
    factor, count, since = entry.get("factor"), entry.get("count"), entry.get("since")
    if not isinstance(factor, int | float) or not isinstance(count, int) or not isinstance(since, str):
        return None
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        return None
    if not _is_time(factor) or count < 0 or moment.tzinfo is None:
        return None
    return Correction(_bounded(factor), count, moment)
