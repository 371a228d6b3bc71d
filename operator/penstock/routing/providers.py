"""Hosted APIs: what each type speaks and where, and which ModelProviders cannot be used at all.

A new type is one line in `_INTERFACES`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from penstock.api.modelprovider import ModelProviderSpec, ProviderType
from penstock.api.refusals import Refusal
from penstock.catalogue.blocs import countries_of
from penstock.routing.levels import Levels
from penstock.routing.problems import Finding, ProblemReason
from penstock_policy.table import Protocol

__all__ = ["Interface", "base_url", "interface_of", "misstatements", "unusable"]

_OPENAI_OPERATIONS = ("chat/completions", "completions", "embeddings", "responses")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_VERSION = re.compile(r"v[0-9][0-9a-z]*")


@dataclass(frozen=True, slots=True)
class Interface:
    """How a type of provider is spoken to; `url` without `/v1`, empty where each has its own."""

    protocol: Protocol
    url: str
    operations: tuple[str, ...]


_INTERFACES: Mapping[ProviderType, Interface] = {
    ProviderType.ANTHROPIC: Interface("Anthropic", "https://api.anthropic.com", ("chat/completions", "messages")),
    ProviderType.MISTRAL: Interface("mistral", "https://api.mistral.ai", ("chat/completions", "embeddings")),
    ProviderType.OPENAI: Interface("OpenAI", "https://api.openai.com", _OPENAI_OPERATIONS),
    ProviderType.OPENAI_COMPATIBLE: Interface("OpenAI", "", _OPENAI_OPERATIONS),
}


def interface_of(kind: ProviderType) -> Interface:
    """How it is spoken to; only of a provider that can be used."""
    return _INTERFACES[kind]


def base_url(spec: ModelProviderSpec) -> str:
    """Where it answers, without `/v1`; only of a provider that can be used."""
    interface = _INTERFACES[spec.type]
    if spec.url is None:
        return interface.url
    parts = urlsplit(spec.url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"


def unusable(spec: ModelProviderSpec, gateway_addresses: Iterable[str]) -> Finding | None:
    """Why nothing may be sent there; None where it can be used."""
    if spec.type not in _INTERFACES:
        cure = f"Use one of {', '.join(sorted(_INTERFACES))}"
        refusal = Refusal("spec.type", spec.type, "is not acted on by this release", cure)
        return Finding(ProblemReason.NOT_SUPPORTED, refusal, refuses=True)
    return None if spec.url is None else _unusable_url(spec.url, gateway_addresses)


def _unusable_url(url: str, gateway_addresses: Iterable[str]) -> Finding | None:
    flaw = _flaw(url)
    if flaw is not None:
        refusal = Refusal("spec.url", _without_user(url), flaw, "Give the API's base URL as https://<host>/v1")
        return Finding(ProblemReason.URL_INVALID, refusal, refuses=True)
    if _origin(urlsplit(url)) in {_origin(urlsplit(address)) for address in gateway_addresses}:
        cure = "Give the provider's own address, or refer to the deployments themselves"
        refusal = Refusal("spec.url", url, "is the gateway itself, so a request would go round for ever", cure)
        return Finding(ProblemReason.LOOP, refusal, refuses=True)
    return None


def _flaw(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return "is not a URL that can be called"
    if "@" in parts.netloc:
        return "holds a user or a password, which every gateway replica would read"
    if "?" in url or "#" in url:
        return "has a query or a fragment, and paths are added to it"
    last = parts.path.rstrip("/").rpartition("/")[2]
    if _VERSION.fullmatch(last) and last != "v1":
        return f"ends in {last}, and only v1 is spoken"
    return None


def _without_user(url: str) -> str:
    """The URL for a message; a password never reaches one."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://...@{rest.rpartition('@')[2]}" if "@" in rest else url


def _origin(parts: SplitResult) -> tuple[str, int | None]:
    """Host and port, whatever their spelling."""
    return ((parts.hostname or "").rstrip("."), parts.port or _DEFAULT_PORTS.get(parts.scheme))


def misstatements(spec: ModelProviderSpec, levels: Levels, currency: str) -> Iterator[Finding]:
    """What is read in its strictest sense: an unknown level, something that is no country, prices that do not compare.

    The provider can be used all the same.
    """
    if spec.max_sensitivity is not None and spec.max_sensitivity not in levels.names:
        reason = f"is none of the gateway's levels ({levels.told}), so only requests of the lowest may go there"
        refusal = Refusal("spec.maxSensitivity", spec.max_sensitivity, reason, "Name one of them")
        yield Finding(ProblemReason.LEVEL_UNKNOWN, refusal)
    for position, code in enumerate(spec.countries):
        if countries_of(code) != frozenset({code}):
            cure = "Name the countries themselves by their two letters"
            refusal = Refusal(f"spec.countries[{position}]", code, "is no country, so no jurisdiction admits it", cure)
            yield Finding(ProblemReason.COUNTRY_UNKNOWN, refusal)
    for position, model in enumerate(spec.models):
        if model.price is not None and model.price.currency != currency:
            reason = f"is not {currency}, so the price passes no ceiling"
            cure = f"State the price in {currency}"
            refusal = Refusal(f"spec.models[{position}].price.currency", model.price.currency, reason, cure)
            yield Finding(ProblemReason.PRICE_NOT_COMPARABLE, refusal)
