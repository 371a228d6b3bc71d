"""Where a model's weights come from, in which precisions, and where they land."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from penstock.api import patterns
from penstock.api.formats import Precision
from penstock.api.meta import DNSSubdomain, Model
from penstock.api.references import ImageReference, QuantityString
from penstock.api.rules import Rule, rules

__all__ = [
    "HubSource",
    "ImageSource",
    "ModelMetadata",
    "ModelName",
    "ObjectStoreSource",
    "Revision",
    "Source",
    "SourceType",
    "Variant",
    "VolumeSource",
    "WeightCache",
    "Weights",
]

ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=patterns.MODEL.regex)]
Revision = Annotated[str, Field(min_length=1, max_length=100, pattern=patterns.REVISION.regex)]
VolumePath = Annotated[str, Field(max_length=255, pattern=patterns.VOLUME_PATH.regex)]


class SourceType(StrEnum):
    """Where the weights come from; the field of the same name says the rest."""

    HUB = "Hub"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    IMAGE = "Image"
    OBJECT_STORE = "ObjectStore"


class VolumeSource(Model):
    """Weights on a PersistentVolumeClaim of the same namespace."""

    claim_name: DNSSubdomain
    """The PersistentVolumeClaim's name."""
    path: VolumePath = ""
    """The checkpoint's folder inside the volume; left out: its root."""


class ImageSource(Model):
    """Weights in an OCI image, mounted as an image volume (Kubernetes 1.36)."""

    reference: ImageReference
    """The image; a digest pins it."""
    path: VolumePath = ""
    """The checkpoint's folder inside the image; left out: its root."""


class ObjectStoreSource(Model):
    """Weights in S3 or Google Cloud Storage, streamed by the engine's own loader."""

    url: Annotated[str, Field(max_length=1024, pattern=patterns.OBJECT_STORE_URL.regex)]
    """The checkpoint's folder, s3://bucket/path or gs://bucket/path."""
    endpoint: Annotated[str, Field(max_length=255, pattern=patterns.HTTP_URL.regex)] = ""
    """The S3 endpoint; left out: the cloud's own."""


class HubSource(Model):
    """The hub, or a mirror of it."""

    mirror_url: Annotated[str, Field(alias="mirrorURL", max_length=255, pattern=patterns.HTTP_URL.regex)] = ""
    """A mirror that speaks the hub's API; left out: the hub itself."""


def _member_rule(kind: SourceType, member: str, attribute: str) -> Rule:
    return Rule(
        cel=f"(self.type == '{kind}') == has(self.{member})",
        field=member,
        reason=f"must be given exactly when `type` is '{kind}'",
        cure=f"Set `type: {kind}` and fill in `{member}`, or remove `{member}`",
        holds=lambda self: (self.type is kind) == (getattr(self, attribute) is not None),
    )


@rules(
    Rule(
        cel="!has(self.hub) || self.type == 'Hub'",
        field="hub",
        reason="may not be given when `type` is not 'Hub'",
        cure="Remove `hub`, or set `type: Hub`",
        holds=lambda self: self.hub is None or self.type is SourceType.HUB,
    ),
    _member_rule(SourceType.PERSISTENT_VOLUME_CLAIM, "persistentVolumeClaim", "persistent_volume_claim"),
    _member_rule(SourceType.IMAGE, "image", "image"),
    _member_rule(SourceType.OBJECT_STORE, "objectStore", "object_store"),
)
class Source(Model):
    """Where the weights come from; left out: the hub."""

    type: SourceType = SourceType.HUB
    """Which of the members below says where."""
    hub: HubSource | None = None
    """The hub, where `type` is Hub; left out: the hub itself, no mirror."""
    persistent_volume_claim: VolumeSource | None = None
    """The volume, where `type` is PersistentVolumeClaim."""
    image: ImageSource | None = None
    """The image, where `type` is Image."""
    object_store: ObjectStoreSource | None = None
    """The bucket, where `type` is ObjectStore."""


class ModelMetadata(Model):
    """The model's own config.json and size, for sites that reach no hub."""

    config: Annotated[str, Field(min_length=2, max_length=65536)]
    """The text of the checkpoint's config.json."""
    weights_size: QuantityString | None = None
    """The size of all weight files; left out: worked out from the config."""


class Variant(Model):
    """The same model as another checkpoint; the planner picks by accelerator."""

    precision: Precision
    """The number format of its weights."""
    model: ModelName
    """The checkpoint's name on the hub."""
    revision: Revision | None = None
    """Its commit, tag or branch; left out: the hub's default, pinned when first read."""
    source: Source | None = None
    """Where its weights come from; left out: the hub."""
    metadata: ModelMetadata | None = None
    """Its config and size; left out: from the catalogue or the hub."""


class WeightCache(StrEnum):
    """Where downloaded weights land."""

    VOLUME = "Volume"
    NODE = "Node"
    EPHEMERAL = "Ephemeral"


@rules(
    Rule(
        cel="!has(self.storageClassName) || self.cache == 'Volume'",
        field="storageClassName",
        reason="may not be given when `cache` is not 'Volume'",
        cure="Set `cache: Volume`, or remove the storage class",
        holds=lambda self: self.storage_class_name is None or self.cache is WeightCache.VOLUME,
    ),
    Rule(
        cel="!has(self.size) || self.cache != 'Node'",
        field="size",
        reason="may not be given when `cache` is 'Node': the node's disk is as large as it is",
        cure="Remove it, or set another `cache`",
        holds=lambda self: self.size is None or self.cache is not WeightCache.NODE,
    ),
)
class Weights(Model):
    """Where downloaded weights land, and how large that place is."""

    cache: WeightCache = WeightCache.EPHEMERAL
    """A volume of the deployment's own, the node's disk (the pool must offer it), or the pod's own storage."""
    storage_class_name: DNSSubdomain | None = None
    """The storage class of the volume; left out: the cluster's default."""
    size: QuantityString | None = None
    """How large the place is; left out: the weights and a margin."""
