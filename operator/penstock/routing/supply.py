"""What Routes can be answered by, and where each of their references leads.

Across namespaces, what is not there and what does not consent read the same, so that nobody learns what others have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from penstock.api.backends import Backend as Reference
from penstock.api.backends import DeploymentReference, ProviderReference
from penstock.api.modelprovider import ProvidedModel
from penstock.api.refusals import Refusal
from penstock.routing.admission import Admitted
from penstock.routing.consent import admits
from penstock.routing.inputs import Deployment, Inputs, ProviderInput, RouteInput
from penstock.routing.problems import Finding, Kind, ProblemReason
from penstock.routing.providers import unusable

__all__ = ["Hosted", "Source", "Supply", "supply_of"]


@dataclass(frozen=True, slots=True)
class Hosted:
    """One model of a provider that can be used."""

    provider: ProviderInput
    model: ProvidedModel

    @property
    def backend_name(self) -> str:
        """What the table calls it."""
        return f"provider/{self.provider.key}/{self.model.name}"


Source = Deployment | Hosted


@dataclass(frozen=True, slots=True)
class Supply:
    """Deployments and providers by `namespace/name`, and why some providers cannot be used.

    `watched` are the namespaces that it knows anything of, None: all.
    """

    deployments: Mapping[str, Deployment]
    providers: Mapping[str, ProviderInput]
    unusable: Mapping[str, Finding]
    watched: tuple[str, ...] | None = None

    def find(self, route: RouteInput, reference: Reference, place: str) -> Source | Finding:
        """What the reference at `place` leads to, or why it leads nowhere."""
        if reference.deployment_ref is not None:
            return self._deployment(_Wanted.of(route, reference.deployment_ref, f"{place}.deploymentRef"))
        if reference.provider_ref is not None:
            wanted = _Wanted.of(route, reference.provider_ref, f"{place}.providerRef")
            return self._hosted(wanted, reference.provider_ref.model)
        message = f"{place} refers to nothing, which no schema lets through"
        raise ValueError(message)

    def _deployment(self, wanted: "_Wanted") -> Deployment | Finding:
        deployment = self.deployments.get(wanted.key)
        return self._missing(wanted) if deployment is None or not wanted.may_use(deployment) else deployment

    def _hosted(self, wanted: "_Wanted", model: str) -> Hosted | Finding:
        provider = self.providers.get(wanted.key)
        if provider is None or not wanted.may_use(provider):
            return self._missing(wanted)
        if provider.key in self.unusable:
            return wanted.unusable(self.unusable[provider.key])
        provided = next((each for each in provider.spec.models if each.name == model), None)
        return wanted.no_model(provider, model) if provided is None else Hosted(provider, provided)

    def _missing(self, wanted: "_Wanted") -> Finding:
        unseen = self.watched is not None and wanted.namespace not in self.watched
        return wanted.unwatched if unseen else wanted.missing


def supply_of(inputs: Inputs, admitted: Admitted) -> Supply:
    """Everything that Routes could refer to."""
    outsiders = {problem.name: problem for problem in admitted.problems if problem.kind is Kind.PROVIDER}
    out = {name: Finding(problem.reason, problem.refusal, refuses=True) for name, problem in outsiders.items()}
    found = ((each.key, unusable(each.spec, inputs.gateway.addresses)) for each in inputs.providers)
    return Supply(
        deployments={each.key: each for each in inputs.deployments},
        providers={each.key: each for each in inputs.providers},
        unusable={key: finding for key, finding in found if finding is not None} | out,
        watched=inputs.watched,
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A reference as a Route has it: what it names, and the field that names it."""

    route: RouteInput
    kind: Kind
    namespace: str
    name: str
    place: str

    @classmethod
    def of(cls, route: RouteInput, reference: DeploymentReference | ProviderReference, place: str) -> "_Wanted":
        """The namespace is the Route's own where none is given."""
        kind = Kind.PROVIDER if isinstance(reference, ProviderReference) else Kind.DEPLOYMENT
        return cls(route, kind, reference.namespace or route.namespace, reference.name, place)

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def may_use(self, owner: Deployment | ProviderInput) -> bool:
        """Consent is a matter between namespaces; inside one there is none to ask for."""
        if owner.namespace == self.route.namespace:
            return True
        allowed = owner.allowed_routes if isinstance(owner, Deployment) else owner.spec.allowed_routes
        labels = self.route.namespace_labels
        return admits(allowed, owner=owner.namespace, namespace=self.route.namespace, labels=labels)

    @property
    def missing(self) -> Finding:
        """It is not there, or not for this Route."""
        if self.namespace == self.route.namespace:
            reason = f"namespace '{self.namespace}' has no {self.kind} of this name"
            return self._finding(ProblemReason.BACKEND_NOT_FOUND, reason, "Make it, or correct the name")
        reason = f"namespace '{self.namespace}' has no {self.kind} of this name that admits '{self.route.namespace}'"
        cure = "Correct the name, or have its owner admit the namespace in `spec.allowedRoutes`"
        return self._finding(ProblemReason.BACKEND_NOT_PERMITTED, reason, cure)

    @property
    def unwatched(self) -> Finding:
        """Nobody knows whether it is there."""
        reason = f"the operator does not look at namespace '{self.namespace}'"
        cure = "List the namespace in the chart's value `watchNamespaces`"
        return self._finding(ProblemReason.BACKEND_NOT_FOUND, reason, cure)

    def unusable(self, finding: Finding) -> Finding:
        """It is there, and nothing may be sent to it."""
        refusal = finding.refusal
        reason = f"its own `{refusal.field}` says why nothing is sent to it: '{refusal.value}' {refusal.reason}"
        return self._finding(ProblemReason.BACKEND_UNUSABLE, reason, refusal.cure)

    def no_model(self, provider: ProviderInput, model: str) -> Finding:
        """It is there and has no such model."""
        offered = ", ".join(each.name for each in provider.spec.models)
        found = self._finding(ProblemReason.MODEL_NOT_FOUND, f"it has only {offered}", "Name one of these")
        return replace(found, refusal=replace(found.refusal, field=f"{self.place}.model", value=model))

    def _finding(self, reason: ProblemReason, words: str, cure: str) -> Finding:
        return Finding(reason, Refusal(f"{self.place}.name", self.key, words, cure))
