"""What `plan` and `explain` share: their options, reading files and cluster, asking the hub, and the placement."""

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from penstock.api.modeldeployment import SourceType
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.models import ConfigFacts, ModelFacts, facts_from_config
from penstock.cli.connection import MISSING_CRDS, Target, connected, maybe_cluster_options, run
from penstock.cli.connection import Refusal as ClusterRefusal
from penstock.cli.fleet_files import (
    Assumed,
    Assumptions,
    Documents,
    LookUp,
    absences,
    add_live,
    build_fleet,
    read_documents,
    tenant_of,
)
from penstock.cli.option_values import (
    BASE_CURRENCY,
    accelerators_by_pool,
    limits_named,
    named_nothing,
    rates_named,
)
from penstock.cli.reading import read_view
from penstock.cli.refusing import InputRefused
from penstock.cluster.resources import INFERENCE_POOLS, MODEL_DEPLOYMENTS, NAMESPACES, NODES, PODS
from penstock.errors import HubError
from penstock.hub.client import Hub, HubQuestion
from penstock.operations.view import ClusterView, Gap
from penstock.planner.disaggregation.required import Apart, apart_anyhow
from penstock.planner.fleet import DeploymentKey, FleetSnapshot
from penstock.planner.offers import market_of
from penstock.planner.placement import place
from penstock.planner.plan import Decision
from penstock.planner.requirements import requirements_of
from penstock.reconcilers.facts import Checkpoint, FactsBook, checkpoints_of

__all__ = ["FleetQuestion", "Planned", "ask_hub", "fleet_options", "make_plan"]

_MOST_QUESTIONS = 8
_ASKER = ("", "plan")
_KINDS = (INFERENCE_POOLS, MODEL_DEPLOYMENTS, NAMESPACES, NODES, PODS)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FleetQuestion:
    """What is planned, and what is assumed where the files say nothing; `target` None: no cluster is asked."""

    paths: tuple[Path, ...]
    pools: tuple[Path, ...]
    assumptions: Assumptions
    ask_hub: bool
    hub_url: str
    token: str | None = field(repr=False)
    target: Target | None


@dataclass(frozen=True, slots=True)
class Planned:
    """The fleet, what was decided for it, and what was read of a cluster (None: none was asked).

    `apart`: what would be chosen for those that are left out because they require prefill and decode apart.
    """

    documents: Documents
    fleet: FleetSnapshot
    decisions: dict[DeploymentKey, Decision]
    assumed: tuple[Assumed, ...]
    view: ClusterView | None
    apart: Mapping[DeploymentKey, Apart] = field(default_factory=dict)

    @property
    def unseen(self) -> tuple[str, ...]:
        """What could not be read of the cluster."""
        gaps = self.view.gaps() if self.view else ()
        return tuple(f"not seen: {kind}: {listing.message}" for kind, listing in gaps)


