"""`penstock fit`: on which GPUs a model fits, how fast it is there, and what a million tokens cost; no cluster."""

import asyncio
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from penstock.api.formats import EngineName, Precision
from penstock.catalogue.models import ModelFacts
from penstock.cli.checkpoints import Lookup, checkpoints_named, model_facts
from penstock.cli.fit_data import data_of
from penstock.cli.fit_tables import write_markdown, write_rows
from penstock.cli.option_values import FiniteRange, accelerators_named, engine_version_named, limited_rate, prices_named
from penstock.cli.output import markdown_output_option, write_data
from penstock.cli.refusing import EXIT_REFUSED, option_refused
from penstock.planner.requirements import Load
from penstock.planner.speed import Promise
from penstock.planner.survey import SURVEYED_SIZES, SurveyQuestion, survey

__all__ = ["fit"]

_TOKENS = click.IntRange(1, 10_000_000)
_REQUESTS = click.IntRange(1, 1_000_000)
_MOST_REPLICAS = 1000
_MILLISECONDS = FiniteRange(0, 3_600_000, min_open=True)


@click.command()
@click.argument("model")
@click.option(
    "--gpu", "gpus", multiple=True, metavar="NAME", help="A GPU type, or the start of its name. Left out: all."
)
@click.option("--tensor-parallel", "sizes", multiple=True, type=click.IntRange(1, 64), help="Left out: 1, 2, 4 and 8.")
@click.option(
    "--context", type=click.IntRange(256, 20_000_000), help="Tokens of the longest request. Left out: what fits."
)
@click.option("--prompt", type=_TOKENS, default=1536, show_default=True, help="Tokens of a typical prompt.")
@click.option(
    "--output-tokens",
    "--answer",
    "output",
    type=_TOKENS,
    default=512,
    show_default=True,
    help="Tokens of a typical answer.",
)
@click.option("--concurrency", type=_REQUESTS, help="Requests in flight that one replica must hold.")
@click.option("--requests-per-second", metavar="X", help="Of all replicas together, a decimal number.")
@click.option("--ttft", type=_MILLISECONDS, help="The longest mean time to the first token, in milliseconds.")
@click.option("--tpot", type=_MILLISECONDS, help="The longest mean time per output token, in milliseconds.")
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice([str(each) for each in Precision], case_sensitive=False),
    help="Of the catalogue's checkpoints of this model, those in this format. Left out: the one named.",
)
@click.option(
    "--engine",
    type=click.Choice([str(each) for each in EngineName], case_sensitive=False),
    help="Left out: vLLM, else SGLang.",
)
@click.option("--engine-version", metavar="VERSION", help="With --engine. Left out: the one that Penstock installs.")
@click.option(
    "--price", "prices", multiple=True, metavar="GPU=AMOUNT", help="Per GPU-hour in USD; H100=2.10EUR is in euros."
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The model's config.json, for one that is not in the catalogue.",
)
@click.option(
    "--weights-size", metavar="SIZE", help="With --config: the size of the weights, such as 160Gi. Left out: computed."
)
@click.option("--hub/--no-hub", "ask_hub", default=False, show_default=True, help="Ask the hub for an unknown model.")
@click.option("--hub-url", default="https://huggingface.co", show_default=True, help="The model hub or its mirror.")
@click.option("--token", envvar="HF_TOKEN", default=None, help="For private models; also from HF_TOKEN.")
@markdown_output_option
def fit(**options: Any) -> None:
    r"""Show on which GPUs MODEL fits, and how it does there.

    A row per GPU type and layout: KV cache, longest context, requests at once, and at the load tokens per second,
    latencies, prices, and what binds. Layouts are tensor-parallel sizes (TP8), pipelines where those end (TP2xPP4), and
    for models of many experts whole experts (TP8 EP8) and attention ranks (TP8 DP8) where planning would try them.

    The load is --concurrency per replica, or --requests-per-second over as many replicas as it takes; without either, a
    replica carries as much as its memory and the promised latencies allow. The best is marked: the cheapest per token,
    and without prices the one with most tokens per GPU.

    Plan with measured figures where you have them: latencies are means of a model, and those marked with ? were not
    checked against measurements on that hardware.

    \b
    Exit codes
      0  it fits somewhere
      2  it fits nowhere that was asked for; or an option is refused

    \b
    Examples
      penstock fit Qwen/Qwen3-32B
      penstock fit Qwen/Qwen3-32B --gpu H100-SXM --gpu H200 --price H100=2.50 --price H200=3.40 --tpot 30
      penstock fit meta-llama/Llama-3.3-70B-Instruct --precision FP8 --precision BF16 --requests-per-second 12
      penstock fit my/model --config config.json --context 32768 -o json
    """
    question = _question(options)
    rows = survey(question)
    match options["form"]:
        case "table":
            write_rows(question, rows, sys.stdout)
        case "markdown":
            write_markdown(question, rows, sys.stdout)
        case form:
            write_data(data_of(question, rows), form, sys.stdout)
    sys.exit(0 if any(row.fits for row in rows) else EXIT_REFUSED)


