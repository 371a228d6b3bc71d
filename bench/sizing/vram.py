"""The memory that a replica needs in all, against the minimums that the vLLM project's recipes publish.

One definition for every row: what the planner reckons that one replica occupies at its leanest: weights as loaded,
activations of a step of 512 tokens, the engine's overhead and the cache of one request of 1,024 tokens, on the fewest
GPUs of the largest type. The published figures are 1.2 times a checkpoint's size in units of 10^9 bytes, for 4-bit
checkpoints often 1.2 times half a byte per parameter: less than the files themselves.
"""

from collections.abc import Mapping
from pathlib import Path

from bench.sizing.cells import number, read_rows
from bench.sizing.models import Skip, resolve
from bench.sizing.tally import Tally
from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import ModelFacts
from penstock.planner.memory import MemoryRequest, plan_memory

__all__ = ["run", "total_need_bytes"]

_LARGEST = "B300-SXM-288GB"
_WEIGHTS_PER_GPU = 200 * 10**9
_STEP_TOKENS = 512
_CONTEXT_TOKENS = 1024
_ENGINE_VERSION = "0.24.0"
_LOW, _HIGH = 0.8, 1.1


def run(data: Path) -> None:
    """`vram_ratio`: the share of rows whose need is within [0.8, 1.1] of the published minimum."""
    tally, below_files = Tally(), 0
    for row in read_rows(data / "vllm_recipes_vram.csv"):
        facts = _judge(tally, row, data)
        if facts is not None and facts.weights_bytes > _HIGH * _minimum_bytes(row):
            below_files += 1
    tally.share("vram_ratio", _LOW, _HIGH, published_below_the_files_themselves=below_files)


def total_need_bytes(facts: ModelFacts) -> int:
    """What one replica occupies at its leanest, over all of its GPUs."""
    gpus = 1
    while facts.weights_bytes > gpus * _WEIGHTS_PER_GPU:
        gpus *= 2
    plan = plan_memory(
        MemoryRequest(
            facts=facts,
            accelerator=by_name(_LARGEST),
            engine=EngineName.VLLM,
            engine_version=_ENGINE_VERSION,
            tensor_parallel=gpus,
            max_sequences=1,
            max_batched_tokens=_STEP_TOKENS,
            max_context_tokens=_CONTEXT_TOKENS,
            utilization_percent=100,
        )
    )
    cache = _CONTEXT_TOKENS * plan.kv_bytes_per_token + plan.sequence_bytes
    return (plan.weights_bytes + plan.activation_bytes + plan.overhead_bytes + cache) * gpus


def _judge(tally: Tally, row: Mapping[str, str], data: Path) -> ModelFacts | None:
    name = row.get("model_id", "")
    if _minimum_bytes(row) <= 0:
        tally.skipped["no minimum in the row"] += 1
        return None
    if row.get("context_length") == "0":
        tally.skipped["makes images, sound or video: no context, nothing that the planner places"] += 1
        return None
    facts = resolve(name, row.get("precision", ""), row=row, data=data)
    if isinstance(facts, Skip):
        tally.missed[facts.reason] += 1
        return None
    tally.add(f"{name} {row.get('precision', '')}", total_need_bytes(facts) / _minimum_bytes(row))
    return facts


def _minimum_bytes(row: Mapping[str, str]) -> float:
    return number(row.get("vram_minimum_gb", "")) * 1e9
