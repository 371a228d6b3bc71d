"""What Routes and Budgets send requests to: a deployment of our own, or a hosted model."""

from typing import Annotated

from pydantic import Field

from penstock.api import patterns
from penstock.api.meta import DNSLabel, Model
from penstock.api.rules import Rule, rules

__all__ = ["Backend", "DeploymentReference", "GatewayReference", "ProviderReference", "WeightedBackend"]

ProviderModelName = Annotated[str, Field(min_length=1, max_length=100, pattern=patterns.FREE_NAME.regex)]


class GatewayReference(Model):
    """An InferenceGateway; it must admit this namespace when it stands in another."""

    name: DNSLabel
    """The InferenceGateway's name."""
    namespace: DNSLabel | None = None
    """Its namespace; left out: this one."""


class DeploymentReference(Model):
    """A ModelDeployment; it must admit this namespace when it stands in another."""

    name: DNSLabel
    """The ModelDeployment's name."""
    namespace: DNSLabel | None = None
    """Its namespace; left out: this one."""


class ProviderReference(Model):
    """One model of a ModelProvider; it must admit this namespace when it stands in another."""

    name: DNSLabel
    """The ModelProvider's name."""
    namespace: DNSLabel | None = None
    """Its namespace; left out: this one."""
    model: ProviderModelName
    """The model's `name` in the ModelProvider."""


@rules(
    Rule(
        cel="has(self.deploymentRef) != has(self.providerRef)",
        field="",
        reason="must have exactly one of `deploymentRef` and `providerRef`",
        cure="Keep one; write the other as a backend of its own",
        holds=lambda self: (self.deployment_ref is None) != (self.provider_ref is None),
    )
)
class Backend(Model):
    """Where requests go: exactly one of its references."""

    deployment_ref: DeploymentReference | None = None
    """A deployment of our own."""
    provider_ref: ProviderReference | None = None
    """A hosted model."""


class WeightedBackend(Backend):
    """A backend and its share."""

    weight: Annotated[int, Field(ge=0, le=1000)] = 1
    """Its share of the requests, relative to the other backends' weights."""
