"""What engines taught: how much the KV cache holds under exactly these settings, and how long a step really takes.

Values are few and change rarely; where nothing was learnt, the model's own figures stand.
"""

from dataclasses import dataclass

from penstock.planner.corrections import CorrectionKey
from penstock.planner.plan import Plan

__all__ = ["NOTHING_LEARNT", "Learnt", "kv_key"]


@dataclass(frozen=True, slots=True)
class Learnt:
    """What concerns one deployment: by `kv_key` tokens of a replica's KV cache, and factors on modelled times.

    A value, in a steady order: what depends on nothing else is remembered from one pass to the next.
    """

    kv_tokens: tuple[tuple[str, int], ...] = ()
    corrections: tuple[tuple[CorrectionKey, float], ...] = ()

    def room(self, plan: Plan) -> int | None:
        """Tokens that an engine with exactly these settings reported; None: nobody knows."""
        if not self.kv_tokens:
            return None
        return dict(self.kv_tokens).get(kv_key(plan))

    def correction(self, model: str, accelerator: str, engine: str) -> float:
        """What modelled times are to be multiplied by (`Replica.correction`); 1.0 where nothing was learnt."""
        if not self.corrections:
            return 1.0
        return dict(self.corrections).get(CorrectionKey(model, accelerator, engine), 1.0)


NOTHING_LEARNT = Learnt()


def kv_key(plan: Plan) -> str:
    """Everything that decides how large the KV cache gets, the model first: another flag is another cache."""
    memory, checkpoint = plan.memory, plan.checkpoint
    parts = (
        *(checkpoint.model, checkpoint.revision or "", plan.accelerator, plan.engine, plan.engine_version),
        *(f"tp{plan.tensor_parallel}", f"pp{plan.pipeline_parallel}", f"ep{int(plan.expert_parallel)}"),
        *(f"dp{plan.attention_ranks}", plan.kv_cache_dtype, f"u{memory.utilization_percent}"),
        *(f"s{plan.max_sequences}", f"b{plan.max_batched_tokens}", f"c{plan.max_context_tokens}"),
    )
    return "|".join(str(part) for part in parts)
