"""The ways to cut a model over the GPUs of one node that may be worth it."""

from collections.abc import Iterator

from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import AttentionKind, ModelFacts
from penstock.planner.fitting import Way
from penstock.planner.requirements import Load
from penstock.planner.sharding import shard_problem, tensor_parallel_limit, tensor_parallel_sizes

__all__ = ["SIZES", "grouped_ways", "pipelined_ways"]

SIZES = (1, 2, 4, 8)
"""GPUs of a replica: nodes are built for these."""

_PREFERRED_OVER_PCIE = 2
_FEWEST_ATTENTION_RANKS = 4
_FEW_KEY_VALUE_HEADS = 2
_LONG_PROMPT_TOKENS = 4096
_MANY_REQUESTS_PER_RANK = 8
_MANY_EXPERTS = 64


def grouped_ways(facts: ModelFacts, accelerator: Accelerator, load: Load, *, node_gpus: int) -> Iterator[Way]:
    """Tensor-parallel sizes ascending, each also with attention ranks or spread experts where that may pay."""
    for size in tensor_parallel_sizes(facts, accelerator, node_gpus=node_gpus):
        yield Way(size)
        if size < _FEWEST_ATTENTION_RANKS or not facts.experts:
            continue
        if facts.experts >= _MANY_EXPERTS and shard_problem(facts, accelerator, size, expert_parallel=True) is None:
            yield Way(size, spread_experts=True)
            if _attends_in_ranks(facts, load, size):
                yield Way(size, attention_ranks=size, spread_experts=True)


def _attends_in_ranks(facts: ModelFacts, load: Load, ranks: int) -> bool:
    """Ranks of their own pay where a cut would copy the cache to every GPU, prompts are long and requests are many.

    On short chats the same layout loses half of the throughput (sizing.md 4.2, 9.6).
    """
    copied = facts.attention is AttentionKind.MLA or facts.kv_heads <= _FEW_KEY_VALUE_HEADS
    many = (load.likely_concurrency or 0) >= _MANY_REQUESTS_PER_RANK * ranks
    return copied and many and load.prompt_tokens >= _LONG_PROMPT_TOKENS


def pipelined_ways(facts: ModelFacts, accelerator: Accelerator, *, node_gpus: int) -> Iterator[Way]:
    """Over slow links groups of two in a pipeline; else the widest group that the model's heads allow."""
    widest = tensor_parallel_limit(accelerator, node_gpus=node_gpus)
    if accelerator.scale_up_domain == 1:
        widest = min(widest, _PREFERRED_OVER_PCIE)
    workable = tensor_parallel_sizes(facts, accelerator, node_gpus=widest)
    for gpus in SIZES:
        group = max((size for size in workable if size <= gpus), default=0)
        if group and group < gpus <= node_gpus and gpus // group <= facts.layers:
            yield Way(group, pipeline_parallel=gpus // group)
