"""Physical floors of latency: no layout answers faster than its memory and arithmetic allow.

Necessary conditions only: a candidate below a promised latency here may still miss it. There is no
calibration, queueing or overhead in these figures; a performance model takes their place in candidates
by answering the same two questions with a greater number.
"""

from penstock.api.formats import Precision
from penstock.catalogue.accelerators import Accelerator, FormatSupport
from penstock.catalogue.models import ModelFacts

__all__ = ["time_per_output_token_floor_seconds", "time_to_first_token_floor_seconds"]


def time_per_output_token_floor_seconds(facts: ModelFacts, accelerator: Accelerator, *, tensor_parallel: int) -> float:
    """Seconds to read the weights that one token touches, once, at the full bandwidth of all its GPUs."""
    active_bytes = facts.weights_bytes * facts.active_parameters / facts.parameters
    return active_bytes / (accelerator.bandwidth * tensor_parallel)


def time_to_first_token_floor_seconds(
    facts: ModelFacts, accelerator: Accelerator, *, tensor_parallel: int, prompt_tokens: int
) -> float:
    """Seconds to multiply the prompt with the active parameters at the hardware's dense peak for the format."""
    operations = 2 * facts.active_parameters * prompt_tokens
    return operations / (_peak(facts, accelerator) * tensor_parallel)


def _peak(facts: ModelFacts, accelerator: Accelerator) -> float:
    """Weight-only formats are unpacked and multiplied as BF16."""
    if accelerator.formats.get(facts.precision) is not FormatSupport.NATIVE:
        return accelerator.bf16_flops
    match facts.precision:
        case Precision.FP8 | Precision.INT8:
            return accelerator.fp8_flops or accelerator.bf16_flops
        case Precision.NVFP4 | Precision.MXFP4:
            return accelerator.fp4_flops or accelerator.fp8_flops or accelerator.bf16_flops
        case _:
            return accelerator.bf16_flops
