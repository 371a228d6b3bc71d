"""A fleet from files: pools, deployments and, where given, nodes and namespaces, without a cluster.

Pools without nodes in the files get full, free ones, so that a plan can be made before anything is bought. Nothing is
asked of the hub here: the caller brings what is known of each checkpoint.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from penstock.api.inferencepool import InferencePool
from penstock.api.meta import GROUP
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refusal, Refused
from penstock.api.supported import unsupported
from penstock.api.validation import parse
from penstock.catalogue.accelerators import Accelerator, by_name, detect
from penstock.catalogue.models import ModelFacts
from penstock.planner.fleet import FleetSnapshot, Tenant
from penstock.reconcilers.custom import Custom, wanted_replicas
from penstock.reconcilers.facts import Checkpoint, checkpoints_of
from penstock.reconcilers.fleet import build_pools, membership
from penstock.reconcilers.stored import NodeRecord, slim_node

__all__ = ["Assumptions", "Documents", "LookUp", "build_fleet", "read_documents"]

_LARGEST_FILE = 16 * 2**20
_MOST_DOCUMENTS = 10_000
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)

LookUp = Callable[[Checkpoint], ModelFacts | Refusal]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the files leave open: free nodes per pool, GPUs per node, accelerators and namespace labels by name."""

    nodes_per_pool: int
    gpus_per_node: int
    accelerators: Mapping[str, str]


@dataclass(slots=True)
class Documents:
    """What was read, and what was wrong with the rest (`file[number] name: refusal`).

    `unsupported` are deployments that are left out because a field of theirs is not acted on yet; the rest can be
    planned without them, which cannot be said where there are `problems`.
    """

    pools: list[Custom[InferencePool]] = field(default_factory=list)
    deployments: list[Custom[ModelDeployment]] = field(default_factory=list)
    nodes: list[NodeRecord] = field(default_factory=list)
    namespace_labels: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)


def read_documents(paths: Sequence[Path], assumptions: Assumptions) -> Documents:
    """Read files and folders; nothing is raised, everything wrong is in `problems`."""
    documents, number = Documents(), 0
    for path in (file for given in paths for file in _files(given)):
        for index, document in enumerate(_contents(path, documents)):
            number += 1
            where = f"{path}[{index}] {_metadata(document).get('name', '')}"
            try:
                refusals = _sort_in(documents, document, number, assumptions)
            except Refused as refused:
                documents.problems += [f"{where}: {refusal}" for refusal in refused.refusals]
            else:
                documents.unsupported += [f"{where}: {refusal}" for refusal in refusals]
    documents.problems += _absences(documents)
    return documents


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.y*ml")) if path.is_dir() else [path]


def _contents(path: Path, documents: Documents) -> list[Any]:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            documents.problems.append(f"{path}: larger than {_LARGEST_FILE // 2**20} MiB. Split it.")
            return []
        found = [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        documents.problems.append(f"{path}: cannot be read as YAML: {error}")
        return []
    flat = [item for document in found for item in _items(document)]
    if len(flat) > _MOST_DOCUMENTS:
        documents.problems.append(f"{path}: more than {_MOST_DOCUMENTS} documents. Split it.")
    return flat[:_MOST_DOCUMENTS]


def _items(document: Any) -> list[Any]:
    """The objects of a List, as kubectl prints them; else the document itself."""
    if isinstance(document, dict) and str(document.get("kind", "")).endswith("List"):
        items = document.get("items")
        return items if isinstance(items, list) else []
    return [document]


def _metadata(document: Any) -> Mapping[str, Any]:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _sort_in(documents: Documents, document: Any, number: int, assumptions: Assumptions) -> tuple[Refusal, ...]:
    """Keep what placement reads; other people's objects and our other kinds are passed over, ours after a check.

    Answers what is not acted on yet in a deployment, which is then not kept.
    """
    metadata = _metadata(document)
    if isinstance(document, dict) and not str(document.get("apiVersion", "")).startswith(f"{GROUP}/"):
        match document.get("kind"):
            case "Node":
                documents.nodes.append(slim_node(_as_live(document, number)))
            case "Namespace":
                documents.namespace_labels[str(metadata.get("name"))] = dict(metadata.get("labels") or {})
        return ()
    resource = parse(document, strict=True)
    if isinstance(resource, InferencePool):
        documents.pools.append(Custom.of(_as_live(_with_accelerator(document, assumptions), number), InferencePool))
    elif isinstance(resource, ModelDeployment):
        refusals = unsupported(resource.spec)
        if refusals:
            return refusals
        documents.deployments.append(Custom.of(_as_live(document, number, namespace="default"), ModelDeployment))
    return ()


def _as_live(document: Mapping[str, Any], number: int, *, namespace: str = "") -> dict[str, Any]:
    """The document with what the API server would add; files read first count as older."""
    metadata = {
        "uid": f"file-{number}",
        "resourceVersion": str(number),
        "creationTimestamp": (_FIRST + timedelta(seconds=number)).isoformat(),
        "generation": 1,
        **({"namespace": namespace} if namespace else {}),
        **_metadata(document),
    }
    return {**document, "metadata": metadata}


def _with_accelerator(document: Mapping[str, Any], assumptions: Assumptions) -> Mapping[str, Any]:
    named = assumptions.accelerators.get(str(_metadata(document).get("name")))
    return {**document, "spec": {**document["spec"], "accelerator": named}} if named else document


def _absences(documents: Documents) -> Iterator[str]:
    if documents.problems:
        return
    if not documents.deployments and not documents.unsupported:
        yield "no ModelDeployment in these files: there is nothing to plan. Add one with -f."
    if not documents.pools:
        yield "no InferencePool in these files: there is nowhere to place anything. Add one with -f."
    seen: set[tuple[str, str]] = set()
    for each in documents.deployments:
        if (each.namespace, each.name) in seen:
            yield f"ModelDeployment {each.namespace}/{each.name} is there twice. Remove one of the two."
        seen.add((each.namespace, each.name))


def build_fleet(documents: Documents, assumptions: Assumptions, look_up: LookUp) -> FleetSnapshot:
    """The snapshot that the planner reads; Refused where an assumed accelerator is unknown."""
    nodes = {node.name: node for node in documents.nodes}
    members = membership(documents.pools, tuple(documents.nodes))
    for pool in documents.pools:
        if not members[pool.name].nodes:
            nodes.update((node.name, node) for node in _assumed_nodes(pool, assumptions))
    members = membership(documents.pools, tuple(nodes.values()))
    return FleetSnapshot(
        pools=build_pools(documents.pools, nodes, members, {}),
        tenants=tuple(_tenant(each, documents, look_up) for each in documents.deployments),
    )


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


def _tenant(custom: Custom[ModelDeployment], documents: Documents, look_up: LookUp) -> Tenant:
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