def _question(options: dict[str, Any]) -> SurveyQuestion:
    """What was asked; InputRefused names the option that cannot be acted on."""
    rate = limited_rate(options["requests_per_second"])
    if rate is not None and options["concurrency"]:
        raise option_refused(
            field="--concurrency",
            value=options["concurrency"],
            reason="says the same as --requests-per-second",
            cure="Keep one of them",
        )
    if options["engine_version"] is not None and not options["engine"]:
        raise option_refused(
            field="--engine-version",
            value=options["engine_version"],
            reason="belongs to no engine",
            cure="Name one by --engine",
        )
    engine = EngineName(options["engine"]) if options["engine"] else None
    versions = (
        {engine: engine_version_named(engine, options["engine_version"])}
        if engine and options["engine_version"] is not None
        else {}
    )
    load = _load(options, rate)
    checkpoints = _checkpoints(options, load)
    return SurveyQuestion(
        checkpoints=checkpoints,
        accelerators=accelerators_named(options["gpus"]),
        load=load,
        promise=Promise(_seconds(options["ttft"]), _seconds(options["tpot"])),
        sizes=tuple(sorted(set(options["sizes"]))) or SURVEYED_SIZES,
        engines=(engine,) if engine else tuple(EngineName),
        engine_versions=versions,
        prices=prices_named(options["prices"]),
    )


def _load(options: dict[str, Any], rate: Decimal | None) -> Load:
    context, prompt, output = options["context"], options["prompt"], options["output"]
    if context is not None and prompt + output > context:
        cure = f"Raise it to {prompt + output}, or lower --prompt or --answer"
        raise option_refused(
            field="--context",
            value=context,
            reason=f"is less than --prompt and --answer together ({prompt + output:,} tokens)",
            cure=cure,
        )
    return Load(
        max_context_tokens=context,
        prompt_tokens=prompt,
        output_tokens=output,
        stated=True,
        total_concurrency=options["concurrency"],
        total_requests_per_second=None if rate is None else float(rate),
        likely_concurrency=options["concurrency"],
        most_replicas=1 if rate is None else _MOST_REPLICAS,
    )


def _checkpoints(options: dict[str, Any], load: Load) -> tuple[ModelFacts, ...]:
    lookup = Lookup(
        options["model"],
        options["config"],
        options["weights_size"],
        options["ask_hub"],
        options["hub_url"],
        options["token"],
    )
    facts = asyncio.run(model_facts(lookup))
    if facts.model.lower() != lookup.model.lower():
        click.echo(
            f"`MODEL` '{lookup.model}' is read as {facts.model} ({facts.precision}, by {facts.source})", err=True
        )
    wanted = load.max_context_tokens or load.request_tokens
    if wanted > facts.max_context_tokens:
        field = "--context" if load.max_context_tokens else "--prompt"
        cure = f"Ask for {facts.max_context_tokens} or less, prompt and answer together"
        raise option_refused(
            field=field,
            value=wanted,
            reason=f"is more than the {facts.max_context_tokens:,} tokens that {facts.model} reads",
            cure=cure,
        )
    return checkpoints_named(facts, tuple(Precision(each.upper()) for each in options["precisions"]))


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