_NAMES = (
    *("paths", "pools", "nodes_per_pool", "gpus_per_node", "named", "most", "by_namespace", "currency", "worth"),
    *("ask_hub", "hub_url", "token", "target"),
)
_OPTIONS = (
    click.option(
        "-f",
        "--filename",
        "paths",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        help="A file or folder of ModelDeployments, InferencePools and, if you like, Nodes, Pods and Namespaces.",
    ),
    click.option(
        "--pools",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        help="A file or folder of InferencePools and Nodes, where they are kept apart from the deployments.",
    ),
    click.option(
        "--nodes-per-pool",
        type=click.IntRange(0, 1000),
        default=1,
        show_default=True,
        help="Free nodes to assume in a pool of which no Node is known.",
    ),
    click.option("--gpus-per-node", type=click.IntRange(1, 16), default=8, show_default=True, help="GPUs on those."),
    click.option("--accelerator", "named", multiple=True, metavar="POOL=NAME", help="The GPU type of a pool."),
    click.option(
        "--max-price-per-hour",
        "most",
        metavar="AMOUNT",
        help="The most that all of it may cost; in --currency, or as in 90EUR.",
    ),
    click.option(
        "--namespace-max-price-per-hour",
        "by_namespace",
        multiple=True,
        metavar="NAMESPACE=AMOUNT",
        help="The most that the deployments of a namespace may cost together, as in team-a=30.00.",
    ),
    click.option(
        "--currency",
        default=BASE_CURRENCY,
        show_default=True,
        help="What exchange rates and limits are in, by ISO 4217.",
    ),
    click.option(
        "--exchange-rate",
        "worth",
        multiple=True,
        metavar="CURRENCY=AMOUNT",
        help="What one unit of another currency is worth in --currency, as in EUR=1.08. Left out: not compared.",
    ),
    click.option("--hub/--no-hub", "ask_hub", default=False, show_default=True, help="Ask the hub for unknown models."),
    click.option("--hub-url", default="https://huggingface.co", show_default=True, help="The model hub or its mirror."),
    click.option("--token", envvar="HF_TOKEN", default=None, help="For private models; also from HF_TOKEN."),
    maybe_cluster_options,
)


def fleet_options(command: Callable[P, T]) -> Callable[P, T]:
    """The options that say what the fleet is, handed over as `question`."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **options: P.kwargs) -> T:
        given = {name: options.pop(name) for name in _NAMES}
        options["question"] = _question(given)
        return command(*args, **options)

    made: Callable[P, T] = wrapped
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


def _question(given: Mapping[str, Any]) -> FleetQuestion:
    if not given["paths"] and given["target"] is None:
        message = "give files by -f, or a cluster by --context or --kubeconfig"
        raise click.UsageError(message)
    assumptions = Assumptions(
        nodes_per_pool=given["nodes_per_pool"],
        gpus_per_node=given["gpus_per_node"],
        accelerators=accelerators_by_pool(given["named"]),
        rates=rates_named(given["worth"], given["currency"]),
        limits=limits_named(given["most"], given["by_namespace"], given["currency"]),
    )
    same = ("paths", "pools", "ask_hub", "hub_url", "token", "target")
    return FleetQuestion(assumptions=assumptions, **{name: given[name] for name in same})


def make_plan(question: FleetQuestion) -> Planned:
    """Read, ask and place; InputRefused where a file or an option cannot be acted on."""
    documents = read_documents((*question.paths, *question.pools), question.assumptions)
    for line in documents.passed_over:
        click.echo(line, err=True)
    view = run(_read(question.target)) if question.target else None
    if view is not None:
        _add_cluster(documents, view, question)
    problems = [*documents.problems, *absences(documents)] or list(_named_in_vain(documents, question.assumptions))
    if problems:
        raise InputRefused(problems)
    look_up = _look_up(question, documents)
    try:
        fleet, assumed = build_fleet(documents, question.assumptions, look_up)
        apart = _apart(documents, fleet, look_up)
    except Refused as refused:
        raise InputRefused(str(refusal) for refusal in refused.refusals) from refused
    return Planned(documents, fleet, place(fleet, datetime.now(UTC)), assumed, view, apart)


def _named_in_vain(documents: Documents, assumptions: Assumptions) -> Iterator[str]:
    """Options for a pool or a namespace that is not there."""
    pools = (pool.name for pool in documents.pools)
    yield from named_nothing("--accelerator", assumptions.accelerators, pools, "InferencePool")
    bounded = (name for limit in assumptions.limits for name in limit.namespaces or ())
    there = {
        *(each.namespace for each in documents.deployments),
        *(each.namespace for each in documents.unsupported),
        *documents.namespace_labels,
    }
    yield from named_nothing("--namespace-max-price-per-hour", bounded, there, "namespace")


def _apart(documents: Documents, fleet: FleetSnapshot, look_up: LookUp) -> dict[DeploymentKey, Apart]:
    """On paper: other deployments' GPUs are not counted."""
    market = market_of(fleet.pools, fleet.rates)
    wanted = (tenant_of(each, documents, look_up) for each in documents.required_apart)
    return {tenant.key: apart_anyhow(requirements_of(tenant), market) for tenant in wanted}


