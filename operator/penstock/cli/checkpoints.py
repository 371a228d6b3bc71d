"""What is known of a checkpoint that somebody names on the command line: config file, catalogue, hub, in that order."""

import contextlib
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.api.formats import Precision
from penstock.api.quantities import format_size, parse_bytes
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.lookup import find
from penstock.catalogue.models import (
    ConfigFacts,
    ModelFacts,
    built_in,
    built_in_names,
    facts_from_config,
    same_architecture,
)
from penstock.cli.input_files import Unreadable, text_of
from penstock.cli.planning import ask_hub
from penstock.cli.refusing import InputRefused, option_refused
from penstock.hub.client import Hub, HubQuestion

__all__ = ["Lookup", "checkpoints_named", "model_facts"]

_LARGEST_CONFIG = 2**20
_LEAST_WEIGHTS = 2**20
_MOST_NEAR = 4
_NEAR = 0.5


@dataclass(frozen=True, slots=True)
class Lookup:
    """A checkpoint by name, and where to read of it."""

    model: str
    config: Path | None
    weights_size: str | None
    ask_hub: bool
    hub_url: str
    token: str | None


async def model_facts(lookup: Lookup) -> ModelFacts:
    """What is known of it; InputRefused names what is nearly called so, and what would help."""
    if lookup.config is not None:
        return _from_file(lookup, lookup.config)
    if lookup.weights_size is not None:
        raise option_refused(
            field="--weights-size",
            value=lookup.weights_size,
            reason="belongs to a config.json",
            cure="Give it by --config",
        )
    known = find(lookup.model)
    if known is not None:
        return known
    if lookup.ask_hub:
        question = HubQuestion(model=lookup.model, token=lookup.token)
        answer = await ask_hub(Hub(base_url=lookup.hub_url), question, "MODEL", "give its config.json by --config")
        if isinstance(answer, Refusal):
            raise InputRefused([str(answer)])
        return answer
    raise option_refused(field="MODEL", value=lookup.model, reason="is not in the catalogue", cure=_cure(lookup.model))


def _cure(model: str) -> str:
    """The nearest names first."""
    known = {name.lower(): name for name in built_in_names()}
    near = difflib.get_close_matches(model.lower(), known, _MOST_NEAR, _NEAR)
    others = f"Perhaps {', '.join(known[each] for each in near)}; else give" if near else "Give"
    return f"{others} its config.json by --config, or ask the hub by --hub"


def _from_file(lookup: Lookup, path: Path) -> ModelFacts:
    config = _read_config(path)
    asked = ConfigFacts(model=lookup.model, config=config, weights_bytes=_size(lookup.weights_size))
    _check_size(lookup.weights_size, asked)
    try:
        return facts_from_config(asked)
    except Refused as refused:
        raise InputRefused(_as_options(each) for each in refused.refusals) from refused


def _check_size(text: str | None, asked: ConfigFacts) -> None:
    """A size of which the unit is forgotten would make every model fit everywhere."""
    if text is None or asked.weights_bytes is None:
        return
    least, reason = _LEAST_WEIGHTS, "is less than the weights of any model"
    with contextlib.suppress(Refused):
        computed = facts_from_config(replace(asked, weights_bytes=None))
        least = computed.weights_bytes // 2
        size = format_size(computed.weights_bytes)
        reason = f"is less than half of what its parameters take in {computed.precision}, {size}"
    if asked.weights_bytes < least:
        unit = f"Write {text}Gi where GiB are meant" if text.isdigit() and asked.weights_bytes else "Correct it"
        cure = f"{unit}, or leave it out: then it is computed"
        raise option_refused(field="--weights-size", value=text, reason=reason, cure=cure)


def _as_options(refusal: Refusal) -> str:
    """The same refusal with the field that this command has."""
    field = "--weights-size" if refusal.field == "metadata.weightsSize" else "--config"
    return str(Refusal(field, refusal.value, refusal.reason, refusal.cure))


def _read_config(path: Path) -> Mapping[str, Any]:
    cure = "Give the model's config.json"
    try:
        config = json.loads(text_of(path, _LARGEST_CONFIG, "is larger than a config.json ever is"))
    except Unreadable as unread:
        raise option_refused(field="--config", value=path, reason=str(unread), cure=cure) from unread
    except (ValueError, RecursionError) as error:
        reason = f"cannot be read as JSON ({error})"
        raise option_refused(field="--config", value=path, reason=reason, cure=cure) from error
    if not isinstance(config, dict):
        raise option_refused(field="--config", value=path, reason="is not a JSON object", cure=cure)
    return config


def _size(text: str | None) -> int | None:
    try:
        return None if text is None else parse_bytes(text)
    except ValueError as error:
        cure = "Write it as in 160Gi"
        raise option_refused(field="--weights-size", value=text, reason="is not a size", cure=cure) from error


def checkpoints_named(own: ModelFacts, precisions: tuple[Precision, ...]) -> tuple[ModelFacts, ...]:
    """The checkpoint itself, or those of its architecture in the formats asked for; never one that does not exist."""
    if not precisions:
        return (own,)
    found = [_in(own, precision) for precision in dict.fromkeys(precisions)]
    return tuple(found)


def _in(own: ModelFacts, precision: Precision) -> ModelFacts:
    if own.precision is precision:
        return own
    relatives = list(_relatives(own))
    near = [each for each in relatives if each.precision is precision]
    if near:
        return max(near, key=lambda each: difflib.SequenceMatcher(None, own.model, each.model).ratio())
    there = ", ".join(sorted({str(each.precision) for each in (own, *relatives)}))
    cure = f"Ask for one of {there}, or name a checkpoint in {precision} by its own name, by --hub or --config"
    raise option_refused(
        field="--precision", value=precision, reason=f"no checkpoint of {own.model} in this format is known", cure=cure
    )


def _relatives(own: ModelFacts) -> Iterator[ModelFacts]:
    """Checkpoints of the same architecture, whatever their format."""
    for name in same_architecture(own.model) if built_in(own.model) else ():
        facts = built_in(name)
        if facts is not None and facts.model != own.model:
            yield facts
