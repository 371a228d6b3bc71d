"""Prefill and decode apart where a deployment requires it: what the planner would choose, in words and as data."""

from typing import Any

from penstock.planner.disaggregation.advice import Advice
from penstock.planner.disaggregation.matching import PrefillDecode
from penstock.planner.disaggregation.required import Apart, ApartInPool
from penstock.planner.disaggregation.workers import Worker
from penstock.planner.explain import counted

__all__ = ["apart_data", "apart_in_words"]

_DIGITS = 3


def apart_in_words(apart: Apart) -> str:
    """The layout with its GPUs, tokens and price against running together; or why there is none."""
    chosen = apart.chosen
    if chosen is None or chosen.advice.layout is None:
        return f"no layout with prefill and decode apart: {apart.why_not}"
    advice, plan = chosen.advice, chosen.plan
    against = f"; against it: {advice.against}" if advice.against else ""
    return (
        f"planned apart it would be {_units(chosen)} in pool {plan.pool}, {plan.engine} {plan.checkpoint.precision} on"
        f" {advice.gpus} x {plan.accelerator}{_per_hour(advice.cost)}, {advice.output_tokens_per_second:,.0f} output"
        f" tokens/s{_together(advice)}{against}"
    )


def _together(advice: Advice) -> str:
    """What running together takes, and how the two compare."""
    gain = "" if advice.gain is None else f"{advice.gain:+.0%} requests per GPU"
    if not advice.gpus_together:
        return f"; {gain} against running together" if gain else ""
    taken = f"; together {counted(advice.gpus_together, 'GPU')}{_per_hour(advice.cost_together)}"
    return f"{taken}, {gain}" if gain else taken


def _units(chosen: ApartInPool) -> str:
    layout, units = chosen.advice.layout, chosen.advice.units
    return f"{units} x {layout}" if units > 1 else str(layout)


def _per_hour(cost: object) -> str:
    return f" at {cost}/h" if cost else ""


def apart_data(apart: Apart) -> dict[str, Any]:
    """Keys as in `penstock plan -o json`; `layout` is null where no pool has one."""
    chosen = apart.chosen
    if chosen is None or chosen.advice.layout is None:
        return {"layout": None, "reason": apart.why_not}
    advice, plan = chosen.advice, chosen.plan
    return {
        "layout": _name(chosen.advice.layout),
        "units": advice.units,
        "prefill": _worker(chosen.advice.layout.prefill, chosen.advice.layout.prefills),
        "decode": _worker(chosen.advice.layout.decode, chosen.advice.layout.decodes),
        "pool": plan.pool,
        "accelerator": plan.accelerator,
        "engine": str(plan.engine),
        "model": plan.checkpoint.model,
        "precision": str(plan.checkpoint.precision),
        "gpus": advice.gpus,
        "gpusTogether": advice.gpus_together or None,
        "outputTokensPerSecond": round(advice.output_tokens_per_second, _DIGITS),
        "gain": None if advice.gain is None else round(advice.gain, _DIGITS),
        "pricePerHour": str(advice.cost) if advice.cost else None,
        "pricePerHourTogether": str(advice.cost_together) if advice.cost_together else None,
        "against": advice.against,
        "reason": advice.reason,
    }


def _name(layout: PrefillDecode) -> str:
    return f"{layout.prefills}P{layout.decodes}D"


def _worker(worker: Worker, count: int) -> dict[str, int]:
    return {"workers": count, "tensorParallel": worker.tensor_parallel, "gpusPerWorker": worker.gpus}
