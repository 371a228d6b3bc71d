"""Builders of revision requests: one per combination of engine, accelerator and source of weights that matters."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from builders.plans import COMMIT, checkpoint, plan
from penstock.api.formats import EngineName, Precision
from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeployment, Source
from penstock.planner.plan import Assignment, Checkpoint, Plan
from penstock.render.revisions import RevisionRequest

__all__ = ["CASES", "replanned", "revision_request"]

_LLAMA_BYTES = 141 * 10**9
_NODE_CACHE = "/var/lib/penstock/weights"


def revision_request(
    planned: Plan, spec: Mapping[str, Any], *, pool: Mapping[str, Any] | None = None, name: str = "chat"
) -> RevisionRequest:
    """`spec` and `pool` as users write them."""
    manifest = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "team", "uid": "5f1c0f0e-6c1b-4f58-9e70-0a6a3f5b5a01"},
        "spec": {"model": planned.checkpoint.model, **spec},
    }
    return RevisionRequest(
        deployment=ModelDeployment.model_validate(manifest),
        assignment=Assignment(planned, ("node-b", "node-a", "node-b")),
        pool_spec=InferencePoolSpec.model_validate({"nodeSelector": {"pool": planned.pool}, **(pool or {})}),
        operator_namespace="penstock-system",
    )


def _from(document: Mapping[str, Any], **changes: Any) -> Checkpoint:
    """A checkpoint whose weights come from elsewhere than the hub."""
    return checkpoint(source=Source.model_validate(document), revision=None, **changes)


def _elsewhere(document: dict[str, Any], **changes: Any) -> RevisionRequest:
    return revision_request(plan(checkpoint=_from(document), **changes), {"source": document})


def _b200() -> RevisionRequest:
    weights = checkpoint(Precision.NVFP4, model="nvidia/Llama-3.3-70B-Instruct-FP4", weights_bytes=42 * 10**9)
    planned = plan(accelerator="B200-SXM-180GB", pool="b200", tensor_parallel=1, checkpoint=weights)
    return revision_request(planned, {"weights": {"cache": "Volume", "storageClassName": "fast"}})


def _a100() -> RevisionRequest:
    weights = checkpoint(Precision.BF16, model="Qwen/Qwen3-32B", weights_bytes=66 * 10**9)
    planned = plan(EngineName.SGLANG, "A100-SXM-80GB", pool="a100", checkpoint=weights)
    return revision_request(planned, {"engineArgs": ["--disable-radix-cache"]})


def _mi300x() -> RevisionRequest:
    weights = checkpoint(model="org/Llama-405B-FP8", weights_bytes=410 * 10**9)
    planned = plan(accelerator="MI300X", pool="mi300x", tensor_parallel=8, checkpoint=weights)
    toleration = {"key": "example.com/team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}
    return revision_request(planned, {"rollout": {"drainSeconds": 300}}, pool={"tolerations": [toleration]})


def _h100_node_cache() -> RevisionRequest:
    pod = {
        "environment": [{"name": "LOG_LEVEL", "value": "debug"}],
        "labels": {"example.com/team": "ml"},
        "priorityClassName": "serving",
        "memory": "128Gi",
        "cpu": "12",
    }
    spec = {
        "weights": {"cache": "Node"},
        "credentialsRef": {"name": "hub", "key": "token"},
        "source": {"type": "Hub", "hub": {"mirrorURL": "https://hub.example.internal"}},
        "pod": pod,
    }
    planned = plan(checkpoint=checkpoint(source=Source.model_validate(spec["source"])))
    pool = {"nodeCache": {"path": _NODE_CACHE}, "imagePullSecretNames": ["registry"]}
    return revision_request(planned, spec, pool=pool)


_CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "weights", "path": "qwen/fp8"}}
_IMAGE = {"type": "Image", "image": {"reference": "registry.example.internal/models/qwen3-32b@sha256:" + "0" * 64}}
_BUCKET = {
    "type": "ObjectStore",
    "objectStore": {"url": "s3://weights/qwen3-32b", "endpoint": "https://s3.example.internal"},
}
_GOOGLE = {"type": "ObjectStore", "objectStore": {"url": "gs://weights/qwen3-32b"}}

CASES: Mapping[str, RevisionRequest] = MappingProxyType(
    {
        "vllm-fp8-h100-node-cache": _h100_node_cache(),
        "vllm-nvfp4-b200-volume": _b200(),
        "sglang-bf16-a100-ephemeral": _a100(),
        "vllm-fp8-mi300x": _mi300x(),
        "vllm-claim": _elsewhere(_CLAIM),
        "sglang-image": revision_request(plan(EngineName.SGLANG, checkpoint=_from(_IMAGE)), {"source": _IMAGE}),
        "vllm-s3": _elsewhere(_BUCKET),
        "vllm-gcs": _elsewhere(_GOOGLE),
        "sglang-volume": revision_request(
            plan(EngineName.SGLANG, checkpoint=checkpoint(weights_bytes=_LLAMA_BYTES, revision=COMMIT)),
            {"weights": {"cache": "Volume"}, "credentialsRef": {"name": "hub", "key": "token"}},
        ),
    }
)


def replanned(request: RevisionRequest, **changes: Any) -> RevisionRequest:
    """The same with another plan."""
    assignment = replace(request.assignment, plan=replace(request.assignment.plan, **changes))
    return replace(request, assignment=assignment)
