"""A fleet from files: pools, deployments and, where given, nodes, namespaces and pods, without a cluster.

Pools without nodes in the files get full, free ones, so that a plan can be made before anything is bought. Objects that
were read from a cluster go the same way. Nothing is asked of the hub here: the caller brings what is known of each
checkpoint.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock.api.inferencepool import InferencePool
from penstock.api.meta import GROUP
from penstock.api.modeldeployment import DisaggregationMode, ModelDeployment
from penstock.api.refusals import Refusal, Refused
from penstock.api.supported import unsupported
from penstock.api.validation import parse
from penstock.catalogue.accelerators import Accelerator, by_name, detect
from penstock.catalogue.models import ModelFacts
from penstock.cli.input_files import contents, files_of
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Tenant
from penstock.planner.spending import SpendingLimit
from penstock.reconcilers.custom import Custom, wanted_replicas
from penstock.reconcilers.facts import Checkpoint, checkpoints_of
from penstock.reconcilers.fleet import build_pools, gpus_by_node, membership
from penstock.reconcilers.stored import NodeRecord, PodRecord, slim_node, slim_pod

__all__ = [
    "Assumed",
    "Assumptions",
    "Documents",
    "LookUp",
    "NotActedOn",
    "absences",
    "add_live",
    "build_fleet",
    "read_documents",
    "tenant_of",
]

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)

LookUp = Callable[[Checkpoint], ModelFacts | Refusal]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the files leave open: free nodes per pool, GPUs per node, accelerators by pool, exchange rates, budgets."""

    nodes_per_pool: int
    gpus_per_node: int
    accelerators: Mapping[str, str]
    rates: Rates = NO_RATES
    limits: tuple[SpendingLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Assumed:
    """Free nodes that no file and no cluster showed."""

    pool: str
    nodes: int
    gpus_per_node: int

    def __str__(self) -> str:
        """As it is said below a plan."""
        count = f"{self.nodes} free node{'' if self.nodes == 1 else 's'}"
        return f"pool {self.pool}: {count} of {self.gpus_per_node} GPUs assumed (--nodes-per-pool, --gpus-per-node)"


@dataclass(frozen=True, slots=True)
class NotActedOn:
    """A deployment that is left out, and the fields of it that are refused; `where` is its place in the files.

    `custom` is there where everything of it can be read.
    """

    where: str
    namespace: str
    name: str
    refusals: tuple[Refusal, ...]
    custom: Custom[ModelDeployment] | None = None

    @property
    def key(self) -> DeploymentKey:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def lines(self) -> tuple[str, ...]:
        """One per refusal."""
        return tuple(f"{self.where}: {refusal}" for refusal in self.refusals)


@dataclass(slots=True)
class Documents:
    """What was read, and what was wrong with the rest (`file[number] name: refusal`).

    `unsupported` are deployments that are left out because a field of theirs is not acted on yet; the rest can be
    planned without them, which cannot be said where there are `problems`. `passed_over` says which folders were not
    read.
    """

    pools: list[Custom[InferencePool]] = field(default_factory=list)
    deployments: list[Custom[ModelDeployment]] = field(default_factory=list)
    nodes: list[NodeRecord] = field(default_factory=list)
    pods: list[PodRecord] = field(default_factory=list)
    namespace_labels: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unsupported: list[NotActedOn] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    read: int = 0

    @property
    def required_apart(self) -> Iterator[Custom[ModelDeployment]]:
        """Those of the unsupported that require prefill and decode apart."""
        for each in self.unsupported:
            spec = each.custom.parsed.spec if each.custom and each.custom.parsed else None
            if each.custom and spec and spec.disaggregation.mode is DisaggregationMode.REQUIRED:
                yield each.custom


def read_documents(paths: Sequence[Path], assumptions: Assumptions) -> Documents:
    """Read files and folders, each once; nothing is raised, everything wrong is in `problems`."""
    documents = Documents()
    files, documents.passed_over = files_of(paths)
    for path in files:
        found, problems = contents(path)
        documents.problems += problems
        for index, document in enumerate(found):
            _sort_in(documents, document, f"{path}[{index}] {_metadata(document).get('name', '')}", assumptions)
    return documents


def add_live(documents: Documents, objects: Iterable[Mapping[str, Any]], assumptions: Assumptions) -> None:
    """Objects of a cluster, as its API server holds them."""
    for live in objects:
        metadata = _metadata(live)
        where = f"{live.get('kind')} {metadata.get('namespace', '')}/{metadata.get('name')}"
        _sort_in(documents, live, where, assumptions, strict=False)


def _metadata(document: Any) -> Mapping[str, Any]:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _sort_in(documents: Documents, document: Any, where: str, assumptions: Assumptions, *, strict: bool = True) -> None:
    """Keep what placement reads; other people's objects and our other kinds are passed over, ours after a check."""
    documents.read += 1
    try:
        if _is_foreign(document):
            _keep_foreign(documents, document)
        else:
            _keep_ours(documents, document, where, assumptions, strict=strict)
    except Refused as refused:
        _keep_refused(documents, document, where, refused, strict=strict)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Other people's kinds have no models here to judge them by.
        documents.problems.append(f"{where}: is not as the API server writes it ({error!r}). Read it with kubectl get.")


def _keep_refused(documents: Documents, document: Any, where: str, refused: Refused, *, strict: bool) -> None:
    """A deployment that an older release let in costs only itself its plan."""
    metadata = _metadata(document)
    if strict or document.get("kind") != "ModelDeployment":
        documents.problems += [f"{where}: {refusal}" for refusal in refused.refusals]
        return
    name = str(metadata.get("name"))
    documents.unsupported.append(NotActedOn(where, str(metadata.get("namespace")), name, refused.refusals))


def _is_foreign(document: Any) -> bool:
    return isinstance(document, Mapping) and not str(document.get("apiVersion", "")).startswith(f"{GROUP}/")


def _keep_foreign(documents: Documents, document: Mapping[str, Any]) -> None:
    """Nodes, pods and namespaces; ValueError where their metadata or GPUs are not what an API server would hold."""
    kind = document.get("kind")
    if kind not in {"Node", "Pod", "Namespace"}:
        return
    metadata = _tidy_metadata(document)
    match kind:
        case "Node":
            node = slim_node(_as_live(document, documents.read))
            _check_counts(node.capacity, node.allocatable)
            documents.nodes.append(node)
        case "Pod":
            pod = slim_pod(_as_live(document, documents.read, namespace="default"))
            _check_counts(pod.gpus)
            documents.pods.append(pod)
        case _:
            documents.namespace_labels[metadata["name"]] = dict(metadata.get("labels") or {})


def _tidy_metadata(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """With a name, and words for labels."""
    metadata = _metadata(document)
    words = (metadata.get("name"), metadata.get("namespace") or "default", *_pairs(metadata.get("labels") or {}))
    if not all(isinstance(word, str) for word in words) or not metadata["name"]:
        message = "metadata needs a name, and labels that are text"
        raise ValueError(message)
    return metadata


def _pairs(labels: Mapping[str, Any]) -> Iterator[Any]:
    for key, value in labels.items():
        yield from (key, value)


def _check_counts(*counts: Mapping[str, int]) -> None:
    if any(count < 0 for each in counts for count in each.values()):
        message = "a number of GPUs is negative"
        raise ValueError(message)


def _keep_ours(documents: Documents, document: Any, where: str, assumptions: Assumptions, *, strict: bool) -> None:
    """A deployment with fields that are not acted on is not kept; what they are is."""
    resource = parse(document, strict=strict)
    if isinstance(resource, InferencePool):
        live = _as_live(_with_accelerator(document, assumptions), documents.read)
        documents.pools.append(Custom.of(live, InferencePool))
    elif isinstance(resource, ModelDeployment):
        kept = Custom.of(_as_live(document, documents.read, namespace="default"), ModelDeployment)
        refusals = unsupported(resource.spec)
        if refusals:
            documents.unsupported.append(NotActedOn(where, kept.namespace, kept.name, refusals, kept))
        else:
            documents.deployments.append(kept)


def _as_live(document: Mapping[str, Any], number: int, *, namespace: str = "") -> dict[str, Any]:
    """The document with what the API server would add; files read first count as older."""
    metadata = {
        "uid": f"file-{number}",
        "resourceVersion": str(number),
        "creationTimestamp": (_FIRST + timedelta(seconds=number)).isoformat(),
        "generation": 1,
        **({"namespace": namespace} if namespace else {}),
        # The API server takes a null for a field that is left out.
        **{key: value for key, value in _metadata(document).items() if value is not None},
    }
    return {**document, "metadata": metadata}


def _with_accelerator(document: Mapping[str, Any], assumptions: Assumptions) -> Mapping[str, Any]:
    named = assumptions.accelerators.get(str(_metadata(document).get("name")))
    return {**document, "spec": {**document["spec"], "accelerator": named}} if named else document


def absences(documents: Documents) -> Iterator[str]:
    """What is missing for a plan, and what is there twice."""
    if documents.problems:
        return
    if not documents.deployments and not documents.unsupported:
        yield "no ModelDeployment in these files: there is nothing to plan. Add one with -f."
    if not documents.pools:
        yield "no InferencePool in these files: there is nowhere to place anything. Add one with -f or --pools."
    yield from _doubles("ModelDeployment", [f"{each.namespace}/{each.name}" for each in documents.deployments])
    yield from _doubles("InferencePool", [pool.name for pool in documents.pools])
    yield from _doubles("Node", [node.name for node in documents.nodes])


def _doubles(kind: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            often = "twice" if times == 2 else f"{times} times"  # noqa: PLR2004 - the word
            yield f"{kind} {name} is there {often}. Remove all but one of them."


def build_fleet(
    documents: Documents, assumptions: Assumptions, look_up: LookUp
) -> tuple[FleetSnapshot, tuple[Assumed, ...]]:
    """The snapshot that the planner reads, and the nodes assumed for it; Refused for an unknown accelerator."""
    nodes = {node.name: node for node in documents.nodes}
    members = membership(documents.pools, tuple(documents.nodes))
    assumed: list[Assumed] = []
    for pool in documents.pools:
        empty = pool.name in members and not members[pool.name].nodes
        added = list(_assumed_nodes(pool, assumptions)) if empty else []
        nodes.update((node.name, node) for node in added)
        assumed += [Assumed(pool.name, len(added), assumptions.gpus_per_node)] if added else []
    members = membership(documents.pools, tuple(nodes.values()))
    # What is planned anew gives its GPUs up first; what others hold stays held.
    planned = {(each.namespace, each.name) for each in documents.deployments}
    others = [pod for pod in documents.pods if (pod.namespace, pod.deployment) not in planned]
    fleet = FleetSnapshot(
        pools=build_pools(documents.pools, nodes, members, gpus_by_node(others)),
        tenants=tuple(tenant_of(each, documents, look_up) for each in documents.deployments),
        rates=assumptions.rates,
        limits=assumptions.limits,
    )
    return fleet, tuple(assumed)


def _assumed_nodes(pool: Custom[InferencePool], assumptions: Assumptions) -> Iterator[NodeRecord]:
    """Full, free nodes of the pool's accelerator; none where neither the pool nor its node selector tells it."""
    accelerator = _accelerator(pool)
    if pool.parsed is None or accelerator is None:
        return
    gpus = {accelerator.resource: assumptions.gpus_per_node}
    for number in range(assumptions.nodes_per_pool):
        yield NodeRecord(
            namespace="",
            name=f"{pool.name}-assumed-{number}",
            uid=f"{pool.name}-assumed-{number}",
            resource_version="1",
            owner_uid="",
            labels=dict(pool.parsed.spec.node_selector),
            capacity=gpus,
            allocatable=gpus,
            ready=True,
            schedulable=True,
            taints=(),
        )


def _accelerator(pool: Custom[InferencePool]) -> Accelerator | None:
    if pool.parsed is None:
        return None
    if pool.parsed.spec.accelerator is not None:
        return by_name(pool.parsed.spec.accelerator)
    return detect(pool.parsed.spec.node_selector).accelerator


def tenant_of(custom: Custom[ModelDeployment], documents: Documents, look_up: LookUp) -> Tenant:
    """A deployment as the planner sees it; Refused where its spec cannot be read."""
    if custom.parsed is None:
        raise Refused(custom.refusals)
    spec = custom.parsed.spec
    answers = {checkpoint.name: look_up(checkpoint) for checkpoint in checkpoints_of(custom.namespace, spec)}
    labels = {"kubernetes.io/metadata.name": custom.namespace, **documents.namespace_labels.get(custom.namespace, {})}
    return Tenant(
        key=(custom.namespace, custom.name),
        created=custom.created,
        spec=spec,
        replicas=wanted_replicas(spec),
        namespace_labels=labels,
        facts={name: answer for name, answer in answers.items() if isinstance(answer, ModelFacts)},
        unknown={name: answer for name, answer in answers.items() if isinstance(answer, Refusal)},
    )
