"""ModelProvider: a hosted API, its models and their prices."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from penstock.api import patterns
from penstock.api.backends import ProviderModelName
from penstock.api.conditions import Status
from penstock.api.integers import Count
from penstock.api.markers import as_set, atomic, map_by
from penstock.api.meta import Model, Resource
from penstock.api.references import (
    AllowedRoutes,
    Country,
    Currency,
    DecimalString,
    SecretKeyReference,
    SensitivityLevel,
)
from penstock.api.rules import Rule, rules

__all__ = [
    "DeprecationStatus",
    "ModelProvider",
    "ModelProviderSpec",
    "ModelProviderStatus",
    "ProvidedModel",
    "ProviderType",
    "TokenPrice",
]


class ProviderType(StrEnum):
    """Whose API it is; clients must tolerate new values."""

    ANTHROPIC = "Anthropic"
    AZURE_OPENAI = "AzureOpenAI"
    BEDROCK = "Bedrock"
    FIREWORKS = "Fireworks"
    GROQ = "Groq"
    MISTRAL = "Mistral"
    OPENAI = "OpenAI"
    OPENAI_COMPATIBLE = "OpenAICompatible"
    OPENROUTER = "OpenRouter"
    TOGETHER = "Together"
    VERTEX = "Vertex"


class TokenPrice(Model):
    """What tokens cost."""

    per_million_input_tokens: DecimalString
    """The price of a million prompt tokens, a decimal string."""
    per_million_output_tokens: DecimalString | None = None
    """The price of a million answer tokens; left out: the model answers with none, as embeddings do."""
    currency: Currency = "USD"
    """Its currency by ISO 4217."""


class ProvidedModel(Model):
    """One model of the provider."""

    name: ProviderModelName
    """The name by which Routes refer to it."""
    provider_model: ProviderModelName
    """The name by which the provider knows it."""
    context_tokens: Annotated[int, Field(ge=256, le=20_000_000)] | None = None
    """The longest request in tokens; left out: unknown."""
    price: TokenPrice | None = None
    """What its tokens cost; left out: unknown, which passes no price constraint."""
    deprecation_time: AwareDatetime | None = None
    """When the provider ends it; left out: not announced."""


_NEEDS_URL = (ProviderType.OPENAI_COMPATIBLE, ProviderType.AZURE_OPENAI)


@rules(
    Rule(
        cel="!(self.type in ['OpenAICompatible', 'AzureOpenAI']) || has(self.url)",
        field="url",
        reason="is required when `type` is 'OpenAICompatible' or 'AzureOpenAI'",
        cure="Give the API's base URL, such as https://llm.example.internal/v1",
        holds=lambda self: self.type not in _NEEDS_URL or self.url is not None,
    )
)
class ModelProviderSpec(Model):
    """What the platform team says about a hosted API."""

    type: ProviderType
    """Whose API it is."""
    url: Annotated[str, Field(min_length=1, max_length=255, pattern=patterns.HTTP_URL.regex)] | None = None
    """The API's base URL; left out: the provider's own."""
    credentials_ref: SecretKeyReference
    """The Secret's key with the API key."""
    countries: Annotated[tuple[Country, ...], Field(max_length=64), as_set()] = ()
    """Countries by ISO 3166 in which it processes; left out: unknown, which passes no jurisdiction."""
    max_sensitivity: SensitivityLevel | None = None
    """The most sensitive requests that may go there; left out: the gateway's lowest level."""
    models: Annotated[tuple[ProvidedModel, ...], Field(min_length=1, max_length=64), map_by("name")]
    """The models that Routes may use."""
    allowed_routes: AllowedRoutes | None = None
    """Whose Routes may use it; left out: this namespace's."""


class DeprecationStatus(Model):
    """A model that the provider ends soon, or has ended."""

    model: ProviderModelName
    """The name by which Routes refer to it."""
    deprecation_time: AwareDatetime
    """When the provider ends it."""
    routes: Annotated[tuple[Annotated[str, Field(max_length=127)], ...], Field(max_length=16), atomic()] = ()
    """Routes that use it, as namespace/name; the first 16."""
    route_count: Count = 0
    """How many Routes use it."""


class ModelProviderStatus(Status):
    """What the operator and the gateways' tables say of it."""

    deprecations: Annotated[tuple[DeprecationStatus, ...], Field(max_length=64), map_by("model")] = ()
    """Models that end within 90 days or have ended, the next first."""


class ModelProvider(Resource):
    """A hosted API, its models and their prices."""

    kind_name: ClassVar[str] = "ModelProvider"

    spec: ModelProviderSpec
    """What the platform team says about the API."""
    status: ModelProviderStatus = ModelProviderStatus()
    """What the operator and the gateways' tables say of it."""
