"""Who takes part in a gateway: the Routes, Consumers and ModelProviders whose namespace its owner admits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from penstock.api.refusals import Refusal
from penstock.routing.consent import admits
from penstock.routing.inputs import ConsumerInput, Gateway, Inputs, ProviderInput, RouteInput
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason

__all__ = ["Admitted", "Attachment", "admit"]

AskerT = TypeVar("AskerT", RouteInput, ProviderInput, ConsumerInput)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A resource (`name` is `namespace/name`) that asks to take part, and whether the gateway admits it."""

    kind: Kind
    name: str
    admitted: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """Those that take part, the older first, and what is said about everybody who asked."""

    routes: tuple[RouteInput, ...]
    consumers: tuple[ConsumerInput, ...]
    providers: tuple[ProviderInput, ...]
    attachments: tuple[Attachment, ...]
    problems: tuple[Problem, ...]


def admit(inputs: Inputs) -> Admitted:
    """Sort everybody who asks; Routes and Consumers of another gateway do not ask."""
    gateway = inputs.gateway
    routes = _asking(gateway, Kind.ROUTE, [each for each in inputs.routes if _named(gateway, each)])
    providers = _asking(gateway, Kind.PROVIDER, inputs.providers)
    consumers = _asking(gateway, Kind.CONSUMER, [each for each in inputs.consumers if _named(gateway, each)])
    return Admitted(
        routes=routes.admitted,
        consumers=consumers.admitted,
        providers=providers.admitted,
        attachments=(*routes.attachments, *providers.attachments, *consumers.attachments),
        problems=(*routes.problems, *providers.problems, *consumers.problems),
    )


def _named(gateway: Gateway, asker: RouteInput | ConsumerInput) -> bool:
    reference = asker.spec.gateway_ref
    return (reference.namespace or asker.namespace, reference.name) == (gateway.namespace, gateway.name)


@dataclass(frozen=True, slots=True)
class _Asking(Generic[AskerT]):
    """Those of one kind that ask, the older first."""

    gateway: Gateway
    kind: Kind
    all_of: tuple[AskerT, ...]

    @property
    def admitted(self) -> tuple[AskerT, ...]:
        """Those that take part."""
        return tuple(each for each in self.all_of if self._is_admitted(each))

    @property
    def attachments(self) -> Iterator[Attachment]:
        """What each is told."""
        return (Attachment(self.kind, each.key, self._is_admitted(each)) for each in self.all_of)

    @property
    def problems(self) -> Iterator[Problem]:
        """Of those that do not take part."""
        return (self._problem(each) for each in self.all_of if not self._is_admitted(each))

    def _is_admitted(self, asker: AskerT) -> bool:
        gateway, labels = self.gateway, asker.namespace_labels
        return admits(gateway.spec.allowed_routes, owner=gateway.namespace, namespace=asker.namespace, labels=labels)

    def _problem(self, asker: AskerT) -> Problem:
        field = "metadata.namespace" if self.kind is Kind.PROVIDER else "spec.gatewayRef.name"
        value = asker.namespace if self.kind is Kind.PROVIDER else self.gateway.key
        reason = f"the gateway {self.gateway.key} does not admit namespace '{asker.namespace}'"
        cure = "Have its owner admit the namespace in `spec.allowedRoutes`"
        finding = Finding(ProblemReason.NOT_ADMITTED, Refusal(field, value, reason, cure), refuses=True)
        return finding.of(self.kind, asker.key)


def _asking(gateway: Gateway, kind: Kind, all_of: Iterable[AskerT]) -> _Asking[AskerT]:
    return _Asking(gateway, kind, tuple(sorted(all_of, key=lambda each: each.seniority)))
