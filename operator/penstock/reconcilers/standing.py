"""How a Route or a Consumer stands with the gateway that it names; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from penstock.api.conditions import STALLED
from penstock.api.refusals import Refusal
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.verdicts import Verdict
from penstock.routing.problems import Problem

__all__ = ["Standing", "is_answered", "joined", "outside"]

_OF_EVERY_KIND = frozenset({"Accepted", "Ready", STALLED})


@dataclass(frozen=True, slots=True)
class Standing:
    """`gateway` is `namespace/name`, `found`: it is there, `has_table`: its table was made since this process began.

    `unwatched` says why it is not found where its namespace is not looked at. `problems` are those of the resource in
    that table.
    """

    gateway: str
    found: bool = True
    has_table: bool = True
    unwatched: Refusal | None = None
    problems: tuple[Problem, ...] = ()


def outside(custom: Custom[Any], standing: Standing) -> Verdict | None:
    """Why the gateway's table cannot have it; None where it can."""
    if custom.parsed is None or custom.refusals:
        return Verdict("Accepted", holds=False, reason="Invalid", message=joined(custom.refusals))
    if not standing.found:
        cure = "Make it, or correct the reference"
        missing = Refusal("spec.gatewayRef.name", standing.gateway, "there is no InferenceGateway of this name", cure)
        refusal = standing.unwatched or missing
        return Verdict("Accepted", holds=False, reason="GatewayNotFound", message=str(refusal))
    if not standing.has_table:
        return Verdict("Accepted", holds=None, reason="Pending", message=f"{standing.gateway} has made no table yet")
    return None


def is_answered(custom: Custom[Any]) -> bool:
    """Whether its status answers the spec as it is: then it is worth more than Pending, after a restart say.

    What a release wrote that did not act on the kind is no answer.
    """
    told = {each.get("type") for each in custom.status.get("conditions", ())} - _OF_EVERY_KIND
    return bool(told) and custom.parsed is not None and custom.status.get("observedGeneration") == custom.generation


def joined(told: Iterable[Problem | Refusal]) -> str:
    """All of it for a condition's message, each thing once."""
    return " ".join(dict.fromkeys(str(each) for each in told))
