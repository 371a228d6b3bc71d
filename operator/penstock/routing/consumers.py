"""Consumers as the table has them: known by the digest of their key, and allowed what their namespace has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from penstock.api.consumer import ConsumerLimits
from penstock.api.refusals import Refusal
from penstock.routing.inputs import ConsumerInput
from penstock.routing.levels import Levels
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason
from penstock_policy.table import Consumer

__all__ = ["BuiltConsumers", "consumers_of"]

_TEAM = "team"


@dataclass(frozen=True, slots=True)
class BuiltConsumers:
    """Sorted by name, and what is wrong with them."""

    consumers: tuple[Consumer, ...]
    problems: tuple[Problem, ...]


def consumers_of(
    admitted: Sequence[ConsumerInput], *, keys: Mapping[str, str], routes: Mapping[str, frozenset[str]], levels: Levels
) -> BuiltConsumers:
    """`admitted` has the older first; `routes` are the attached ones of each namespace."""
    holders: dict[str, ConsumerInput] = {}
    for consumer in admitted:
        if consumer.key in keys:
            holders.setdefault(keys[consumer.key], consumer)
    problems: list[Problem] = []
    for consumer in admitted:
        own = routes.get(consumer.namespace, frozenset())
        found = (*_key(consumer, keys, holders), *_unknown_level(consumer, levels), *_unknown_routes(consumer, own))
        problems += [finding.of(Kind.CONSUMER, consumer.key) for finding in found]
    built = [
        _consumer(consumer, digest, routes.get(consumer.namespace, frozenset()), levels)
        for digest, consumer in holders.items()
    ]
    return BuiltConsumers(tuple(sorted(built, key=lambda each: each.name)), tuple(problems))


def _consumer(consumer: ConsumerInput, digest: str, own: frozenset[str], levels: Levels) -> Consumer:
    spec, limits = consumer.spec, consumer.spec.limits or ConsumerLimits()
    # Names that lead nowhere leave an empty set, which allows nothing; only saying none allows all.
    named = own & {f"{consumer.namespace}/{reference.name}" for reference in spec.route_refs}
    return Consumer(
        name=consumer.key,
        key_sha256=digest,
        routes=named if spec.route_refs else frozenset({f"{consumer.namespace}/*"}),
        tier=spec.tier or "",
        team=consumer.labels.get(_TEAM, ""),
        sensitivity_floor=levels.floor(spec.sensitivity_floor),
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
    )


def _key(consumer: ConsumerInput, keys: Mapping[str, str], holders: Mapping[str, ConsumerInput]) -> Iterator[Finding]:
    reference = consumer.spec.key_secret_ref
    value = f"{reference.name}/{reference.key}"
    digest = keys.get(consumer.key)
    if digest is None:
        refusal = Refusal("spec.keySecretRef", value, "holds no key yet", "Wait until it is made, or put a key there")
        yield Finding(ProblemReason.KEY_MISSING, refusal, refuses=True)
    elif holders[digest] is not consumer:
        # The other's name stays out of it: it may be another namespace's, and would tell whose key this is.
        reason = "holds a key that an older Consumer of this gateway has"
        refusal = Refusal("spec.keySecretRef", value, reason, "Put a key of its own there")
        yield Finding(ProblemReason.KEY_TAKEN, refusal, refuses=True)


def _unknown_level(consumer: ConsumerInput, levels: Levels) -> Iterator[Finding]:
    floor = consumer.spec.sensitivity_floor
    if floor is not None and floor not in levels.names:
        reason = f"is none of the gateway's levels ({levels.told}), so its requests count as the highest"
        yield Finding(ProblemReason.LEVEL_UNKNOWN, Refusal("spec.sensitivityFloor", floor, reason, "Name one of them"))


def _unknown_routes(consumer: ConsumerInput, own: frozenset[str]) -> Iterator[Finding]:
    for position, reference in enumerate(consumer.spec.route_refs):
        if f"{consumer.namespace}/{reference.name}" not in own:
            reason = f"namespace '{consumer.namespace}' has no Route of this name on the gateway"
            refusal = Refusal(f"spec.routeRefs[{position}].name", reference.name, reason, "Make it, or remove the name")
            yield Finding(ProblemReason.ROUTE_NOT_FOUND, refusal)
