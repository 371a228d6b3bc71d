"""Where the weights come from and where they land: volumes, mounts, environment, and what the engine is told to load.

Hub downloads land in a volume of the revision (sized to the model), in the node's own cache where the pool's owner
allows that, or in the pod's own scratch space. A PVC, an OCI image and an object store are used where they are.

The volume of a revision is ReadWriteMany: a Job fills it once, then every replica on every node reads it offline and
keeps its compile caches there. A storage class without ReadWriteMany leaves the claim pending.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeployment, Source, SourceType, WeightCache
from penstock.api.quantities import format_bytes, parse_bytes
from penstock.api.refusals import Refusal, Refused
from penstock.engines.arguments import literal
from penstock.engines.contract import WeightsLocation
from penstock.planner.plan import Checkpoint, Plan
from penstock.render.names import child_metadata, labels_of

__all__ = ["CACHE_DIRECTORY", "Storage", "cache_bytes", "render_cache_claim", "storage_of"]

CACHE_DIRECTORY = "/cache"
WEIGHTS_DIRECTORY = "/weights"

_GIB = 2**30
_CACHE_HEADROOM_PERCENT = 120
_COMPILE_CACHE_BYTES = 10 * _GIB
_STREAMER = "runai_streamer"


@dataclass(frozen=True, slots=True)
class Storage:
    """The weights' part of the pod; `claim`: a volume of the revision's own, which a Job fills first.

    `prefetch_environment` is what that Job needs to reach the hub; `environment` is the engine's.
    """

    location: WeightsLocation
    volumes: tuple[dict[str, Any], ...]
    mounts: tuple[dict[str, Any], ...]
    environment: tuple[dict[str, Any], ...]
    claim: bool = False
    scratch_bytes: int = 0
    prefetch_environment: tuple[dict[str, Any], ...] = ()


def storage_of(deployment: ModelDeployment, checkpoint: Checkpoint, pool: InferencePoolSpec, revision: str) -> Storage:
    """By the checkpoint's source; `revision` names the volume claim where there is one."""
    source = checkpoint.source
    if source.type is SourceType.HUB:
        return _hub(deployment, checkpoint, pool, revision)
    location, volumes, mounts = _in_place(source)
    cache_volume, cache_mount = _scratch(_COMPILE_CACHE_BYTES)
    environment = tuple(_offline()) if source.type is not SourceType.OBJECT_STORE else tuple(_object_store(source))
    return Storage(
        location=location,
        volumes=(cache_volume, *volumes),
        mounts=(cache_mount, *mounts),
        environment=environment,
        scratch_bytes=_COMPILE_CACHE_BYTES,
    )


def cache_bytes(deployment: ModelDeployment, checkpoint: Checkpoint) -> int:
    """What a cache for this checkpoint must hold: its weights with headroom, and what compilers keep."""
    if deployment.spec.weights.size is not None:
        return parse_bytes(deployment.spec.weights.size)
    weights = -(-checkpoint.weights_bytes * _CACHE_HEADROOM_PERCENT // (100 * _GIB)) * _GIB
    return weights + _COMPILE_CACHE_BYTES


def render_cache_claim(deployment: ModelDeployment, plan: Plan, revision: str) -> dict[str, Any]:
    """The volume claim that a revision's downloads land in; every replica of it reads and writes there."""
    weights = deployment.spec.weights
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": format_bytes(cache_bytes(deployment, plan.checkpoint))}},
        "volumeMode": "Filesystem",
    }
    if weights.storage_class_name is not None:
        spec["storageClassName"] = weights.storage_class_name
    name = f"{deployment.metadata.name}-{revision}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": child_metadata(deployment, name, labels_of(deployment, plan, revision)),
        "spec": spec,
    }


