"""The routing table of one gateway, from everything that was gathered for it; what is wrong is told, the rest goes on.

The same inputs, in whatever order, give the same bytes of `penstock_policy.wire.encode`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock.api.refusals import Refusal
from penstock.routing.admission import Admitted, Attachment, admit
from penstock.routing.backends import Entries, Entry, Idle
from penstock.routing.consumers import BuiltConsumers, consumers_of
from penstock.routing.inputs import Inputs, RouteInput
from penstock.routing.levels import Levels
from penstock.routing.names import Names, assign
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason
from penstock.routing.providers import misstatements
from penstock.routing.rules import BuiltRoute, RuleBook
from penstock.routing.supply import Supply, supply_of
from penstock_policy.table import Route, Table

__all__ = ["Built", "build_table"]


@dataclass(frozen=True, slots=True)
class Built:
    """The table, what is wrong, who was admitted, and why backends (by the table's name) have no endpoints."""

    table: Table
    problems: tuple[Problem, ...]
    attachments: tuple[Attachment, ...]
    idle: Mapping[str, Idle]


def build_table(inputs: Inputs, generation: int) -> Built:
    """The table of that generation; what users wrote never makes it fail."""
    parts = _parts(inputs)
    idle = {entry.backend.name: entry.idle for entry in parts.entries if entry.idle is not None}
    return Built(
        table=_table(inputs, parts, generation),
        problems=tuple(_problems(inputs, parts)),
        attachments=parts.admitted.attachments,
        idle=idle,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a table is put together from; `routes` by `namespace/name`."""

    levels: Levels
    admitted: Admitted
    supply: Supply
    blocked: Finding | None
    names: Names
    routes: Mapping[str, BuiltRoute]
    entries: tuple[Entry, ...]
    consumers: BuiltConsumers
    unread: tuple[Problem, ...]
    """What deployments say that this gateway cannot read."""


def _parts(inputs: Inputs) -> _Parts:
    levels, admitted = Levels(inputs.gateway.spec.sensitivity_levels), admit(inputs)
    supply, blocked = supply_of(inputs, admitted), _guardrails(inputs)
    book = RuleBook(supply, levels, inputs.currency, blocked)
    routes = {route.key: book.of(route) for route in admitted.routes}
    named = {name: source for built in routes.values() for name, source in built.sources.items()}
    sources = [named[name] for name in sorted(named)]
    maker = Entries(levels, inputs.currency, inputs.credentials)
    own = _by_namespace(admitted.routes)
    return _Parts(
        levels=levels,
        admitted=admitted,
        supply=supply,
        blocked=blocked,
        names=assign(inputs.gateway, admitted.routes),
        routes=routes,
        entries=tuple(maker.of(source) for source in sources),
        consumers=consumers_of(admitted.consumers, keys=inputs.keys, routes=own, levels=levels),
        unread=tuple(maker.problems(sources)),
    )


def _table(inputs: Inputs, parts: _Parts, generation: int) -> Table:
    needed = any(entry.backend.credential for entry in parts.entries)
    return Table(
        gateway=inputs.gateway.key,
        generation=generation,
        levels=parts.levels.names,
        # A replica waits for this version, so it is asked for only where something of it is used.
        credential_version=inputs.credentials.version if needed else "",
        currency=inputs.currency,
        routes=tuple(Route(key, parts.names.of[key], built.rules) for key, built in parts.routes.items()),
        backends=tuple(entry.backend for entry in parts.entries),
        consumers=parts.consumers.consumers,
    )


def _problems(inputs: Inputs, parts: _Parts) -> Iterator[Problem]:
    if parts.blocked is not None:
        yield parts.blocked.of(Kind.GATEWAY, inputs.gateway.key)
    yield from parts.admitted.problems
    yield from _of_providers(parts, inputs.currency)
    yield from parts.unread
    yield from parts.names.problems
    for built in parts.routes.values():
        yield from built.problems
    yield from parts.consumers.problems


def _guardrails(inputs: Inputs) -> Finding | None:
    """Every request was to pass them, so as long as nothing does, nothing is answered."""
    guardrails = inputs.gateway.spec.guardrails
    if not guardrails:
        return None
    named = ", ".join(guardrail.name for guardrail in guardrails)
    refusal = Refusal("spec.guardrails", named, "is not acted on by this release", "Remove them")
    return Finding(ProblemReason.NOT_SUPPORTED, refusal, refuses=True)


def _of_providers(parts: _Parts, currency: str) -> Iterator[Problem]:
    for provider in parts.admitted.providers:
        unusable = parts.supply.unusable.get(provider.key)
        found = misstatements(provider.spec, parts.levels, currency)
        for finding in found if unusable is None else (unusable, *found):
            yield finding.of(Kind.PROVIDER, provider.key)


def _by_namespace(routes: tuple[RouteInput, ...]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for route in routes:
        found.setdefault(route.namespace, set()).add(route.key)
    return {namespace: frozenset(keys) for namespace, keys in found.items()}
