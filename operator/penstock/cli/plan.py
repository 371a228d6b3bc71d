"""`penstock plan`: where the deployments of these files would go, what they cost, and what lost; no cluster needed."""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from penstock.api.modeldeployment import SourceType
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.models import ConfigFacts, ModelFacts, facts_from_config
from penstock.cli.fleet_files import Assumptions, Documents, LookUp, build_fleet, read_documents
from penstock.cli.plan_report import complete, report, write_report, write_text
from penstock.errors import HubError
from penstock.hub.client import Hub, HubQuestion
from penstock.planner.placement import place
from penstock.reconcilers.facts import Checkpoint, FactsBook, checkpoints_of

__all__ = ["plan"]

_EXIT_UNPLACED = 1
_EXIT_BAD_INPUT = 2
_MOST_QUESTIONS = 8
_ASKER = ("", "plan")


@click.command()
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="A file or folder of InferencePools, ModelDeployments and, if you like, Nodes and Namespaces.",
)
@click.option(
    "-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)
@click.option(
    "--nodes-per-pool",
    type=click.IntRange(0, 1000),
    default=1,
    show_default=True,
    help="Free nodes to assume in a pool for which the files hold no Node.",
)
@click.option("--gpus-per-node", type=click.IntRange(1, 16), default=8, show_default=True, help="GPUs on those.")
@click.option("--accelerator", "named", multiple=True, metavar="POOL=NAME", help="The GPU type of a pool.")
@click.option("--hub/--no-hub", "ask_hub", default=False, show_default=True, help="Ask the hub about unknown models.")
@click.option("--hub-url", default="https://huggingface.co", show_default=True, help="The model hub or its mirror.")
@click.option("--token", envvar="HF_TOKEN", default=None, help="For private models; also from HF_TOKEN.")
def plan(**options: Any) -> None:
    """Show where deployments would go. Exit code 1 where one has no place, 2 where the input is refused."""
    sys.exit(_run(_Options(**options)))


@dataclass(frozen=True, slots=True)
class _Options:
    """The command line."""

    paths: tuple[Path, ...]
    form: str
    nodes_per_pool: int
    gpus_per_node: int
    named: tuple[str, ...]
    ask_hub: bool
    hub_url: str
    token: str | None


def _run(options: _Options) -> int:
    """Read, ask, place, print; the exit code."""
    assumptions = Assumptions(options.nodes_per_pool, options.gpus_per_node, _accelerators(options.named))
    documents = read_documents(options.paths, assumptions)
    if documents.problems:
        return _refuse(documents.problems)
    try:
        fleet = build_fleet(documents, assumptions, _look_up(options, documents))
    except Refused as refused:
        return _refuse(str(refusal) for refusal in refused.refusals)
    decisions = place(fleet, datetime.now(UTC))
    if options.form == "table":
        write_text(fleet, decisions, sys.stdout)
    else:
        write_report(report(fleet, decisions), options.form, sys.stdout)
    if documents.unsupported:
        return _refuse(documents.unsupported)
    placed = all(complete(tenant, decisions[tenant.key]) for tenant in fleet.tenants)
    return 0 if placed else _EXIT_UNPLACED


def _look_up(options: _Options, documents: Documents) -> LookUp:
    """What the files and the catalogue know; the hub's answers where it was asked."""
    hub = Hub(base_url=options.hub_url)
    answers = asyncio.run(_ask(hub, _unknown(documents), options.token)) if options.ask_hub else {}
    book = FactsBook(hub_enabled=False)

    def look_up(checkpoint: Checkpoint) -> ModelFacts | Refusal:
        return answers.get(checkpoint.key) or book.look_up(_ASKER, checkpoint)

    return look_up


def _refuse(problems: Iterable[str]) -> int:
    for problem in problems:
        click.echo(problem, err=True)
    return _EXIT_BAD_INPUT


def _accelerators(named: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in named]
    for pool, separator, name in pairs:
        if not (pool and separator and name):
            message = f"'{pool}{separator}{name}' is not POOL=NAME, such as h100-eu=H100-SXM-80GB"
            raise click.BadParameter(message, param_hint="--accelerator")
    return {pool: name for pool, _, name in pairs}


def _unknown(documents: Documents) -> list[Checkpoint]:
    """The checkpoints on a hub that neither the files nor the catalogue describe, each once."""
    book = FactsBook(hub_enabled=False)
    found: dict[str, Checkpoint] = {}
    for each in documents.deployments:
        for checkpoint in checkpoints_of(each.namespace, each.parsed.spec) if each.parsed else ():
            on_hub = checkpoint.source.type is SourceType.HUB
            if on_hub and not isinstance(book.look_up(_ASKER, checkpoint), ModelFacts):
                found[checkpoint.key] = checkpoint
    return list(found.values())


async def _ask(hub: Hub, checkpoints: list[Checkpoint], token: str | None) -> dict[str, ModelFacts | Refusal]:
    """Facts or a refusal by checkpoint, a few questions at a time."""
    gate = asyncio.Semaphore(_MOST_QUESTIONS)

    async def ask(checkpoint: Checkpoint) -> ModelFacts | Refusal:
        async with gate:
            return await _ask_one(hub, checkpoint, token)

    async with asyncio.TaskGroup() as group:
        tasks = {checkpoint.key: group.create_task(ask(checkpoint)) for checkpoint in checkpoints}
    return {key: task.result() for key, task in tasks.items()}


async def _ask_one(hub: Hub, checkpoint: Checkpoint, token: str | None) -> ModelFacts | Refusal:
    mirror = checkpoint.source.hub.mirror_url if checkpoint.source.hub else ""
    question = HubQuestion(model=checkpoint.model, revision=checkpoint.revision, token=token, mirror_url=mirror)
    try:
        answer = await hub.facts(question)
        return facts_from_config(
            ConfigFacts(
                model=checkpoint.model,
                config=answer.config,
                weights_bytes=answer.weights_bytes,
                resolved_revision=answer.resolved_revision,
                source="hub",
            )
        )
    except HubError as error:
        cure = "Check the name and the token, or give its config.json in `metadata.config`"
        return Refusal(checkpoint.field, checkpoint.name, str(error), cure)
    except Refused as refused:
        return refused.refusals[0]
