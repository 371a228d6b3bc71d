"""What a spec points with: references, selectors, countries, amounts of money and sizes."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from penstock.api import patterns
from penstock.api.meta import DNSLabel, DNSSubdomain, Model
from penstock.api.quantities import Money
from penstock.api.rules import Rule, rules

__all__ = [
    "AllowedNamespaces",
    "AllowedRoutes",
    "Amount",
    "ConfigMapKeyReference",
    "Country",
    "Currency",
    "DecimalString",
    "ImageReference",
    "Jurisdiction",
    "LabelKey",
    "LabelSelector",
    "LabelValue",
    "NamespacesFrom",
    "QuantityString",
    "RouteNamespaces",
    "SecretKeyReference",
    "SensitivityLevel",
    "Toleration",
    "TolerationOperator",
]

DecimalString = Annotated[str, Field(max_length=20, pattern=patterns.DECIMAL.regex)]
QuantityString = Annotated[str, Field(max_length=24, pattern=patterns.SIZE.regex)]
Currency = Annotated[str, Field(max_length=3, pattern=patterns.CURRENCY.regex)]
Country = Annotated[str, Field(max_length=2, pattern=patterns.COUNTRY.regex)]
Jurisdiction = Annotated[str, Field(max_length=8, pattern=patterns.JURISDICTION.regex)]
LabelKey = Annotated[str, Field(max_length=317, pattern=patterns.LABEL_KEY.regex)]
LabelValue = Annotated[str, Field(max_length=63, pattern=patterns.LABEL_VALUE.regex)]
ImageReference = Annotated[str, Field(min_length=1, max_length=512, pattern=patterns.IMAGE.regex)]
SensitivityLevel = DNSLabel
ConfigKey = Annotated[str, Field(max_length=253, pattern=patterns.CONFIG_KEY.regex)]


class NamespacesFrom(StrEnum):
    """Which namespaces an owner admits, as listeners do in the Gateway API."""

    ALL = "All"
    SAME = "Same"
    SELECTOR = "Selector"


class Amount(Model):
    """Money in a spec: a decimal string and its currency."""

    amount: DecimalString
    """How much, a decimal string with at most six places."""
    currency: Currency = "USD"
    """Its currency by ISO 4217."""

    @property
    def money(self) -> Money:
        """The amount in micro-units."""
        return Money.parse(self.amount, self.currency)


class SecretKeyReference(Model):
    """One key of a Secret in the same namespace."""

    name: DNSSubdomain
    """The Secret's name."""
    key: ConfigKey
    """The key inside the Secret."""


class ConfigMapKeyReference(Model):
    """One key of a ConfigMap in the same namespace."""

    name: DNSSubdomain
    """The ConfigMap's name."""
    key: ConfigKey
    """The key inside the ConfigMap."""


class LabelSelector(Model):
    """Labels that must all be there with these values."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(min_length=1, max_length=16)]
    """Every one of these labels must be there with this value."""

    def matches(self, labels: dict[str, str]) -> bool:
        """True where `labels` carries every one of ours."""
        return all(labels.get(key) == value for key, value in self.match_labels.items())


@rules(
    Rule(
        cel="(self.from == 'Selector') == has(self.selector)",
        field="selector",
        reason="must be given exactly when `from` is 'Selector'",
        cure="Set `from: Selector` with a selector, or remove the selector",
        holds=lambda self: (self.from_ is NamespacesFrom.SELECTOR) == (self.selector is not None),
    )
)
class AllowedNamespaces(Model):
    """Which namespaces may use a resource."""

    from_: NamespacesFrom = Field(NamespacesFrom.ALL, alias="from")
    """All, or those that `selector` selects."""
    selector: LabelSelector | None = None
    """Labels of the namespaces, where `from` is Selector."""


class RouteNamespaces(AllowedNamespaces):
    """Which namespaces may route to a resource."""

    from_: NamespacesFrom = Field(NamespacesFrom.SAME, alias="from")
    """All, the resource's own (Same), or those that `selector` selects."""


class AllowedRoutes(Model):
    """Which namespaces may route to a resource; left out: its own."""

    namespaces: RouteNamespaces = RouteNamespaces()
    """Where the Routes may stand; left out: in the resource's own namespace."""


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


@rules(
    Rule(
        cel="!has(self.value) || self.value == '' || !has(self.operator) || self.operator == 'Equal'",
        field="value",
        reason="must be empty when `operator` is 'Exists'",
        cure="Remove the value, or set `operator: Equal`",
        holds=lambda self: not self.value or self.operator == TolerationOperator.EQUAL,
    ),
    Rule(
        cel="(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
        field="key",
        reason="must not be empty when `operator` is 'Equal'",
        cure="Name the taint's key, or set `operator: Exists` to tolerate every taint",
        holds=lambda self: bool(self.key) or self.operator == TolerationOperator.EXISTS,
    ),
)
class Toleration(Model):
    """A toleration, as pods have it."""

    key: Annotated[str, Field(max_length=317)] = ""
    """The taint's key; left out: every key."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Equal compares the value too, Exists only the key."""
    value: LabelValue = ""
    """The taint's value, where `operator` is Equal."""
    effect: Annotated[str, Field(max_length=16, pattern=patterns.TAINT_EFFECT.regex)] = ""
    """The taint's effect; left out: every effect."""
