"""The story of the demo, step by step; what it prints comes from resources, what it claims is checked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rich.table import Table

from penstock.cli.demo_stage import Stage, StoryBroken

__all__ = ["tell"]

Object = dict[str, Any]
Place = tuple[str, str]

_NAMESPACE = "assistants"
_MOST_LOSERS = 5
_GPU = {"h100": "nvidia.com/gpu", "b200": "nvidia.com/gpu", "a100": "nvidia.com/gpu", "mi300x": "amd.com/gpu"}
_EU_POOLS = ("h100-eu", "mi300x-eu")


async def tell(scene: Stage, samples: Path) -> None:
    """The whole story."""
    await _pools(scene, samples)
    served = await _deployments(scene, samples)
    await _completions(scene, served)
    await _a_node_dies(scene)
    await _a_model_changes(scene)
    await _a_pool_fills_up(scene)
    await _fits_nowhere(scene)
    await _a_border(scene)
    _summary(scene)


async def _pools(scene: Stage, samples: Path) -> None:
    scene.title("1. A cluster with four GPU pools")
    for name in ("00-namespaces.yaml", "01-pools.yaml"):
        await scene.apply(samples / name)
    secret = {"name": "hugging-face", "namespace": _NAMESPACE}
    await scene.put({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "data": {"token": "cHJldGVuZA=="}})
    pools = scene.cluster.server.objects

    def counted() -> bool:
        statuses = [pool.get("status", {}) for pool in pools("inferencepools")]
        return len(statuses) == 4 and all(status.get("readyNodes", 0) > 0 for status in statuses)

    await scene.check("every pool knows its nodes, accelerator and free GPUs", counted)
    table = _table("pool", "accelerator", "where", "nodes", "GPUs free/all", "pool $/h")
    for pool in pools("inferencepools"):
        status, spec = pool["status"], pool["spec"]
        gpus = status["gpus"]
        where = ", ".join(spec["location"]["countries"])
        table.add_row(
            pool["metadata"]["name"],
            status["accelerator"],
            where,
            str(status["nodes"]),
            f"{gpus['free']}/{gpus['total']}",
            status["costPerHour"],
        )
    scene.console.print(table)


async def _deployments(scene: Stage, samples: Path) -> list[Place]:
    scene.title("2. manifests/samples: what is placed where, and why the others lost")
    places: list[Place] = []
    for name in ("00-shortest.yaml", "02-deployments.yaml"):
        applied = await scene.apply(samples / name)
        places += [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in applied]

    def judged() -> bool:
        return all(scene.condition(*place, "Placed").get("status") in {"True", "False"} for place in places)

    await scene.check(f"all {len(places)} deployments are judged", judged)
    refused = [place for place in places if scene.condition(*place, "Accepted").get("status") == "False"]
    served = [place for place in places if place not in refused]
    for place in served:
        _explain(scene, place)
    for place in refused:
        condition = scene.condition(*place, "Accepted")
        scene.say(f"[yellow]{'/'.join(place)}[/] is refused, {condition['reason']}: {condition['message']}")
    for place in served:
        await scene.check(
            f"{place[1]} is Ready", lambda place=place: scene.is_ready(*place), why_not=_why(scene, place)
        )
    return served


def _explain(scene: Stage, place: Place) -> None:
    status = scene.deployment(*place)["status"]
    plan = status.get("plan") or status.get("nextPlan") or {}
    scene.say(f"[bold]{'/'.join(place)}[/]: {scene.condition(*place, 'Placed')['message']}")
    if plan:
        scene.say(
            f"    pool {plan['pool']}, {plan['engine']} {plan['engineVersion']}, {plan['precision']}"
            f" TP{plan['tensorParallel']}, {plan['kvTokens']:,} KV tokens, {plan['costPerHour']} an hour"
        )
    for loser in status.get("rejected", ())[:_MOST_LOSERS]:
        what = " ".join(part for part in (loser["pool"], loser["engine"], loser["precision"]) if part)
        scene.say(f"    [dim]not {what}: {loser['reason']}: {loser['message']}[/]")


async def _completions(scene: Stage, served: list[Place]) -> None:
    scene.title("3. A completion from each, through its Service")
    for place in served:
        text = await scene.complete(*place)
        scene.checks += 1
        scene.console.print(f"  [green]✓[/] {'/'.join(place)}: {text!r}")


async def _a_node_dies(scene: Stage) -> None:
    place = (_NAMESPACE, "small-extractor")
    node = scene.pods(*place)[0]["spec"]["nodeName"]
    scene.title(f"4. Node {node} dies")
    before = {pod["metadata"]["name"] for pod in scene.pods(*place)}
    scene.cluster.remove_node(node)

    def elsewhere() -> bool:
        pods = scene.pods(*place)
        stand = [pod["spec"].get("nodeName") for pod in pods if scene.pod_is_ready(pod)]
        return len(stand) == len(pods) > 0 and node not in stand and scene.is_ready(*place)

    await scene.check(f"small-extractor runs again, none of it on {node}", elsewhere, why_not=_why(scene, place))
    moved = [pod for pod in scene.pods(*place) if pod["metadata"]["name"] not in before]
    for pod in moved:
        scene.say(f"{pod['metadata']['name']} stands on {pod['spec']['nodeName']} now")
    _events(scene, place)
    scene.say(f"why: {scene.condition(*place, 'Placed')['message']}")
    await scene.complete(*place)


async def _a_model_changes(scene: Stage) -> None:
    place = (_NAMESPACE, "llama-70b-eu")
    scene.title("5. A model changes: llama-70b-eu gets a smaller context window")
    before = scene.plan(*place)["revision"]
    async with _steady_load(scene, place) as answered:
        live = scene.deployment(*place)
        spec = {**live["spec"], "workload": {"maxContextTokens": 16384}}
        manifest = {key: live[key] for key in ("apiVersion", "kind")}
        metadata = {"name": place[1], "namespace": place[0]}
        await scene.put({**manifest, "metadata": metadata, "spec": {"model": spec["model"], **_changed(spec)}})

        def beside() -> bool:
            revisions = {pod["metadata"]["labels"]["penstock.dev/revision"] for pod in scene.pods(*place)}
            return before in revisions and len(revisions) == 2

        await scene.check(f"a second revision stands beside {before}", beside, why_not=_why(scene, place))

        def switched() -> bool:
            return scene.plan(*place).get("revision") not in {before, None} and scene.is_ready(*place)

        await scene.check("the Service moves when the new one is ready", switched, why_not=_why(scene, place))
        server = scene.cluster.server
        gone = f"{place[1]}-{before}"
        await scene.check(
            f"revision {before} drained and is gone", lambda: server.get("deployments", place[0], gone) is None
        )
    after = scene.plan(*place)
    scene.say(f"revision {after['revision']} serves with {after['maxContextTokens']:,} tokens of context")
    await scene.check(f"{len(answered)} completions meanwhile, none failed", lambda: bool(answered))
    _events(scene, place)


def _changed(spec: Object) -> Object:
    kept = {key: spec[key] for key in ("variants", "placement", "workload") if key in spec}
    return {**kept, "workload": {"maxContextTokens": 16384}}


@contextlib.asynccontextmanager
async def _steady_load(scene: Stage, place: Place) -> AsyncIterator[list[str]]:
    """Ask all the time; the first completion that fails breaks the story."""
    answered: list[str] = []

    async def ask() -> None:
        while True:
            answered.append(await scene.complete(*place))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(ask())
        yield answered
        task.cancel()


async def _a_pool_fills_up(scene: Stage) -> None:
    scene.title("6. A pool fills up: somebody else's pods take every free GPU of b200-us")
    await _fill(scene, "b200-us")
    place = (_NAMESPACE, "second-choice")
    placement = {"pools": ["b200-us", "h100-eu"], "fallbackAfterSeconds": 0}
    await scene.put(_model(place, "Qwen/Qwen3-32B", placement=placement))

    def fell_back() -> bool:
        return scene.is_ready(*place) and scene.plan(*place).get("pool") == "h100-eu"

    await scene.check("second-choice, which prefers b200-us, serves on h100-eu", fell_back, why_not=_why(scene, place))
    lost = [item for item in scene.deployment(*place)["status"]["rejected"] if item["pool"] == "b200-us"]
    await scene.check("its status says why b200-us lost", lambda: any(item["reason"] == "NoFreeGPUs" for item in lost))
    for item in lost[:1]:
        scene.say(f"    [dim]not b200-us: {item['reason']}: {item['message']}[/]")


async def _fits_nowhere(scene: Stage) -> None:
    scene.title("7. A deployment that fits nowhere: DeepSeek-R1 on A100s")
    place = (_NAMESPACE, "too-large")
    await scene.put(_model(place, "deepseek-ai/DeepSeek-R1", placement={"pools": ["a100-spot"]}))
    await scene.check(
        "too-large is refused, and nothing is started for it",
        lambda: scene.condition(*place, "Placed").get("status") == "False" and not scene.pods(*place),
    )
    condition = scene.condition(*place, "Placed")
    scene.say(f"{condition['reason']}: {condition['message']}")


async def _a_border(scene: Stage) -> None:
    scene.title("8. Bound to the EU, with only US capacity left")
    for pool in _EU_POOLS:
        await _fill(scene, pool)
    place = (_NAMESPACE, "eu-only")
    await scene.put(_model(place, "Qwen/Qwen3-8B", placement={"jurisdictions": ["EU"], "fallbackAfterSeconds": 0}))
    await scene.check(
        "eu-only is refused",
        lambda: scene.condition(*place, "Placed").get("status") == "False",
        why_not=_why(scene, place),
    )
    condition = scene.condition(*place, "Placed")
    scene.say(f"{condition['reason']}: {condition['message']}")
    free = sum(pool["status"]["gpus"]["free"] for pool in scene.cluster.server.objects("inferencepools"))
    await scene.check(
        f"although {free} GPUs are free in the US, nothing of it was ever started",
        lambda: free > 0 and not scene.pods(*place),
    )


async def _fill(scene: Stage, pool: str) -> None:
    """Another team's pods on every free GPU of the pool."""
    server = scene.cluster.server
    live = server.get("inferencepools", "", pool)
    if live is None:
        message = f"there is no pool {pool}"
        raise StoryBroken(message)
    selector = live["spec"]["nodeSelector"]
    for node in server.objects("nodes"):
        labels = node["metadata"]["labels"]
        if all(labels.get(key) == value for key, value in selector.items()):
            _take_all(scene, node)
    await scene.check(
        f"{pool} has no free GPU left",
        lambda: (server.get("inferencepools", "", pool) or {})["status"]["gpus"]["free"] == 0,
    )


