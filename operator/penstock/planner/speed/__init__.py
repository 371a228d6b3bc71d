"""How fast one replica is: time to first token, time per output token, and the load it carries within promises.

A roofline with overheads (weights and KV cache read per step, arithmetic, launch and collective costs per layer), its
constants fitted on measured rows (catalogue/roofline.json). Every time grows with the load and no throughput falls.
"""

from penstock.planner.speed.load import (
    capacity,
    decode_speed,
    prefill_tokens_per_second,
    speed,
    speed_at_rate,
    speeds,
    unvalidated,
)
from penstock.planner.speed.replica import (
    PLANNED_UTILISATION,
    Bound,
    Capacity,
    Promise,
    Replica,
    Speed,
    Traffic,
)

__all__ = [
    "PLANNED_UTILISATION",
    "Bound",
    "Capacity",
    "Promise",
    "Replica",
    "Speed",
    "Traffic",
    "capacity",
    "decode_speed",
    "prefill_tokens_per_second",
    "speed",
    "speed_at_rate",
    "speeds",
    "unvalidated",
]
