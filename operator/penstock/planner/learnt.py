"""What engines taught: how much the KV cache holds under exactly these settings, and how long a step really takes.

Values are few and change rarely; where nothing was learnt, the model's own figures stand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.api.formats import EngineName
from penstock.planner.corrections import CorrectionKey, Corrections
from penstock.planner.plan import Plan

__all__ = ["NOTHING_LEARNT", "Learnt", "kv_key"]


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """By `kv_key` tokens of a replica's KV cache, and factors on modelled times; compared by identity."""

    kv_tokens: Mapping[str, int] = field(default_factory=dict)
    corrections: Corrections = field(default_factory=Corrections.none)

    def correction(self, model: str, accelerator: str, engine: EngineName) -> float:
        """What modelled times are to be multiplied by (`Replica.correction`); 1.0 where nothing was learnt."""
        return self.corrections.factor(CorrectionKey(model, accelerator, engine))


NOTHING_LEARNT = Learnt()


def kv_key(plan: Plan) -> str:
    """Everything that decides how large the KV cache gets: another flag is another cache."""
    memory, checkpoint = plan.memory, plan.checkpoint
    parts = (
        *(checkpoint.model, checkpoint.revision or "", plan.accelerator, plan.engine, plan.engine_version),
        *(f"tp{plan.tensor_parallel}", f"pp{plan.pipeline_parallel}", f"ep{int(plan.expert_parallel)}"),
        *(f"dp{plan.attention_ranks}", plan.kv_cache_dtype, f"u{memory.utilization_percent}"),
        *(f"s{plan.max_sequences}", f"b{plan.max_batched_tokens}", f"c{plan.max_context_tokens}"),
    )
    return "|".join(str(part) for part in parts)
