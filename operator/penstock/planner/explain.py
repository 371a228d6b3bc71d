"""Decisions in words: one sentence for a condition, rows for a terminal, and what nearly worked where nothing fits.

Words only: nothing here decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.api.plan_status import RejectedAlternative
from penstock.planner.plan import Assignment, Decision, DecisionReason, Plan, Rejection, RejectionReason
from penstock.planner.requirements import Requirements

__all__ = [
    "Row",
    "answers_spec",
    "by_nearness",
    "compared",
    "counted",
    "describe",
    "headline",
    "is_kept",
    "layout_in_words",
    "lost_row",
    "nearest_misses",
    "table",
    "why_nothing_fits",
]

_MOST_MISSES = 6
_STAGES = {
    reason: stage
    for stage, reasons in enumerate(
        (
            (
                RejectionReason.NOT_PREFERRED,
                RejectionReason.COSTS_MORE,
                RejectionReason.DOMINATED,
                RejectionReason.PREFILL_DECODE,
            ),
            (RejectionReason.POOL_NOT_FOUND, RejectionReason.NO_NODES, RejectionReason.NO_ACCELERATOR),
            (RejectionReason.NAMESPACE_NOT_ALLOWED,),
            (RejectionReason.JURISDICTION,),
            (RejectionReason.PRICE_UNKNOWN, RejectionReason.NODE_CACHE, RejectionReason.CAPACITY_TYPE),
            (RejectionReason.MODEL_UNKNOWN, RejectionReason.NO_CHECKPOINT, RejectionReason.PRECISION_POLICY),
            (RejectionReason.PRECISION_UNSUPPORTED, RejectionReason.ENGINE_UNSUPPORTED, RejectionReason.SHARDING),
            (RejectionReason.WEIGHTS_TOO_LARGE, RejectionReason.NO_WHOLE_NODE),
            (RejectionReason.CONTEXT_TOO_LARGE,),
            (RejectionReason.NO_ROOM_FOR_LOAD, RejectionReason.SERVICE_LEVEL),
            (RejectionReason.PRICE_CEILING,),
            (
                RejectionReason.WAITED_IN_VAIN,
                RejectionReason.YIELDED,
                RejectionReason.NO_FREE_GPUS,
                RejectionReason.QUOTA,
                RejectionReason.BUDGET,
            ),
            (RejectionReason.FAILED_TO_START,),
        )
    )
    for reason in reasons
}
_ANSWERS = frozenset(
    {
        DecisionReason.PLACED,
        DecisionReason.KEPT,
        DecisionReason.RECREATE,
        DecisionReason.PARTLY_PLACED,
        DecisionReason.WAITING_FOR_GROWTH,
        DecisionReason.WAITING_FOR_NODE,
        RejectionReason.QUOTA,
        RejectionReason.BUDGET,
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an explanation; the chosen plan's `reason` is `Chosen`. Empty text and 0 mean all of their kind."""

    chosen: bool
    pool: str
    engine: str
    precision: str
    tensor_parallel: int
    price_per_replica_hour: str
    reason: str
    message: str
    layout: str = ""

    @property
    def way(self) -> str:
        """The layout, as `TP2xPP4`; the size alone where a status of an older release does not say it."""
        return self.layout or (f"TP{self.tensor_parallel}" if self.tensor_parallel else "")


def counted(count: int, noun: str) -> str:
    """`1 replica`, `2 replicas`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def answers_spec(decision: Decision) -> bool:
    """True where the assignment is the answer to the spec as it is, not an older one that is kept meanwhile."""
    return decision.assignment is not None and decision.reason in _ANSWERS


def is_kept(decision: Decision) -> bool:
    """True where an earlier choice simply stands: what was said of it then is still to be said."""
    if decision.reason == DecisionReason.RECREATE:
        return not decision.rejections
    return decision.reason == DecisionReason.KEPT


def headline(decision: Decision) -> str:
    """The decision in one sentence."""
    moved = f"{decision.moved_because}; " if decision.moved_because else ""
    return f"{decision.reason}: {moved}{decision.message}"


def table(decision: Decision) -> tuple[Row, ...]:
    """The chosen plan first, then everything that lost, in the planner's order."""
    chosen = [_chosen(decision.assignment, decision)] if decision.assignment else []
    return (*chosen, *(lost_row(rejection) for rejection in decision.rejections))


def _chosen(assignment: Assignment, decision: Decision) -> Row:
    plan = assignment.plan
    return Row(
        chosen=True,
        pool=plan.pool,
        engine=plan.engine,
        precision=plan.checkpoint.precision,
        tensor_parallel=plan.tensor_parallel,
        price_per_replica_hour=str(plan.price_per_replica_hour or ""),
        reason="Chosen",
        message=decision.message,
        layout=plan.layout,
    )


