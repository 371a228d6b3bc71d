"""The group, the base of every model, and the metadata that Penstock reads."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from penstock.api import patterns
from penstock.api.rules import Rule

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "DNSLabel",
    "DNSSubdomain",
    "Model",
    "ObjectMeta",
    "Resource",
]

GROUP = "penstock.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DNSLabel = Annotated[str, Field(max_length=63, pattern=patterns.DNS_LABEL.regex)]
DNSSubdomain = Annotated[str, Field(max_length=253, pattern=patterns.DNS_SUBDOMAIN.regex)]


class Model(BaseModel):
    """The base of every API type: frozen, camelCase outside, unknown fields pruned as the API server does."""

    RULES: ClassVar[tuple[Rule, ...]] = ()

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class ObjectMeta(Model):
    """The part of `metadata` that Penstock reads."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Resource(Model):
    """A custom resource: what every kind shares."""

    kind_name: ClassVar[str]

    api_version: str = API_VERSION
    kind: str = ""
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
