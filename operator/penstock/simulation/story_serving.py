"""The first chapters: the fleet, and the samples placed, explained, served and asked."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from penstock.access.names import SYSTEM_NAMESPACE
from penstock.cluster.fake.player.objects import find_condition, name_of, place_of
from penstock.simulation.stage import Place, Stage

__all__ = ["plan_row", "samples_are_served", "the_fleet"]

Object = dict[str, Any]

_SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "hugging-face", "namespace": "assistants"},
    "stringData": {"token": "pretended"},
}
_NAMESPACES = "Namespace"
_POOLS = "InferencePool"
_LATER = {"Budget", "Evaluation"}
_PLAN_HEADINGS = ("deployment", "pool", "accelerator", "engine", "precision", "TP", "replicas", "per hour", "on")


async def the_fleet(stage: Stage) -> None:
    """Nodes of four kinds, told apart by the vendors' own labels."""
    stage.teller.chapter("A cluster: an API server, GPU nodes, kubelets, and `penstock operator`")
    rows = [
        (name_of(node), *_gpus(node), _labels(node), str(len(node["metadata"]["labels"])))
        for node in stage.cluster.server.objects("nodes")
        if node["spec"].get("taints")
    ]
    stage.teller.table(("node", "resource", "GPUs", "says what it is by", "labels"), rows)
    await stage.check(f"the operator runs (process {stage.operator.identity}) and leads", lambda: _leads(stage))


async def samples_are_served(stage: Stage, samples: Sequence[Object]) -> None:
    """Apply them all; say of each what was decided and why; ask each of them something."""
    stage.teller.chapter("manifests/samples: resources in, models placed and serving out")
    # Pools first: what is placed while there is only one of them goes there, and stays.
    await stage.apply(*_of(samples, _NAMESPACES), _SECRET, *_of(samples, _POOLS))
    pools = [name_of(each) for each in _of(samples, _POOLS)]
    await stage.check("four pools know their accelerators", lambda: _unknown(stage, pools))
    await stage.apply(*(each for each in samples if each["kind"] not in {_NAMESPACES, _POOLS}))
    stage.teller.table(
        ("pool", "accelerator", "nodes", "GPUs", "free", "all of it per hour"),
        [_pool_row(stage, name) for name in pools],
    )
    await stage.check("each deployment is either accepted or refused with a reason", lambda: _undecided(stage))
    accepted = [place_of(live) for live in stage.models() if find_condition(live, "Accepted")["status"] == "True"]
    for place in accepted:
        await stage.check(f"{place[1]} serves", partial(stage.why_not, place, "Ready"))
    stage.teller.table(_PLAN_HEADINGS, [plan_row(stage, place) for place in accepted], title="What was decided")
    _tell_losers(stage, accepted)
    await _ask_each(stage, accepted)
    await _name_the_refused(stage, samples)


def plan_row(stage: Stage, place: Place) -> tuple[str, ...]:
    """A deployment in one line, from its status."""
    status = stage.model(place).get("status", {})
    plan = status.get("plan") or {}
    nodes = sorted({pod["spec"].get("nodeName", "") for pod in stage.pods(place)})
    return (
        "/".join(place),
        plan.get("pool", "-"),
        plan.get("accelerator", "-"),
        f"{plan.get('engine', '-')} {plan.get('engineVersion', '')}".strip(),
        plan.get("precision", "-"),
        str(plan.get("tensorParallel", "-")),
        f"{status.get('readyReplicas', 0)}/{status.get('replicas', 0)}",
        plan.get("costPerHour", "-"),
        " ".join(nodes) or "-",
    )


async def _ask_each(stage: Stage, places: Iterable[Place]) -> None:
    for place in places:
        answer = await stage.ask(place, stream=True)
        names = [name_of(pod) for pod in stage.pods(place)]
        stage.require(
            f"{place[1]} answers through its Service: {answer.tokens} tokens, streamed, from pod {answer.pod}",
            holds=answer.pod in names and answer.tokens > 0,
            reason=f"the answer came from {answer.pod or 'nowhere'}, its pods are {names}",
        )


