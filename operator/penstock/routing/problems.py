"""What cannot be acted on, and what becomes of it: each problem belongs to one resource, often to one of its rules."""

from dataclasses import dataclass
from enum import StrEnum

from penstock.api.refusals import Refusal

__all__ = ["Finding", "Kind", "Problem", "ProblemReason"]


class Kind(StrEnum):
    """Whose problem it is."""

    GATEWAY = "InferenceGateway"
    ROUTE = "Route"
    PROVIDER = "ModelProvider"
    DEPLOYMENT = "ModelDeployment"
    CONSUMER = "Consumer"


class ProblemReason(StrEnum):
    """Why, one word for conditions; clients must tolerate new values."""

    NOT_ADMITTED = "NotAdmitted"
    NOT_SUPPORTED = "NotSupported"
    NAME_NOT_GRANTED = "NameNotGranted"
    NAME_TAKEN = "NameTaken"
    BACKEND_NOT_FOUND = "BackendNotFound"
    BACKEND_NOT_PERMITTED = "BackendNotPermitted"
    BACKEND_UNUSABLE = "BackendUnusable"
    MODEL_NOT_FOUND = "ModelNotFound"
    LEVEL_UNKNOWN = "LevelUnknown"
    JURISDICTION_UNKNOWN = "JurisdictionUnknown"
    COUNTRY_UNKNOWN = "CountryUnknown"
    PRICE_NOT_COMPARABLE = "PriceNotComparable"
    NO_WEIGHT = "NoWeight"
    LIMITS_CROSSED = "LimitsCrossed"
    URL_INVALID = "URLInvalid"
    LOOP = "Loop"
    ROUTE_NOT_FOUND = "RouteNotFound"
    KEY_MISSING = "KeyMissing"
    KEY_TAKEN = "KeyTaken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `refuses`: what holds it answers nothing until it is cured."""

    reason: ProblemReason
    refusal: Refusal
    refuses: bool = False

    def of(self, kind: Kind, name: str, rule: str = "") -> "Problem":
        """The problem of that resource, and of that rule where one is given."""
        return Problem(kind, name, self.reason, self.refusal, rule, self.refuses)


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding and whose it is: `name` is `namespace/name`, `rule` is empty where the whole resource is meant.

    `refuses`: a rule takes its requests and refuses them, a Route or Consumer is left out of the table, a provider is
    used by nobody. Otherwise what is named is left out, or read in its strictest sense, and the rest goes on.
    """

    kind: Kind
    name: str
    reason: ProblemReason
    refusal: Refusal
    rule: str = ""
    refuses: bool = False

    def __str__(self) -> str:
        """One line for a condition's message or a terminal."""
        return f"{self.rule}: {self.refusal}" if self.rule else str(self.refusal)