def _take_all(scene: Stage, node: Object) -> None:
    name, server = node["metadata"]["name"], scene.cluster.server
    resource = "amd.com/gpu" if "amd.com/gpu" in node["status"]["allocatable"] else "nvidia.com/gpu"
    used = sum(
        int(container.get("resources", {}).get("limits", {}).get(resource, 0))
        for pod in server.objects("pods")
        if pod["spec"].get("nodeName") == name and pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
        for container in pod["spec"]["containers"]
    )
    free = int(node["status"]["allocatable"][resource]) - used
    if free <= 0:
        return
    container = {
        "name": "train",
        "image": "example.com/training:1",
        "resources": {"limits": {resource: str(free)}, "requests": {resource: str(free)}},
    }
    metadata = {"name": f"training-{name}", "namespace": "default", "labels": {"team": "research"}}
    tolerations = [{"key": resource, "operator": "Exists"}]
    spec = {"containers": [container], "nodeName": name, "tolerations": tolerations}
    server.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def _model(place: Place, model: str, **spec: Any) -> Object:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": place[1], "namespace": place[0]},
        "spec": {"model": model, **spec},
    }


def _events(scene: Stage, place: Place) -> None:
    for event in scene.cluster.server.objects("events", place[0]):
        if event["involvedObject"]["name"] == place[1]:
            scene.say(f"    [dim]event {event['reason']}: {event['message']}[/]")


def _why(scene: Stage, place: Place) -> "Any":
    def why() -> str:
        conditions = scene.deployment(*place).get("status", {}).get("conditions", ())
        return "; ".join(f"{item['type']}={item['status']} ({item['reason']}) {item['message']}" for item in conditions)

    return why


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _summary(scene: Stage) -> None:
    scene.title("Summary")
    table = _table("deployment", "ready", "reason", "pool", "engine", "precision", "GPUs", "replicas", "$/h")
    for live in scene.cluster.server.objects("modeldeployments"):
        place = (live["metadata"]["namespace"], live["metadata"]["name"])
        ready, plan = scene.condition(*place, "Ready"), scene.plan(*place)
        table.add_row(
            "/".join(place),
            ready.get("status", ""),
            ready.get("reason", ""),
            plan.get("pool", ""),
            plan.get("engine", ""),
            f"{plan['precision']} TP{plan['tensorParallel']}" if plan else "",
            str(plan.get("gpusPerReplica", "")),
            str(live["status"].get("readyReplicas", 0)),
            plan.get("costPerHour", ""),
        )
    scene.console.print(table)
    scene.console.print(f"\n[bold green]✓ {scene.checks} claims checked, all hold.[/]")