async def _read(target: Target) -> ClusterView:
    async with connected(target) as (client, _):
        view = await read_view(client, _KINDS)
    if view.listing(MODEL_DEPLOYMENTS).gap is Gap.NOT_SERVED:
        raise ClusterRefusal(MISSING_CRDS)
    return view


def _add_cluster(documents: Documents, view: ClusterView, question: FleetQuestion) -> None:
    """The cluster stands in for what the files leave out: its pools and nodes, and its deployments."""
    kinds = () if documents.pools else (INFERENCE_POOLS, NODES, PODS, NAMESPACES)
    if not question.paths:
        kinds = (*kinds, MODEL_DEPLOYMENTS)
    for kind in kinds:
        add_live(
            documents,
            ({**live, "kind": kind.kind, "apiVersion": kind.api_version} for live in view.items(kind)),
            question.assumptions,
        )


def _look_up(question: FleetQuestion, documents: Documents) -> LookUp:
    """What the files and the catalogue know; the hub's answers where it was asked."""
    hub = Hub(base_url=question.hub_url)
    answers = asyncio.run(_ask(hub, _unknown(documents), question.token)) if question.ask_hub else {}
    book = FactsBook(hub_enabled=False)

    def look_up(checkpoint: Checkpoint) -> ModelFacts | Refusal:
        return answers.get(checkpoint.key) or book.look_up(_ASKER, checkpoint)

    return look_up


def _unknown(documents: Documents) -> list[Checkpoint]:
    """The checkpoints on a hub that neither the files nor the catalogue describe, each once."""
    book = FactsBook(hub_enabled=False)
    found: dict[str, Checkpoint] = {}
    for each in (*documents.deployments, *documents.required_apart):
        for checkpoint in checkpoints_of(each.namespace, each.parsed.spec) if each.parsed else ():
            on_hub = checkpoint.source.type is SourceType.HUB
            if on_hub and not isinstance(book.look_up(_ASKER, checkpoint), ModelFacts):
                found[checkpoint.key] = checkpoint
    return list(found.values())


async def _ask(hub: Hub, checkpoints: list[Checkpoint], token: str | None) -> dict[str, ModelFacts | Refusal]:
    """Facts or a refusal by checkpoint, a few questions at a time."""
    gate = asyncio.Semaphore(_MOST_QUESTIONS)

    async def ask(checkpoint: Checkpoint) -> ModelFacts | Refusal:
        mirror = checkpoint.source.hub.mirror_url if checkpoint.source.hub else ""
        question = HubQuestion(model=checkpoint.model, revision=checkpoint.revision, token=token, mirror_url=mirror)
        async with gate:
            return await ask_hub(hub, question, checkpoint.field, "give its config.json in `metadata.config`")

    async with asyncio.TaskGroup() as group:
        tasks = {checkpoint.key: group.create_task(ask(checkpoint)) for checkpoint in checkpoints}
    return {key: task.result() for key, task in tasks.items()}


async def ask_hub(hub: Hub, question: HubQuestion, field_name: str, otherwise: str) -> ModelFacts | Refusal:
    """What the hub knows of one checkpoint; `otherwise` ends the cure where it knows nothing."""
    try:
        answer = await hub.facts(question)
        return facts_from_config(
            ConfigFacts(
                model=question.model,
                config=answer.config,
                weights_bytes=answer.weights_bytes,
                resolved_revision=answer.resolved_revision,
                source="hub",
            )
        )
    except HubError as error:
        name = f"{question.model}@{question.revision}" if question.revision else question.model
        return Refusal(field_name, name, str(error), f"Check the name and the token, or {otherwise}")
    except Refused as refused:
        return refused.refusals[0]