def _hub(deployment: ModelDeployment, checkpoint: Checkpoint, pool: InferencePoolSpec, revision: str) -> Storage:
    size = cache_bytes(deployment, checkpoint)
    cache = deployment.spec.weights.cache
    claimed = cache is WeightCache.VOLUME
    online = list(_hub_environment(deployment, checkpoint))
    volume, mount = _scratch(size)
    if claimed:
        claim = f"{deployment.metadata.name}-{revision}"
        volume = {"name": "cache", "persistentVolumeClaim": {"claimName": claim}}
    elif cache is WeightCache.NODE:
        volume = _node_cache(pool)
    return Storage(
        location=WeightsLocation(checkpoint.model, checkpoint.revision),
        volumes=(volume,),
        mounts=(mount,),
        environment=tuple(_offline() if claimed else online),
        claim=claimed,
        prefetch_environment=tuple(online) if claimed else (),
        scratch_bytes=size if cache is WeightCache.EPHEMERAL else 0,
    )


def _node_cache(pool: InferencePoolSpec) -> dict[str, Any]:
    """The directory that the pool's owner offers; never another place, which nobody sized for the weights.

    It must be there and writable for the pods' group (65532): one that the kubelet makes belongs to root, and the
    download would fail in it where a missing one is named in the pod's events.
    """
    if pool.node_cache is None:
        cure = "Set `spec.nodeCache` on the pool, or another `weights.cache`"
        raise Refused([Refusal("spec.weights.cache", WeightCache.NODE, "the pool offers no node cache", cure)])
    return {"name": "cache", "hostPath": {"path": pool.node_cache.path, "type": "Directory"}}


def _hub_environment(deployment: ModelDeployment, checkpoint: Checkpoint) -> Iterator[dict[str, Any]]:
    yield {"name": "HF_HOME", "value": f"{CACHE_DIRECTORY}/huggingface"}
    reference = deployment.spec.credentials_ref
    if reference is not None:
        secret = {"name": reference.name, "key": reference.key}
        yield {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": secret}}
    hub = checkpoint.source.hub
    if hub is not None and hub.mirror_url:
        yield {"name": "HF_ENDPOINT", "value": literal(hub.mirror_url)}


def _offline() -> Iterator[dict[str, Any]]:
    """The weights are there: nothing is to be asked outside."""
    yield {"name": "HF_HOME", "value": f"{CACHE_DIRECTORY}/huggingface"}
    yield {"name": "HF_HUB_OFFLINE", "value": "1"}


def _object_store(source: Source) -> Iterator[dict[str, Any]]:
    yield {"name": "HF_HOME", "value": f"{CACHE_DIRECTORY}/huggingface"}
    # Room for the largest tensor: by itself the streamer takes 40 GB of host memory for every GPU, which kills the pod.
    # `--model-loader-extra-config` with a `memory_limit` gives it more, beside as much `pod.memory`.
    yield {"name": "RUNAI_STREAMER_MEMORY_LIMIT", "value": "0"}
    if source.object_store is not None and source.object_store.endpoint:
        yield {"name": "AWS_ENDPOINT_URL", "value": literal(source.object_store.endpoint)}
        # Stores of one's own seldom have a name for each bucket; the streamer would otherwise ask for one.
        yield {"name": "RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING", "value": "0"}


def _in_place(source: Source) -> tuple[WeightsLocation, list[dict[str, Any]], list[dict[str, Any]]]:
    """A claim, an image or an object store, used where it is."""
    if source.object_store is not None:
        return WeightsLocation(source.object_store.url, load_format=_STREAMER), [], []
    mount = {"name": "weights", "mountPath": WEIGHTS_DIRECTORY, "readOnly": True}
    if source.image is not None:
        image = {"reference": source.image.reference, "pullPolicy": "IfNotPresent"}
        return _mounted(source.image.path), [{"name": "weights", "image": image}], [mount]
    claim = source.persistent_volume_claim
    name = claim.claim_name if claim else ""
    volume = {"name": "weights", "persistentVolumeClaim": {"claimName": name, "readOnly": True}}
    return _mounted(claim.path if claim else ""), [volume], [mount]


def _mounted(path: str) -> WeightsLocation:
    inner = path.strip("/")
    return WeightsLocation(f"{WEIGHTS_DIRECTORY}/{inner}" if inner else WEIGHTS_DIRECTORY)


def _scratch(size: int) -> tuple[dict[str, Any], dict[str, Any]]:
    volume = {"name": "cache", "emptyDir": {"sizeLimit": format_bytes(size)}}
    return volume, {"name": "cache", "mountPath": CACHE_DIRECTORY}
