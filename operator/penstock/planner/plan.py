"""What the planner answers: a plan for one replica, the nodes it goes to, and what lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from penstock.api.formats import EngineName, Precision
from penstock.api.modeldeployment import Source
from penstock.api.quantities import Money

__all__ = [
    "Assignment",
    "Checkpoint",
    "Decision",
    "DecisionReason",
    "Expectation",
    "MemoryPlan",
    "Plan",
    "Rejection",
    "RejectionReason",
    "layout_label",
    "plan_rejection",
]


class RejectionReason(StrEnum):
    """Why a candidate lost; the words are part of the API (status.rejected[].reason)."""

    NOT_PREFERRED = "NotPreferred"
    COSTS_MORE = "CostsMore"
    DOMINATED = "Dominated"
    PREFILL_DECODE = "PrefillDecodeApart"
    POOL_NOT_FOUND = "PoolNotFound"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    JURISDICTION = "OutsideJurisdiction"
    CAPACITY_TYPE = "CapacityTypeNotAllowed"
    PRICE_CEILING = "AbovePriceCeiling"
    PRICE_UNKNOWN = "PriceUnknown"
    NO_ACCELERATOR = "AcceleratorUnknown"
    NO_NODES = "NoNodes"
    NO_CHECKPOINT = "NoCheckpointForPrecision"
    PRECISION_POLICY = "PrecisionNotAllowed"
    PRECISION_UNSUPPORTED = "PrecisionUnsupported"
    ENGINE_UNSUPPORTED = "EngineUnsupported"
    SHARDING = "CannotShard"
    WEIGHTS_TOO_LARGE = "WeightsDoNotFit"
    CONTEXT_TOO_LARGE = "ContextDoesNotFit"
    NO_ROOM_FOR_LOAD = "LoadDoesNotFit"
    SERVICE_LEVEL = "ServiceLevelOutOfReach"
    NO_WHOLE_NODE = "NoNodeLargeEnough"
    NO_FREE_GPUS = "NoFreeGPUs"
    QUOTA = "QuotaExceeded"
    BUDGET = "BudgetExceeded"
    YIELDED = "GivenToAnother"
    NODE_CACHE = "NoNodeCache"
    WAITED_IN_VAIN = "WaitedInVain"
    FAILED_TO_START = "FailedToStart"
    MODEL_UNKNOWN = "ModelUnknown"


class DecisionReason(StrEnum):
    """Where a placement stands; where nothing fits, the `RejectionReason` of the nearest miss stands in its place."""

    PLACED = "Placed"
    KEPT = "Kept"
    RECREATE = "Recreate"
    PARTLY_PLACED = "PartlyPlaced"
    WAITING_FOR_NODE = "WaitingForNode"
    WAITING_FOR_ROOM = "WaitingForRoom"
    WAITING_FOR_GROWTH = "WaitingForGrowth"
    NO_POOLS = "NoPools"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One set of weights that exists: never quantised on the fly."""

    model: str
    revision: str | None
    precision: Precision
    source: Source
    weights_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes per GPU; what the engine is told to do with them.

    `kv_bytes` is what is left for the KV cache after the planning margin, `kv_tokens` is for the
    whole replica when one long sequence runs. `utilization_percent` is the share of the GPU that the
    engine may take. `sequence_bytes` is what each sequence costs besides its tokens (recurrent state,
    attention windows).
    """

    gpu_bytes: int
    weights_bytes: int
    activation_bytes: int
    overhead_bytes: int
    kv_bytes: int
    kv_bytes_per_token: int
    kv_tokens: int
    utilization_percent: int
    sequence_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one replica is expected to do at the load that is planned for it; latencies are means."""

    concurrency: int
    time_to_first_token_milliseconds: float
    time_per_output_token_milliseconds: float
    requests_per_second: float
    output_tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How one replica runs.

    `attention_ranks` is over how many ranks attention runs data-parallel (1: plain tensor parallelism).
    `speed_correction` is the factor on modelled times that engines had taught when it was made.
    """

    pool: str
    accelerator: str
    gpu_resource: str
    engine: EngineName
    engine_version: str
    image: str
    checkpoint: Checkpoint
    tensor_parallel: int
    pipeline_parallel: int
    expert_parallel: bool
    max_context_tokens: int
    max_sequences: int
    max_batched_tokens: int
    kv_cache_dtype: str
    memory: MemoryPlan
    price_per_replica_hour: Money | None
    attention_ranks: int = 1
    expected: Expectation | None = None
    speed_correction: float = 1.0

    @property
    def gpus(self) -> int:
        """GPUs of one replica, all on one node."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def layout(self) -> str:
        """How a replica is cut over its GPUs, as `layout_label` writes it."""
        return layout_label(
            self.tensor_parallel, self.pipeline_parallel, self.attention_ranks, whole_experts=self.expert_parallel
        )


def layout_label(
    tensor_parallel: int, pipeline_parallel: int = 1, attention_ranks: int = 1, *, whole_experts: bool = False
) -> str:
    """A cut in short: `TP8`, `TP2xPP4`, `TP8 EP8` (whole experts), `TP8 DP8` (attention on ranks, whole experts)."""
    size = f"TP{tensor_parallel}xPP{pipeline_parallel}" if pipeline_parallel > 1 else f"TP{tensor_parallel}"
    if attention_ranks > 1:
        return f"{size} DP{attention_ranks}"
    return f"{size} EP{tensor_parallel}" if whole_experts else size


@dataclass(frozen=True, slots=True)
class Assignment:
    """A plan and the node that each replica is meant for, in order (a node may be named twice)."""

    plan: Plan
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that lost; empty fields mean that all of their kind lost.

    `layout` tells ways of one tensor-parallel size apart, as `layout_label` writes them.
    """

    reason: RejectionReason
    message: str
    pool: str = ""
    engine: str = ""
    precision: str = ""
    tensor_parallel: int = 0
    layout: str = ""


def plan_rejection(plan: Plan, reason: RejectionReason, message: str) -> Rejection:
    """A rejection of exactly this plan."""
    return Rejection(
        reason,
        message,
        pool=plan.pool,
        engine=plan.engine,
        precision=plan.checkpoint.precision,
        tensor_parallel=plan.tensor_parallel,
        layout=plan.layout,
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """The placement of one deployment: where it goes, what lost, and what would work where nothing fits.

    `assignment` None: it fits nowhere (or waits). `moved_because` names why a current assignment
    was left; empty where nothing moved. `retry_after_seconds`: decide again then even if nothing
    changes (a fallback timer runs). `most_replicas`: no more than these may come, for want of money or because of a
    border; None: all.
    """

    assignment: Assignment | None
    rejections: Sequence[Rejection]
    reason: str
    message: str
    moved_because: str = ""
    retry_after_seconds: float | None = None
    most_replicas: int | None = None
