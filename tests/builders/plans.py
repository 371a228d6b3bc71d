"""Builders of plans and of the requests that engines are rendered from."""

from dataclasses import replace
from typing import Any

from penstock.api.formats import EngineName, Precision
from penstock.api.modeldeployment import Source
from penstock.catalogue.accelerators import Vendor, by_name
from penstock.catalogue.engines import DEFAULT_VERSIONS, default_image
from penstock.engines.contract import EngineRequest, WeightsLocation
from penstock.planner.plan import Checkpoint, MemoryPlan, Plan

__all__ = ["COMMIT", "checkpoint", "engine_request", "plan"]

COMMIT = "9216db5781bf21249d130ec9da846c4624c16137"

_GIB = 2**30


def checkpoint(precision: Precision = Precision.FP8, **changes: Any) -> Checkpoint:
    """Qwen3-32B from the hub, at a pinned commit."""
    known = Checkpoint("Qwen/Qwen3-32B-FP8", COMMIT, precision, Source(), 34 * 10**9)
    return replace(known, **changes)


def plan(engine: EngineName = EngineName.VLLM, accelerator: str = "H100-SXM-80GB", **changes: Any) -> Plan:
    """FP8 on two GPUs; `changes` override any field."""
    vendor = by_name(accelerator).vendor
    version = changes.pop("engine_version", DEFAULT_VERSIONS[engine])
    memory = MemoryPlan(80 * _GIB, 17 * _GIB, 4 * _GIB, 2 * _GIB, 40 * _GIB, 131_072, 327_680, utilization_percent=90)
    known = Plan(
        pool="h100",
        accelerator=accelerator,
        gpu_resource="amd.com/gpu" if vendor is Vendor.AMD else "nvidia.com/gpu",
        engine=engine,
        engine_version=version,
        image=default_image(engine, version, vendor),
        checkpoint=checkpoint(),
        tensor_parallel=2,
        pipeline_parallel=1,
        expert_parallel=False,
        max_context_tokens=32_768,
        max_sequences=64,
        max_batched_tokens=8192,
        kv_cache_dtype="auto",
        memory=memory,
        price_per_replica_hour=None,
    )
    return replace(known, **changes)


def engine_request(planned: Plan, *engine_args: str, **changes: Any) -> EngineRequest:
    """A request for `planned`, whose weights come from the hub."""
    known = EngineRequest(
        plan=planned,
        vendor=by_name(planned.accelerator).vendor,
        served_model_name="chat",
        weights=WeightsLocation(planned.checkpoint.model, planned.checkpoint.revision),
        engine_args=engine_args,
    )
    return replace(known, **changes)
