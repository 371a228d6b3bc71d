"""Model names: who may claim which, and who has it where two do.

Every Route has `<its namespace>/<name>`; nobody else ever has a name of that form before it. A bare name is free in
the gateway's namespace and by the gateway's grant elsewhere. Of two claims of one kind the older Route's holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from penstock.api.refusals import Refusal
from penstock.routing.inputs import Gateway, RouteInput
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason

__all__ = ["Names", "assign"]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of each Route (`namespace/name`), and what it did not get."""

    of: Mapping[str, tuple[str, ...]]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Claim:
    """A name that a Route claims, by the entry of its `modelNames` at `position`."""

    name: str
    route: RouteInput
    position: int
    own: bool


def assign(gateway: Gateway, routes: Sequence[RouteInput]) -> Names:
    """Decide all claims; `routes` are those that the gateway admits."""
    ordered = sorted(routes, key=lambda route: route.seniority)
    granted = {grant.namespace: frozenset(grant.names) for grant in gateway.spec.model_name_grants}
    claims = [claim for route in ordered for claim in _claims(gateway, granted, route)]
    holders: dict[str, _Claim] = {}
    for claim in sorted(claims, key=lambda claim: not claim.own):
        holders.setdefault(claim.name, claim)
    names: dict[str, set[str]] = {route.key: set() for route in ordered}
    for name, holder in holders.items():
        names[holder.route.key].add(name)
    problems = [problem for route in ordered for problem in _ungranted(gateway, granted, route)]
    return Names({key: tuple(sorted(held)) for key, held in names.items()}, (*problems, *_taken(claims, holders)))


def _claims(gateway: Gateway, granted: Mapping[str, frozenset[str]], route: RouteInput) -> Iterator[_Claim]:
    for position, name in enumerate(route.spec.model_names):
        if _is_own(route, name):
            yield _Claim(name, route, position, own=True)
            continue
        yield _Claim(f"{route.namespace}/{name}", route, position, own=True)
        if _is_granted(gateway, granted, route, name):
            yield _Claim(name, route, position, own=False)


def _is_own(route: RouteInput, name: str) -> bool:
    return name.startswith(f"{route.namespace}/")


def _is_granted(gateway: Gateway, granted: Mapping[str, frozenset[str]], route: RouteInput, name: str) -> bool:
    return route.namespace == gateway.namespace or name in granted.get(route.namespace, ())


def _ungranted(gateway: Gateway, granted: Mapping[str, frozenset[str]], route: RouteInput) -> Iterator[Problem]:
    for position, name in enumerate(route.spec.model_names):
        if _is_own(route, name) or _is_granted(gateway, granted, route, name):
            continue
        reason = f"is not granted to namespace '{route.namespace}' by InferenceGateway {gateway.key}"
        cure = f"Call it '{route.namespace}/{name}', or have the name added to the gateway's `modelNameGrants`"
        refusal = Refusal(f"spec.modelNames[{position}]", name, reason, cure)
        yield Finding(ProblemReason.NAME_NOT_GRANTED, refusal).of(Kind.ROUTE, route.key)


def _taken(claims: Sequence[_Claim], holders: Mapping[str, _Claim]) -> Iterator[Problem]:
    for claim in claims:
        holder = holders[claim.name]
        if holder.route is claim.route:
            continue
        why = "whose own name it is" if holder.own and not claim.own else "which is older"
        refusal = Refusal(
            f"spec.modelNames[{claim.position}]",
            claim.name,
            f"belongs to Route {holder.route.key}, {why}",
            "Choose another name, or remove it there",
        )
        yield Finding(ProblemReason.NAME_TAKEN, refusal).of(Kind.ROUTE, claim.route.key)
