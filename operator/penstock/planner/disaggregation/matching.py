"""Rate matching: how many prefill and how many decode workers go together (xPyD).

Prefill workers are counted at 90 % of their modelled rate and decode workers at 92 % (AIConfigurator, sizing.md 4.3).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

from penstock.planner.disaggregation.workers import Worker

__all__ = ["MOST_WORKERS", "PrefillDecode", "best_layout", "layout_for_rate"]

MOST_WORKERS = 32
"""Of each kind in one layout."""

_PREFILL_SHARE = 0.9
_DECODE_SHARE = 0.92


@dataclass(frozen=True, slots=True)
class PrefillDecode:
    """`prefills` prefill workers that feed `decodes` decode workers."""

    prefill: Worker
    prefills: int
    decode: Worker
    decodes: int

    @property
    def gpus(self) -> int:
        """GPUs of all workers."""
        return self.prefills * self.prefill.gpus + self.decodes * self.decode.gpus

    @property
    def requests_per_second(self) -> float:
        """What the slower side lets through."""
        return min(
            self.prefills * self.prefill.requests_per_second * _PREFILL_SHARE,
            self.decodes * self.decode.requests_per_second * _DECODE_SHARE,
        )

    def __str__(self) -> str:
        """As people write it: 2P3D, with the tensor-parallel size of each kind."""
        return (
            f"{self.prefills}P{self.decodes}D (prefill TP{self.prefill.tensor_parallel},"
            f" decode TP{self.decode.tensor_parallel})"
        )


def best_layout(prefills: Iterable[Worker], decodes: Iterable[Worker], *, most_gpus: int) -> PrefillDecode | None:
    """The most requests per second and GPU within so many GPUs; of equals the fewest GPUs. None: nothing fits."""
    found = [
        layout
        for prefill in prefills
        for decode in decodes
        for layout in _matched(prefill, decode, most_gpus=most_gpus)
    ]
    return min(found, key=_rank, default=None)


def layout_for_rate(
    prefills: Iterable[Worker], decodes: Iterable[Worker], *, requests_per_second: float
) -> tuple[PrefillDecode, int] | None:
    """The fewest GPUs that carry the rate, as one layout and how many of it; None where a side has no worker."""
    found = [_carrying(prefill, decode, requests_per_second) for prefill in prefills for decode in decodes]
    return min(found, key=lambda each: (each[0].gpus * each[1], _rank(each[0])), default=None)


def _rank(layout: PrefillDecode) -> tuple[float, int, int]:
    return -layout.requests_per_second / layout.gpus, layout.gpus, layout.prefill.gpus


def _matched(prefill: Worker, decode: Worker, *, most_gpus: int) -> Iterator[PrefillDecode]:
    """For each number of prefill workers the two numbers of decode workers around the matching one, or what is left."""
    ratio = (prefill.requests_per_second * _PREFILL_SHARE) / (decode.requests_per_second * _DECODE_SHARE)
    for count in range(1, MOST_WORKERS + 1):
        most = min(MOST_WORKERS, (most_gpus - count * prefill.gpus) // decode.gpus)
        if most < 1:
            return
        for others in {min(most, max(1, int(count * ratio))), min(most, ceil(count * ratio))}:
            yield PrefillDecode(prefill, count, decode, others)


def _carrying(prefill: Worker, decode: Worker, rate: float) -> tuple[PrefillDecode, int]:
    prefills = max(1, ceil(rate / (prefill.requests_per_second * _PREFILL_SHARE)))
    decodes = max(1, ceil(rate / (decode.requests_per_second * _DECODE_SHARE)))
    units = ceil(max(prefills, decodes) / MOST_WORKERS)
    return PrefillDecode(prefill, ceil(prefills / units), decode, ceil(decodes / units)), units
