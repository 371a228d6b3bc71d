"""Entries of the table's backends: where each is, what may reach it, and why it has no endpoints while it has none."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from penstock.api.modelprovider import TokenPrice
from penstock.api.quantities import parse_decimal_micro
from penstock.api.refusals import Refusal
from penstock.routing.inputs import Credentials, Deployment, Revision
from penstock.routing.levels import Levels
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason
from penstock.routing.providers import base_url, interface_of
from penstock.routing.supply import Hosted, Source
from penstock_policy.table import Backend, Price

__all__ = ["Entries", "Entry", "Idle"]


class Idle(StrEnum):
    """Why a backend has no endpoints; clients must tolerate new values."""

    DRAINING = "Draining"
    NOT_SERVING = "NotServing"
    CREDENTIAL_UNKNOWN = "CredentialUnknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """A backend as the table has it; `idle` is None where it has endpoints."""

    backend: Backend
    idle: Idle | None = None


@dataclass(frozen=True, slots=True)
class Entries:
    """Makes entries for one gateway: its levels, the currency of its prices, the credentials that it has."""

    levels: Levels
    currency: str
    credentials: Credentials

    def of(self, source: Source) -> Entry:
        """The entry of a deployment, or of one model of a provider."""
        return self._deployment(source) if isinstance(source, Deployment) else self._hosted(source)

    def problems(self, sources: Iterable[Source]) -> Iterator[Problem]:
        """What deployments say that this gateway cannot read; providers speak for themselves."""
        for source in sources:
            if isinstance(source, Deployment) and self._is_unknown(source.max_sensitivity):
                reason = f"is none of the gateway's levels ({self.levels.told}), so only the lowest may come here"
                refusal = Refusal("spec.maxSensitivity", str(source.max_sensitivity), reason, "Name one of them")
                yield Finding(ProblemReason.LEVEL_UNKNOWN, refusal).of(Kind.DEPLOYMENT, source.key)

    def _is_unknown(self, level: str | None) -> bool:
        return level is not None and level not in self.levels.names

    def _deployment(self, deployment: Deployment) -> Entry:
        endpoints = () if deployment.draining else _endpoints(deployment.revisions)
        backend = Backend(
            name=deployment.backend_name,
            kind="Deployment",
            protocol="OpenAI",
            model=deployment.model,
            endpoints=endpoints,
            max_sensitivity=self.levels.clearance(deployment.max_sensitivity, default=self.levels.highest),
            countries=_countries(deployment.revisions),
            context_tokens=deployment.context_tokens,
            price=deployment.price,
        )
        if endpoints:
            return Entry(backend)
        return Entry(backend, Idle.DRAINING if deployment.draining else Idle.NOT_SERVING)

    def _hosted(self, hosted: Hosted) -> Entry:
        spec, interface = hosted.provider.spec, interface_of(hosted.provider.spec.type)
        credential = self.credentials.files.get(hosted.provider.key, "")
        backend = Backend(
            name=hosted.backend_name,
            kind="Provider",
            protocol=interface.protocol,
            model=hosted.model.provider_model,
            # Nothing is sent without the key, and the replicas are not asked to wait for a version that lacks it.
            endpoints=(base_url(spec),) if credential else (),
            max_sensitivity=self.levels.clearance(spec.max_sensitivity, default=0),
            countries=frozenset(spec.countries),
            operations=interface.operations,
            credential=credential,
            context_tokens=hosted.model.context_tokens,
            price=_price(hosted.model.price, self.currency),
        )
        return Entry(backend, None if credential else Idle.CREDENTIAL_UNKNOWN)


def _endpoints(revisions: Iterable[Revision]) -> tuple[str, ...]:
    return tuple(sorted({endpoint for each in revisions if each.serving for endpoint in each.endpoints}))


def _countries(revisions: Sequence[Revision]) -> frozenset[str]:
    """All of them: a request may land in each. One pool that states none leaves nothing known of the whole."""
    pools = [countries for revision in revisions for countries in revision.pools]
    return frozenset[str]().union(*pools) if all(pools) and all(each.pools for each in revisions) else frozenset()


def _price(price: TokenPrice | None, currency: str) -> Price | None:
    if price is None or price.currency != currency:
        return None
    answered = price.per_million_output_tokens
    return Price(parse_decimal_micro(price.per_million_input_tokens), parse_decimal_micro(answered) if answered else 0)