async def _name_the_refused(stage: Stage, samples: Sequence[Object]) -> None:
    """What this release does not act on says so, and nothing of it runs."""
    refused = [live for live in stage.models() if find_condition(live, "Accepted")["status"] == "False"]
    for live in refused:
        condition = find_condition(live, "Accepted")
        stage.require(
            f"{name_of(live)} is refused ({condition['reason']}) and has no pod",
            holds=condition["reason"] == "NotSupported" and not stage.pods(place_of(live)),
            reason=f"Accepted=False {condition['reason']}, pods: {len(stage.pods(place_of(live)))}",
        )
        stage.teller.quote("it says", condition["message"])
    others = [each for each in samples if each["kind"] in _LATER]
    kinds = ", ".join(sorted({each["kind"] for each in others}))
    await stage.check(f"so are {len(others)} objects of later releases: {kinds}", lambda: _not_refused(stage, others))


def _of(manifests: Iterable[Object], kind: str) -> list[Object]:
    return [each for each in manifests if each["kind"] == kind]


def _gpus(node: Object) -> tuple[str, str]:
    offered = node["status"]["allocatable"]
    return next((name, offered[name]) for name in offered if name.endswith("/gpu"))


def _labels(node: Object) -> str:
    labels = node["metadata"]["labels"]
    shown = ("nvidia.com/gpu.product", "nvidia.com/gpu.memory", "amd.com/gpu.device-id", "amd.com/gpu.product-name")
    return ", ".join(f"{key}={labels[key]}" for key in shown if key in labels)


def _leads(stage: Stage) -> str:
    leases = stage.cluster.server.objects("leases", SYSTEM_NAMESPACE)
    held = [
        lease for lease in leases if lease["spec"].get("holderIdentity", "").endswith(f"_{stage.operator.identity}")
    ]
    return "" if held else "it holds no Lease yet"


def _unknown(stage: Stage, pools: Iterable[str]) -> str:
    missing = [name for name in pools if not stage.pool(name).get("accelerator")]
    return f"no accelerator in the status of {', '.join(missing)}" if missing else ""


def _pool_row(stage: Stage, name: str) -> tuple[str, ...]:
    status = stage.pool(name)
    gpus = status["gpus"]
    return (
        name,
        status["accelerator"],
        str(status["nodes"]),
        str(gpus["total"]),
        str(gpus["free"]),
        status.get("costPerHour", ""),
    )


def _undecided(stage: Stage) -> str:
    waiting = [
        name_of(live)
        for live in stage.models()
        if find_condition(live, "Accepted").get("status") not in {"True", "False"}
    ]
    return f"nothing is said of {', '.join(waiting)}" if waiting or not stage.models() else ""


def _tell_losers(stage: Stage, places: Iterable[Place]) -> None:
    """The nearest miss of each pool; all of them are in the status."""
    rows, all_of_them = [], 0
    for place in places:
        rejected = stage.model(place)["status"].get("rejected") or []
        all_of_them += len(rejected)
        nearest = {each.get("pool") or each.get("engine"): each for each in reversed(rejected)}
        rows += [(place[1], _what(each), f"{each['reason']}: {each['message']}") for each in reversed(nearest.values())]
    title = f"What lost: the nearest miss of each pool; all {all_of_them} are in `status.rejected`"
    stage.teller.table(("deployment", "lost", "why"), rows, title=title)


def _what(rejected: Object) -> str:
    layout = f"TP{rejected['tensorParallel']}" if rejected.get("tensorParallel") else ""
    parts = (rejected.get("pool", ""), rejected.get("engine", ""), rejected.get("precision", ""), layout)
    return " ".join(part for part in parts if part)


def _not_refused(stage: Stage, manifests: Iterable[Object]) -> str:
    for manifest in manifests:
        plural = f"{manifest['kind'].lower()}s"
        live = stage.cluster.server.get(plural, manifest["metadata"].get("namespace", "default"), name_of(manifest))
        condition = find_condition(live or {}, "Accepted")
        if (condition.get("status"), condition.get("reason")) != ("False", "NotSupported"):
            return f"{manifest['kind']} {name_of(manifest)}: Accepted={condition.get('status', 'not said')}"
    return ""
