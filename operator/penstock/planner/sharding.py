"""How a model may be cut over GPUs: which tensor-parallel sizes work, and why the others do not."""

from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import AttentionKind, ModelFacts

__all__ = ["expert_parallel_needed", "shard_problem", "tensor_parallel_limit", "tensor_parallel_sizes"]

_SIZES = (1, 2, 4, 8, 16)
_TOLERATED_OVER_PCIE = 4
_SINGLE_CHIP_SERVERS = frozenset({"hopper"})


def tensor_parallel_limit(accelerator: Accelerator, *, node_gpus: int) -> int:
    """The most GPUs that one tensor-parallel group may span: the fast fabric's domain, within one node."""
    domain = accelerator.scale_up_domain
    return min(node_gpus, domain if domain > 1 else _TOLERATED_OVER_PCIE)


def tensor_parallel_sizes(facts: ModelFacts, accelerator: Accelerator, *, node_gpus: int) -> tuple[int, ...]:
    """Sizes that work on a node of `node_gpus`, ascending; `expert_parallel_needed` says which need it."""
    limit = tensor_parallel_limit(accelerator, node_gpus=node_gpus)
    return tuple(
        size
        for size in _SIZES
        if size <= limit
        and (
            shard_problem(facts, accelerator, size, expert_parallel=False) is None
            or expert_parallel_needed(facts, accelerator, size)
        )
    )


def expert_parallel_needed(facts: ModelFacts, accelerator: Accelerator, tensor_parallel: int) -> bool:
    """True where this size works only when whole experts are spread over the GPUs instead of cut."""
    plain = shard_problem(facts, accelerator, tensor_parallel, expert_parallel=False)
    return plain is not None and shard_problem(facts, accelerator, tensor_parallel, expert_parallel=True) is None


def shard_problem(
    facts: ModelFacts, accelerator: Accelerator, tensor_parallel: int, *, expert_parallel: bool
) -> str | None:
    """Why the model cannot be cut this way, with what would work; None where it can."""
    return (
        _kernel_problem(facts, accelerator)
        or _domain_problem(accelerator, tensor_parallel)
        or _heads_problem(facts, tensor_parallel)
        or _experts_problem(facts, tensor_parallel, expert_parallel=expert_parallel)
        or _dense_problem(facts, tensor_parallel)
    )


def _kernel_problem(facts: ModelFacts, accelerator: Accelerator) -> str | None:
    """Latent attention has kernels for data-centre chips; on PCIe cards it was never seen to run well."""
    is_card = accelerator.scale_up_domain == 1 and accelerator.architecture not in _SINGLE_CHIP_SERVERS
    if facts.attention is AttentionKind.GQA or not is_card:
        return None
    return f"latent attention has no proven kernels on {accelerator.name}; use one such as A100, H100 or MI300X"


def _domain_problem(accelerator: Accelerator, tensor_parallel: int) -> str | None:
    limit = tensor_parallel_limit(accelerator, node_gpus=tensor_parallel)
    if tensor_parallel <= limit:
        return None
    return f"{accelerator.name} links at most {limit} GPUs fast enough; use tensor parallel {limit} or less"


def _heads_problem(facts: ModelFacts, tensor_parallel: int) -> str | None:
    queries, keys = facts.query_heads, facts.kv_heads
    if queries % tensor_parallel:
        return f"{queries} attention heads cannot be shared by {tensor_parallel} GPUs; {_divisors(queries)}"
    if facts.attention is AttentionKind.MLA or not keys or keys % tensor_parallel == 0 or tensor_parallel % keys == 0:
        return None
    return f"{keys} key-value heads cannot be shared or replicated by {tensor_parallel} GPUs; {_divisors(keys)}"


def _experts_problem(facts: ModelFacts, tensor_parallel: int, *, expert_parallel: bool) -> str | None:
    if not facts.experts:
        return None
    if expert_parallel:
        if facts.experts % tensor_parallel == 0:
            return None
        return f"{facts.experts} experts cannot be spread over {tensor_parallel} GPUs; {_divisors(facts.experts)}"
    width, unit = facts.expert_intermediate, _unit(facts)
    if width % tensor_parallel == 0 and (width // tensor_parallel) % unit == 0:
        return None
    largest = _largest(width, unit, below=tensor_parallel)
    return (
        f"experts {width} wide cut by {tensor_parallel} are no multiple of the quantisation block of {unit}; "
        f"use tensor parallel {largest}, or {tensor_parallel} with expert parallelism"
    )


def _dense_problem(facts: ModelFacts, tensor_parallel: int) -> str | None:
    if facts.experts and facts.moe_layers >= facts.layers:
        return None
    width, unit = facts.intermediate, _unit(facts)
    if width % tensor_parallel == 0 and (width // tensor_parallel) % unit == 0:
        return None
    largest = _largest(width, unit, below=tensor_parallel)
    return (
        f"a feed-forward width of {width} cannot be cut by {tensor_parallel} in blocks of {unit};"
        f" use tensor parallel {largest}"
    )


def _unit(facts: ModelFacts) -> int:
    """The weights' indivisible piece along the cut: a block of scales, or a group of them."""
    return max(1, facts.block_size, facts.group_size)


def _largest(width: int, unit: int, *, below: int) -> int:
    fitting = [size for size in _SIZES if size < below and width % size == 0 and (width // size) % unit == 0]
    return max(fitting, default=1)


def _divisors(count: int) -> str:
    sizes = [str(size) for size in _SIZES if size and count % size == 0]
    return f"use tensor parallel {', '.join(sizes)}"
