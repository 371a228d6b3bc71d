"""What is not done: a model that fits nowhere, and one that may not leave the EU; then the summary."""

from penstock.cluster.fake.player.objects import find_condition, name_of, place_of
from penstock.simulation.stage import Place, Stage
from penstock.simulation.story_manifests import CLINIC, GIANT, taker
from penstock.simulation.story_serving import plan_row

__all__ = ["bound_to_the_eu", "fits_nowhere", "summary"]

_GIANT: Place = ("assistants", "giant")
_CLINIC: Place = ("assistants", "clinic")
_MI300X = {"amd.com/gpu.device-id": "74a1"}
_AMERICAN_NODE = "b200-0"


async def fits_nowhere(stage: Stage) -> None:
    """It says what it needs, what there is, and what would work."""
    stage.teller.chapter("giant: Llama-3.1-405B in BF16, allowed in h100-eu and a100-spot only, fits nowhere")
    await stage.apply(GIANT)
    await stage.check("giant is accepted and not placed", lambda: stage.why_not(_GIANT, "Placed", "False"))
    _quote(stage, _GIANT)
    _has_no_pods(stage, _GIANT)


async def bound_to_the_eu(stage: Stage) -> None:
    """With no capacity left inside the borders the answer is a refusal, never the nearest match."""
    free = {pool: stage.pool(pool)["gpus"]["free"] for pool in ("h100-eu", "mi300x-eu", "b200-us", "a100-spot")}
    stage.teller.chapter("clinic is bound to the EU, and only American capacity is left")
    await stage.apply(taker("rendering", selector=_MI300X, resource="amd.com/gpu", gpus=free["mi300x-eu"]))
    await stage.check("no GPU in the EU is free", lambda: _free_in_the_eu(stage))
    stage.teller.say(f"Outside: {free['b200-us']} GPUs free in b200-us, {free['a100-spot']} in a100-spot")
    await stage.apply(CLINIC)
    await stage.check("clinic is not placed", lambda: stage.why_not(_CLINIC, "Placed", "False"))
    _quote(stage, _CLINIC)
    outside = [
        each
        for each in stage.model(_CLINIC)["status"].get("rejected") or []
        if each.get("pool") in {"b200-us", "a100-spot"}
    ]
    reasons = sorted({each["reason"] for each in outside})
    stage.require(
        "both American pools lost by their jurisdiction",
        holds=reasons == ["OutsideJurisdiction"]
        and len({each["pool"] for each in outside}) == len(("b200-us", "a100-spot")),
        reason=f"they lost by {reasons}",
    )
    for each in outside:
        stage.teller.quote(each["pool"], each["message"])
    _has_no_pods(stage, _CLINIC)


def summary(stage: Stage, seconds: float) -> None:
    """Where everything stands, and what it took."""
    stage.teller.chapter("Where everything stands")
    headings = ("deployment", "pool", "accelerator", "engine", "precision", "TP", "replicas", "per hour", "on", "Ready")
    rows = [(*plan_row(stage, place_of(live)), _ready(live)) for live in stage.models()]
    stage.teller.table(headings, rows)
    stage.teller.say(f"{stage.claims} claims checked, {stage.completions} completions answered, in {seconds:.0f} s.")


def _ready(live: dict[str, object]) -> str:
    condition = find_condition(live, "Ready")
    return f"{condition.get('status')} ({condition.get('reason')})"


def _quote(stage: Stage, place: Place) -> None:
    condition = find_condition(stage.model(place), "Placed")
    for part in condition["message"].split(" | "):
        stage.teller.quote(f"Placed=False {condition['reason']}", part)


def _has_no_pods(stage: Stage, place: Place) -> None:
    pods = [name_of(pod) for pod in stage.pods(place)]
    stage.require(f"{place[1]} has no pod anywhere", holds=not pods, reason=f"there are {pods}")


def _free_in_the_eu(stage: Stage) -> str:
    free = {pool: stage.pool(pool)["gpus"]["free"] for pool in ("h100-eu", "mi300x-eu")}
    return f"free: {free}" if any(free.values()) else ""
