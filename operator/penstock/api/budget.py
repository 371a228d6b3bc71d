"""Budget: how much money a scope may spend in a window, and what happens on the way there. Not acted on yet."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.api import patterns
from penstock.api.backends import Backend
from penstock.api.conditions import Status
from penstock.api.markers import as_set, map_by
from penstock.api.meta import Model, Resource
from penstock.api.references import Amount, LabelSelector
from penstock.api.rules import Rule, rules

__all__ = [
    "Budget",
    "BudgetAction",
    "BudgetScope",
    "BudgetSpec",
    "BudgetThreshold",
    "BudgetWindow",
    "CalendarPeriod",
    "CoveredCost",
    "ScopedNamespace",
]


class ScopedNamespace(StrEnum):
    """The budget's own namespace as a whole."""

    OWN = "Own"


def _one_scope(scope: Any) -> bool:
    return (
        sum(each is not None for each in (scope.namespace, scope.namespaces, scope.consumers, scope.deployments)) == 1
    )


@rules(
    Rule(
        cel="[has(self.__namespace__), has(self.namespaces), has(self.consumers), has(self.deployments)]"
        ".filter(given, given).size() == 1",
        field="",
        reason="must have exactly one of `namespace`, `namespaces`, `consumers` and `deployments`",
        cure="Keep one; make a Budget of its own for each of the others",
        holds=_one_scope,
    )
)
class BudgetScope(Model):
    """Whose money: exactly one of its fields."""

    namespace: ScopedNamespace | None = None
    """Everything in the budget's own namespace."""
    namespaces: LabelSelector | None = None
    """Everything in namespaces with these labels; only in the platform team's namespace."""
    consumers: LabelSelector | None = None
    """Consumers of this namespace with these labels."""
    deployments: LabelSelector | None = None
    """ModelDeployments of this namespace with these labels."""


class CoveredCost(StrEnum):
    """A kind of cost; self-hosted tokens at the rate card and GPU-hours are the same money."""

    HOSTED_TOKENS = "HostedTokens"
    SELF_HOSTED_TOKENS = "SelfHostedTokens"
    GPU_HOURS = "GPUHours"


class CalendarPeriod(StrEnum):
    """A window of the calendar."""

    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"
    QUARTER = "Quarter"
    YEAR = "Year"


@rules(
    Rule(
        cel="has(self.calendar) != has(self.rollingHours)",
        field="",
        reason="must have exactly one of `calendar` and `rollingHours`",
        cure="Keep one",
        holds=lambda self: (self.calendar is None) != (self.rolling_hours is None),
    ),
    Rule(
        cel="!has(self.timeZone) || has(self.calendar)",
        field="timeZone",
        reason="may not be given when `calendar` is empty",
        cure="Remove it: a rolling window needs no time zone",
        holds=lambda self: self.time_zone is None or self.calendar is not None,
    ),
)
class BudgetWindow(Model):
    """Over which time spending adds up."""

    calendar: CalendarPeriod | None = None
    """From the beginning of each such period."""
    time_zone: Annotated[str, Field(max_length=64, pattern=patterns.TIME_ZONE.regex)] | None = None
    """In which time zone the period begins; left out: UTC."""
    rolling_hours: Annotated[int, Field(ge=1, le=8784)] | None = None
    """Over the last hours, so many of them."""


class BudgetAction(StrEnum):
    """What happens at a threshold; clients must tolerate new values."""

    NOTIFY = "Notify"
    DOWNGRADE = "Downgrade"
    THROTTLE = "Throttle"
    BLOCK = "Block"
    SCALE_DOWN = "ScaleDown"


@rules(
    Rule(
        cel="(self.action == 'Downgrade') == has(self.to)",
        field="to",
        reason="must be given exactly when `action` is 'Downgrade'",
        cure="Name the cheaper backend, or remove `to`",
        holds=lambda self: (self.action is BudgetAction.DOWNGRADE) == (self.to is not None),
    )
)
class BudgetThreshold(Model):
    """What happens when so much of the limit is spent."""

    percent: Annotated[int, Field(ge=1, le=100)]
    """Share of the limit, in percent."""
    action: BudgetAction
    """What happens then."""
    to: Backend | None = None
    """The cheaper backend, where `action` is Downgrade."""


@rules(
    Rule(
        cel="!('GPUHours' in self.covers && 'SelfHostedTokens' in self.covers)",
        field="covers",
        reason="must not have both 'GPUHours' and 'SelfHostedTokens': they are the same money, counted twice",
        cure="Keep 'GPUHours' for what leaves the house, or 'SelfHostedTokens' for what a team used",
        holds=lambda self: not {CoveredCost.GPU_HOURS, CoveredCost.SELF_HOSTED_TOKENS} <= set(self.covers),
    )
)
class BudgetSpec(Model):
    """Whose money, how much of it, and what happens on the way there."""

    scope: BudgetScope
    """Whose money."""
    covers: Annotated[tuple[CoveredCost, ...], Field(min_length=1, max_length=3), as_set()]
    """Which costs count."""
    limit: Amount
    """How much may be spent in one window."""
    window: BudgetWindow
    """Over which time spending adds up."""
    thresholds: Annotated[tuple[BudgetThreshold, ...], Field(min_length=1, max_length=16), map_by("percent", "action")]
    """What happens on the way to the limit."""


class Budget(Resource):
    """How much money a scope may spend in a window, and what happens on the way there."""

    kind_name: ClassVar[str] = "Budget"

    spec: BudgetSpec
    """Whose money, how much of it, and what happens on the way there."""
    status: Status = Status()
    """What the operator saw."""
