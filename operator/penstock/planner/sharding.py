"""How a model may be cut over GPUs: which tensor-parallel sizes work, and why the others do not."""

from collections.abc import Iterable
from functools import lru_cache

from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import AttentionKind, ModelFacts

__all__ = ["expert_parallel_needed", "shard_problem", "tensor_parallel_limit", "tensor_parallel_sizes"]

_SIZES = (1, 2, 4, 8, 16)
_TOLERATED_OVER_PCIE = 4
_LINKED_SERVER = 8
_SINGLE_CHIP_SERVERS = frozenset({"hopper"})


def tensor_parallel_limit(accelerator: Accelerator, *, node_gpus: int) -> int:
    """The most GPUs that one tensor-parallel group may span: the fast fabric's domain, within one node."""
    domain = accelerator.scale_up_domain
    return min(node_gpus, domain if domain > 1 else _TOLERATED_OVER_PCIE)


@lru_cache(maxsize=4096)
def tensor_parallel_sizes(facts: ModelFacts, accelerator: Accelerator, *, node_gpus: int) -> tuple[int, ...]:
    """Sizes that work on a node of `node_gpus`, ascending; `expert_parallel_needed` says which need it."""
    limit = tensor_parallel_limit(accelerator, node_gpus=node_gpus)
    return tuple(
        size
        for size in _SIZES
        if size <= limit
        and (
            shard_problem(facts, accelerator, size, expert_parallel=False) is None
            or (facts.experts and shard_problem(facts, accelerator, size, expert_parallel=True) is None)
        )
    )


def expert_parallel_needed(facts: ModelFacts, accelerator: Accelerator, tensor_parallel: int) -> bool:
    """True where this size works only when whole experts are spread over the GPUs instead of cut."""
    plain = shard_problem(facts, accelerator, tensor_parallel, expert_parallel=False)
    return plain is not None and shard_problem(facts, accelerator, tensor_parallel, expert_parallel=True) is None


def shard_problem(
    facts: ModelFacts,
    accelerator: Accelerator,
    tensor_parallel: int,
    *,
    expert_parallel: bool,
    attention_ranks: int = 1,
    pipeline_parallel: int = 1,
    redundant_experts: bool = False,
    across_nodes: bool = False,
) -> str | None:
    """Why the model cannot be cut this way, with what would work; None where it can.

    `attention_ranks` of the `tensor_parallel` GPUs attend to requests of their own. With `redundant_experts` whole
    experts need not come out even, and `across_nodes` says that a fast network joins the nodes of one group.
    """
    ranks_problem = _ranks_problem(facts, tensor_parallel, attention_ranks)
    if ranks_problem:
        return ranks_problem
    group = tensor_parallel // attention_ranks
    return (
        _kernel_problem(facts, accelerator)
        or _domain_problem(accelerator, tensor_parallel, across_nodes=across_nodes)
        or _stages_problem(facts, pipeline_parallel)
        or _heads_problem(facts, group)
        or _experts_problem(facts, tensor_parallel, whole=expert_parallel, redundant=redundant_experts)
        or _dense_problem(facts, group)
    )


def _ranks_problem(facts: ModelFacts, tensor_parallel: int, attention_ranks: int) -> str | None:
    """Ranks with attention of their own share experts; a dense model has nothing to share."""
    if attention_ranks == 1:
        return None
    if not facts.experts:
        return f"data-parallel attention needs experts to share; use {attention_ranks} replicas instead"
    if attention_ranks < 1 or tensor_parallel % attention_ranks:
        return (
            f"{tensor_parallel} GPUs cannot form {attention_ranks} attention ranks of one size;"
            f" use {_listed(size for size in _SIZES if tensor_parallel % size == 0)}"
        )
    return None


def _stages_problem(facts: ModelFacts, pipeline_parallel: int) -> str | None:
    if 1 <= pipeline_parallel <= max(1, facts.layers):
        return None
    return f"{facts.layers} layers cannot form {pipeline_parallel} pipeline stages; use 1 to {facts.layers}"


def _kernel_problem(facts: ModelFacts, accelerator: Accelerator) -> str | None:
    """Latent attention has kernels for data-centre chips; on PCIe cards it was never seen to run well."""
    is_card = accelerator.scale_up_domain == 1 and accelerator.architecture not in _SINGLE_CHIP_SERVERS
    if facts.attention is AttentionKind.GQA or not is_card:
        return None
    return f"latent attention has no proven kernels on {accelerator.name}; use one such as A100, H100 or MI300X"


def _domain_problem(accelerator: Accelerator, tensor_parallel: int, *, across_nodes: bool) -> str | None:
    """Only servers whose GPUs are all linked have networks that carry tensor parallelism from node to node."""
    limit = tensor_parallel_limit(accelerator, node_gpus=tensor_parallel)
    if tensor_parallel <= limit or (across_nodes and accelerator.scale_up_domain >= _LINKED_SERVER):
        return None
    return f"{accelerator.name} links at most {limit} GPUs fast enough; use tensor parallel {limit} or less"


def _heads_problem(facts: ModelFacts, tensor_parallel: int) -> str | None:
    queries, keys = facts.query_heads, facts.kv_heads
    if queries % tensor_parallel:
        return f"{queries} attention heads cannot be shared by {tensor_parallel} GPUs; {_divisors(queries)}"
    if facts.attention is AttentionKind.MLA or not keys or keys % tensor_parallel == 0 or tensor_parallel % keys == 0:
        return None
    return f"{keys} key-value heads cannot be shared or replicated by {tensor_parallel} GPUs; {_divisors(keys)}"


def _experts_problem(facts: ModelFacts, tensor_parallel: int, *, whole: bool, redundant: bool) -> str | None:
    if not facts.experts:
        return None
    if whole:
        return _whole_experts_problem(facts.experts, tensor_parallel, redundant=redundant)
    width, unit = facts.expert_intermediate, _unit(facts)
    if width % tensor_parallel == 0 and (width // tensor_parallel) % unit == 0:
        return None
    largest = _largest(width, unit, below=tensor_parallel)
    return (
        f"experts {width} wide cut by {tensor_parallel} are no multiple of the quantisation block of {unit}; "
        f"use tensor parallel {largest}, or {tensor_parallel} with expert parallelism"
    )


def _whole_experts_problem(experts: int, tensor_parallel: int, *, redundant: bool) -> str | None:
    if experts % tensor_parallel == 0 or (redundant and experts > tensor_parallel):
        return None
    return f"{experts} experts cannot be spread over {tensor_parallel} GPUs; {_divisors(experts)}"


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
    return f"use tensor parallel {_listed(size for size in _SIZES if count % size == 0)}"


def _listed(sizes: Iterable[int]) -> str:
    return ", ".join(str(size) for size in sizes)
