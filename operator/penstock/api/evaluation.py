"""Evaluation: a suite that judges a model, as a gate of a roll-out or on a schedule. Not acted on yet."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.api import patterns
from penstock.api.backends import DeploymentReference
from penstock.api.conditions import Status
from penstock.api.consumer import RouteReference
from penstock.api.markers import atomic
from penstock.api.meta import Model, Resource
from penstock.api.references import ConfigMapKeyReference, ImageReference
from penstock.api.rules import Rule, rules

__all__ = ["Evaluation", "EvaluationImage", "EvaluationSpec", "EvaluationTarget", "PassThresholds", "Promptfoo"]

Fraction = Annotated[str, Field(max_length=8, pattern=patterns.FRACTION.regex)]


class Promptfoo(Model):
    """A promptfoo suite."""

    config_map_ref: ConfigMapKeyReference
    """The ConfigMap's key with promptfoo's configuration."""


class EvaluationImage(Model):
    """A suite of one's own, as an image."""

    reference: ImageReference
    """The image; a digest pins it."""
    args: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64), atomic()] = ()
    """Arguments for its entrypoint."""


@rules(
    Rule(
        cel="has(self.deploymentRef) != has(self.routeRef)",
        field="",
        reason="must have exactly one of `deploymentRef` and `routeRef`",
        cure="Keep one",
        holds=lambda self: (self.deployment_ref is None) != (self.route_ref is None),
    )
)
class EvaluationTarget(Model):
    """What is judged: exactly one of its references."""

    deployment_ref: DeploymentReference | None = None
    """A deployment."""
    route_ref: RouteReference | None = None
    """A Route."""


class PassThresholds(Model):
    """What counts as passed."""

    min_score: Fraction
    """The lowest score that passes, a decimal string from 0 to 1."""
    max_regression: Fraction | None = None
    """How far the score may fall below the serving revision's, a decimal string from 0 to 1; left out: not compared."""


def _scheduled_has_target(spec: Any) -> bool:
    return spec.schedule is None or spec.target is not None


@rules(
    Rule(
        cel="has(self.promptfoo) != has(self.image)",
        field="",
        reason="must have exactly one of `promptfoo` and `image`",
        cure="Keep one",
        holds=lambda self: (self.promptfoo is None) != (self.image is None),
    ),
    Rule(
        cel="!has(self.schedule) || has(self.target)",
        field="target",
        reason="is required when `schedule` is given",
        cure="Name the deployment or the Route that is judged on schedule",
        holds=_scheduled_has_target,
    ),
)
class EvaluationSpec(Model):
    """What is run, and what counts as passed."""

    promptfoo: Promptfoo | None = None
    """A promptfoo suite; else `image`."""
    image: EvaluationImage | None = None
    """A suite of one's own; else `promptfoo`."""
    target: EvaluationTarget | None = None
    """What is judged; left out: the revision whose roll-out refers to this."""
    pass_: Annotated[PassThresholds, Field(alias="pass")]
    """What counts as passed."""
    schedule: Annotated[str, Field(max_length=100, pattern=patterns.CRON.regex)] | None = None
    """When it runs by itself, as cron has it, in UTC; left out: only as a gate."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600
    """When a run counts as failed, in seconds."""


class Evaluation(Resource):
    """A suite that judges a model, as a gate of a roll-out or on a schedule."""

    kind_name: ClassVar[str] = "Evaluation"

    spec: EvaluationSpec
    """What is run, and what counts as passed."""
    status: Status = Status()
    """What the operator saw."""