def lost_row(rejection: Rejection | RejectedAlternative) -> Row:
    """What lost, as the planner has it or as a status told it."""
    return Row(
        chosen=False,
        pool=rejection.pool,
        engine=rejection.engine,
        precision=rejection.precision,
        tensor_parallel=rejection.tensor_parallel,
        price_per_replica_hour="",
        reason=rejection.reason,
        message=rejection.message,
        layout=rejection.layout,
    )


def describe(plan: Plan, replicas: int, wants: Requirements) -> str:
    """A plan in one clause, with what was lowered for it and what it is expected to do."""
    count = f"{replicas} replica{'' if replicas == 1 else 's'}"
    price = f" at {plan.price_per_replica_hour}/h" if plan.price_per_replica_hour else ""
    return (
        f"{count} in pool {plan.pool}, each {plan.engine} {plan.checkpoint.precision} on"
        f" {plan.gpus} x {plan.accelerator}{price}, requests up to {plan.max_context_tokens:,} tokens"
        f"{_lowered_context(plan, wants)}{_expected(plan, wants)}"
    )


def layout_in_words(plan: Plan) -> str:
    """How a replica is cut over its GPUs, as in `TP8, attention on 8 ranks, whole experts`."""
    parts = [f"TP{plan.tensor_parallel}"]
    parts += [f"PP{plan.pipeline_parallel}"] if plan.pipeline_parallel > 1 else []
    parts += [f"attention on {plan.attention_ranks} ranks"] if plan.attention_ranks > 1 else []
    parts += ["whole experts"] if plan.expert_parallel else []
    return ", ".join(parts)


def compared(plan: Plan, tokens_per_second: float, chosen: Plan, chosen_tokens_per_second: float) -> str:
    """What another layout of the same checkpoint would give, against the one that carries the load."""

    def gives(each: Plan, tokens: float) -> str:
        price = f" for {each.price_per_replica_hour}/h per replica" if each.price_per_replica_hour else ""
        return f"{tokens:,.0f} output tokens/s at most{price}"

    return (
        f"{layout_in_words(plan)} would give {gives(plan, tokens_per_second)}; {layout_in_words(chosen)} carries the"
        f" load and gives {gives(chosen, chosen_tokens_per_second)}"
    )


def _lowered_context(plan: Plan, wants: Requirements) -> str:
    longest = next((each.facts.max_context_tokens for each in wants.known if each.checkpoint == plan.checkpoint), 0)
    if wants.load.max_context_tokens is not None or longest <= plan.max_context_tokens:
        return ""
    return f" (the KV cache holds no more of the model's {longest:,})"


def _expected(plan: Plan, wants: Requirements) -> str:
    """Only where somebody said how much there is to carry."""
    expected = plan.expected
    if expected is None or not wants.load.known:
        return ""
    return (
        f", for {counted(expected.concurrency, 'request')} at once per replica with a first token after"
        f" {expected.time_to_first_token_milliseconds:,.0f} ms and one each"
        f" {expected.time_per_output_token_milliseconds:,.1f} ms (predicted)"
    )


def by_nearness(rejections: Iterable[Rejection]) -> tuple[Rejection, ...]:
    """What came nearest to working first: who reads only the start reads what matters."""
    return tuple(sorted(rejections, key=lambda each: (-_STAGES.get(each.reason, 0), -each.tensor_parallel)))


def nearest_misses(rejections: Iterable[Rejection]) -> tuple[Rejection, ...]:
    """What came furthest in each pool, the nearest to working first."""
    by_pool: dict[str, Rejection] = {}
    for rejection in by_nearness(rejections):
        if _STAGES.get(rejection.reason, 0):
            by_pool.setdefault(rejection.pool, rejection)
    return tuple(by_pool.values())


def why_nothing_fits(rejections: Iterable[Rejection]) -> tuple[str, str]:
    """The reason of the nearest miss, and a message that names what nearly worked in each pool."""
    misses = nearest_misses(rejections)
    if not misses:
        return DecisionReason.NO_POOLS, "there is no InferencePool; would work: one that selects nodes with GPUs"
    lines = [f"{miss.pool}: {miss.message}" if miss.pool else miss.message for miss in misses[:_MOST_MISSES]]
    left_out = len(misses) - len(lines)
    more = f" | and {left_out} more" if left_out else ""
    return misses[0].reason, "it fits nowhere: " + " | ".join(lines) + more
