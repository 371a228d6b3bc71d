"""Which checkpoint an accelerator should run: a preference among those that exist, never a new one.

The published precision and formats in which the accelerator itself computes are liked alike: what a token costs decides
between them. INT4 of a model that was published otherwise is the last resort (sizing.md 1.1).
"""

from dataclasses import dataclass
from enum import IntEnum

from penstock.api.formats import Precision
from penstock.api.modeldeployment import PrecisionPolicy
from penstock.catalogue.accelerators import Accelerator, FormatSupport
from penstock.planner.plan import Rejection, RejectionReason
from penstock.planner.requirements import KnownCheckpoint, Requirements

__all__ = ["Choice", "Standing", "rank_checkpoints"]

_UNQUANTISED = frozenset({Precision.BF16, Precision.FP16})
_FOUR_BIT = frozenset({Precision.NVFP4, Precision.MXFP4})
_BELOW_EIGHT_BIT = _FOUR_BIT | {Precision.INT4}


class Standing(IntEnum):
    """How much a checkpoint is liked on an accelerator; lower is better."""

    NATIVE_FOUR_BIT = 0
    NATIVE_EIGHT_BIT = 1
    PUBLISHED = 2
    UNQUANTISED = 3
    TO_FIT = 4
    LAST_RESORT = 5

    @property
    def liked(self) -> int:
        """The class within which cost decides, whatever the format; lower is better."""
        return max(self, Standing.PUBLISHED)


@dataclass(frozen=True, slots=True)
class Choice:
    """A checkpoint with its standing on one accelerator."""

    known: KnownCheckpoint
    standing: Standing


def rank_checkpoints(wants: Requirements, accelerator: Accelerator) -> tuple[tuple[Choice, ...], tuple[Rejection, ...]]:
    """The checkpoints that the accelerator can run, best first, and why it cannot run the others."""
    choices: list[Choice] = []
    rejections: list[Rejection] = []
    for known in wants.known:
        rejection = _forbidden(known, wants.precision_policy) or _mislabelled(known) or _unsupported(known, accelerator)
        if rejection is not None:
            rejections.append(rejection)
            continue
        choices.append(Choice(known, _standing(known, accelerator.formats[known.checkpoint.precision])))
    choices.sort(key=lambda choice: (choice.standing, not choice.known.own))
    return tuple(choices), tuple(rejections)


def _forbidden(known: KnownCheckpoint, policy: PrecisionPolicy) -> Rejection | None:
    precision = known.checkpoint.precision
    if policy is PrecisionPolicy.PUBLISHED and not known.own:
        why, cure = "allows only the checkpoint of `spec.model`", ""
    elif policy is PrecisionPolicy.EIGHT_BIT and precision in _BELOW_EIGHT_BIT:
        why, cure = (
            f"allows no weights below 8 bits, and '{known.checkpoint.model}' is {precision}",
            ", or a variant in FP8 or BF16",
        )
    else:
        return None
    message = f"`spec.precisionPolicy: {policy}` {why}; would work: `precisionPolicy: Auto`{cure}"
    return Rejection(RejectionReason.PRECISION_POLICY, message, precision=precision)


def _mislabelled(known: KnownCheckpoint) -> Rejection | None:
    stated, found = known.checkpoint.precision, known.facts.precision
    if stated is found or {stated, found} <= _UNQUANTISED:
        return None
    message = (
        f"'{known.checkpoint.model}' is listed as {stated}, but its own config says {found}; would work:"
        f" `precision: {found}`, or a checkpoint that really is {stated}"
    )
    return Rejection(RejectionReason.NO_CHECKPOINT, message, precision=stated)


def _unsupported(known: KnownCheckpoint, accelerator: Accelerator) -> Rejection | None:
    precision = known.checkpoint.precision
    if precision in accelerator.formats:
        return None
    runs = ", ".join(accelerator.formats)
    message = f"{accelerator.name} cannot run {precision}; would work: a variant in one of {runs}"
    return Rejection(RejectionReason.PRECISION_UNSUPPORTED, message, precision=precision)


def _standing(known: KnownCheckpoint, support: FormatSupport) -> Standing:
    precision, native = known.checkpoint.precision, support is FormatSupport.NATIVE
    if native and precision in _FOUR_BIT:
        return Standing.NATIVE_FOUR_BIT
    if native and precision is Precision.FP8:
        return Standing.NATIVE_EIGHT_BIT
    # Weight-only FP8 gains nothing at saturation: even where it was published, an unquantised checkpoint goes first.
    if known.own and precision is not Precision.FP8:
        return Standing.PUBLISHED
    if precision in _UNQUANTISED:
        return Standing.UNQUANTISED
    return Standing.LAST_RESORT if precision is Precision.INT4 else Standing.TO_FIT
