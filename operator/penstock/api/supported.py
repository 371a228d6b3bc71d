"""What a ModelDeployment may say that is not acted on yet: refused, never ignored.

`maxSensitivity` and `allowedRoutes` are for Routes: what may be sent here, and by whom. `scaling` bounds `replicas`,
`serviceLevel` is what a plan is predicted to keep.
"""

from collections.abc import Iterator

from penstock.api.modeldeployment import DisaggregationMode, ModelDeploymentSpec, Rollout
from penstock.api.refusals import Refusal

__all__ = ["unsupported"]

_REASON = "is not acted on by this release"


def unsupported(spec: ModelDeploymentSpec) -> tuple[Refusal, ...]:
    """A refusal for each field that is stated and would be ignored; the condition's reason is NotSupported."""
    return (*_disaggregation(spec), *_adapters(spec), *_rollout(spec.rollout), *_credentials(spec))


def _disaggregation(spec: ModelDeploymentSpec) -> Iterator[Refusal]:
    # Auto leaves the choice to the planner, whose only choice for now is together.
    if spec.disaggregation.mode is DisaggregationMode.REQUIRED:
        cure = "Write `mode: Auto`, which serves both together for now; `status.rejected` names the layout apart"
        yield Refusal("spec.disaggregation.mode", spec.disaggregation.mode, _REASON, cure)


def _adapters(spec: ModelDeploymentSpec) -> Iterator[Refusal]:
    if spec.adapters:
        names = ", ".join(adapter.name for adapter in spec.adapters)
        yield Refusal("spec.adapters", names, _REASON, "Remove them, or serve merged checkpoints one by one")


def _rollout(rollout: Rollout) -> Iterator[Refusal]:
    if rollout.canary_percent is not None:
        cure = "Remove it: without a gateway no share of requests can be set"
        yield Refusal("spec.rollout.canaryPercent", str(rollout.canary_percent), _REASON, cure)
    if rollout.evaluation_refs:
        names = ", ".join(reference.name for reference in rollout.evaluation_refs)
        yield Refusal(
            "spec.rollout.evaluationRefs", names, _REASON, "Remove them: a revision takes over once it serves"
        )
    if rollout.promotion is not None:
        cure = "Remove it: a revision takes over once it serves"
        yield Refusal("spec.rollout.promotion", rollout.promotion, _REASON, cure)


def _credentials(spec: ModelDeploymentSpec) -> Iterator[Refusal]:
    # The token is the hub's; engines read a bucket with the rights of their pod.
    if spec.credentials_ref is not None and not spec.downloads:
        cure = "Remove it; a bucket is read with the rights of the pods"
        yield Refusal("spec.credentialsRef.name", spec.credentials_ref.name, f"{_REASON} without a hub source", cure)
