"""The status of a ModelProvider: its key, what gateways make of it, and which of its models end soon; pure.

A model that ends is told once when it comes near and once when it has ended, with its time and not with days to go.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock.api.conditions import ConditionStatus, find_condition
from penstock.api.modelprovider import DeprecationStatus, ModelProvider, ModelProviderSpec, ModelProviderStatus
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.secrets import KeyFact, unusable_key
from penstock.reconcilers.standing import is_answered, joined
from penstock.reconcilers.verdicts import Verdict, ready, status_of
from penstock.routing.problems import Kind, Problem, ProblemReason
from penstock.routing.providers import unusable

__all__ = ["ProviderSeen", "provider_status", "seconds_until_deprecation"]

_NEAR = timedelta(days=90)
_MOST_ROUTES = 16


@dataclass(frozen=True, slots=True)
class ProviderSeen:
    """What is known of a provider.

    `problems` are its own by gateway (`namespace/name`), with an entry for each gateway that has made a table. `key` is
    None until somebody has looked. `used_by` are the Routes (`namespace/name`) that use each of its models.
    """

    problems: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    key: KeyFact | None = None
    used_by: Mapping[str, Collection[str]] = field(default_factory=dict)


def provider_status(custom: Custom[ModelProvider], seen: ProviderSeen, *, now: datetime) -> dict[str, Any]:
    """The whole status as it is to be applied."""
    old = ModelProviderStatus.model_validate(custom.status)
    # Where no gateway has made a table, as after a restart, what gateways made of it is as it was.
    kept = old if not seen.problems and is_answered(custom) else ModelProviderStatus()
    accepted, resolved = _accepted(custom, seen, kept), _resolved(seen.key)
    known = {each.model: each for each in kept.deprecations}
    ending = tuple(known.get(each.model, each) for each in _deprecations(custom, seen, now))
    used = [_ending(each, now) for each in ending if each.route_count]
    verdict = ready((accepted, resolved), " ".join(used), "ModelsEnding" if used else "Ready")
    status = ModelProviderStatus(deprecations=ending)
    own = {"conditions", "observed_generation"}
    fields = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=own)
    return status_of(custom, (accepted, resolved, verdict), now, **fields)


def seconds_until_deprecation(spec: ModelProviderSpec, now: datetime) -> float | None:
    """Until its status says something else of a model, in seconds; None where nothing is announced any more."""
    times = (model.deprecation_time for model in spec.models if model.deprecation_time is not None)
    moments = (moment for time in times for moment in (time - _NEAR, time) if moment > now)
    return min(((moment - now).total_seconds() for moment in moments), default=None)


def _accepted(custom: Custom[ModelProvider], seen: ProviderSeen, kept: ModelProviderStatus) -> Verdict:
    if custom.parsed is None or custom.refusals:
        return Verdict("Accepted", holds=False, reason="Invalid", message=joined(custom.refusals))
    own = unusable(custom.parsed.spec, ())
    if own is not None:
        told = own.of(Kind.PROVIDER, f"{custom.namespace}/{custom.name}")
        return Verdict("Accepted", holds=False, reason=told.reason, message=str(told))
    before = find_condition(kept.conditions, "Accepted")
    if before is not None and before.status is ConditionStatus.TRUE:
        return Verdict("Accepted", holds=True, reason=before.reason, message=before.message)
    return _by_gateways([seen.problems[name] for name in sorted(seen.problems)])


def _by_gateways(told: list[tuple[Problem, ...]]) -> Verdict:
    """A provider names no gateway: those that do not admit it are of no account beside one that does."""
    admitting = [problems for problems in told if not any(_is_outsider(each) for each in problems)]
    if told and not admitting:
        return Verdict("Accepted", holds=False, reason=told[0][0].reason, message=joined(told[0]))
    found = [each for problems in admitting for each in problems]
    if found and all(any(each.refuses for each in problems) for problems in admitting):
        refusing = [each for each in found if each.refuses]
        return Verdict("Accepted", holds=False, reason=refusing[0].reason, message=joined(refusing))
    return Verdict("Accepted", holds=True, reason="PartlyAccepted" if found else "Accepted", message=joined(found))


def _is_outsider(problem: Problem) -> bool:
    return problem.reason is ProblemReason.NOT_ADMITTED


def _resolved(key: KeyFact | None) -> Verdict:
    if key is None:
        message = "Nobody has looked at its Secret yet"
        return Verdict("CredentialsResolved", holds=None, reason="Pending", message=message)
    if key.reason:
        message = unusable_key("spec.credentialsRef", key)
        return Verdict("CredentialsResolved", holds=False, reason=key.reason, message=message)
    return Verdict("CredentialsResolved", holds=True, reason="Found")


def _deprecations(custom: Custom[ModelProvider], seen: ProviderSeen, now: datetime) -> Iterator[DeprecationStatus]:
    """The next first."""
    models = custom.parsed.spec.models if custom.parsed else ()
    announced = [(model.deprecation_time, model.name) for model in models if model.deprecation_time is not None]
    for time, name in sorted(announced):
        if time - _NEAR <= now:
            routes = sorted(seen.used_by.get(name, ()))
            yield DeprecationStatus(
                model=name, deprecation_time=time, routes=tuple(routes[:_MOST_ROUTES]), route_count=len(routes)
            )


def _ending(each: DeprecationStatus, now: datetime) -> str:
    verb = "ends" if each.deprecation_time > now else "ended"
    routes = "1 Route uses it" if each.route_count == 1 else f"{each.route_count} Routes use it"
    return f"'{each.model}' {verb} on {each.deprecation_time:%Y-%m-%d}, and {routes}."
