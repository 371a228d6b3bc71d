"""How long an engine may take to start and to end; the same arithmetic for every engine.

Start-up: reading the weights at a careful rate, a fixed time for imports and memory profiling, compilation and
warm-up. Too small a budget kills a healthy engine that loads, so it errs on the long side (engines.md A.6, E.5).
"""

from typing import Any

from penstock.catalogue.accelerators import Vendor
from penstock.engines.contract import Drain
from penstock.planner.plan import Plan

__all__ = ["drain_of", "http_probe", "shared_memory", "startup_seconds"]

_CAREFUL_BYTES_PER_SECOND = 200 * 10**6
_FIXED_SECONDS = 300
_COMPILE_SECONDS_PER_GPU = 30
_SHORTEST_SECONDS = 600
_PRE_STOP_SECONDS = 15
_TEARDOWN_SECONDS = {Vendor.NVIDIA: 30, Vendor.AMD: 60}
"""SGLang alone looks every 5 s whether it is drained and then gives its schedulers 15 s (engines.md B.5). AMD's memory
can stay resident where the engine is killed during its teardown, so it gets more time."""

_GIB = 2**30
_SHARED_MEMORY_PER_GPU = 2 * _GIB


def startup_seconds(plan: Plan) -> int:
    """The whole budget until the engine must answer its health check, in seconds."""
    reading = -(-plan.checkpoint.weights_bytes // _CAREFUL_BYTES_PER_SECOND)
    return max(_SHORTEST_SECONDS, reading + _FIXED_SECONDS + _COMPILE_SECONDS_PER_GPU * plan.gpus)


def drain_of(vendor: Vendor, drain_seconds: int) -> Drain:
    """Endpoints disappear during preStop, requests finish during the engine's own drain, then it is torn down."""
    grace = _PRE_STOP_SECONDS + drain_seconds + _TEARDOWN_SECONDS[vendor]
    return Drain(_PRE_STOP_SECONDS, drain_seconds, grace)


def shared_memory(plan: Plan) -> int:
    """Shared memory in bytes: the container runtime's 64 MiB are too few for more than one GPU."""
    return _SHARED_MEMORY_PER_GPU * max(1, plan.gpus)


def http_probe(path: str, *, period: int, failures: int, timeout: int) -> dict[str, Any]:
    """A probe on the engine's own port."""
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
        "successThreshold": 1,
    }
