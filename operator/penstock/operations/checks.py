"""What `penstock doctor` looks at: a check is a name, what it is about, and a verdict over facts that were gathered."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from penstock.access.names import SYSTEM_NAMESPACE
from penstock.operations.view import ClusterView

__all__ = [
    "Check",
    "Facts",
    "Needed",
    "Outcome",
    "Result",
    "Reviewed",
    "Verdict",
    "examine",
    "fail",
    "fine",
    "skip",
    "some",
    "warn",
]

Object = dict[str, Any]


class Verdict(StrEnum):
    """`skip`: it could not be looked at, or there is nothing to look at; the detail says which."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Needed:
    """A right that somebody needs; `account` is a user name, empty for whoever runs the command.

    An empty namespace means all of them; `resource` is a plural, with its subresource after a slash.
    """

    account: str
    verb: str
    group: str
    resource: str
    namespace: str = ""
    why: str = ""
    name: str = ""
    """Of the one object that it is needed for; empty: of any."""

    def __str__(self) -> str:
        """As kubectl auth can-i says it."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" in {self.namespace}" if self.namespace else "")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The API server's answer; `allowed` is None where it would not say."""

    needed: Needed
    allowed: bool | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that checks read, gathered at `now`; `definitions` are the CRDs of this version by name."""

    now: datetime
    version: str
    kubernetes: Mapping[str, Any]
    view: ClusterView
    namespace: str = SYSTEM_NAMESPACE
    definitions: Mapping[str, Object] = field(default_factory=dict)
    reviewed: tuple[Reviewed, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check."""

    verdict: Verdict
    detail: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One question about the cluster."""

    name: str
    looks_at: str
    judge: Callable[[Facts], Outcome]


@dataclass(frozen=True, slots=True)
class Result:
    """A check and its outcome, as it is shown."""

    name: str
    looks_at: str
    result: Verdict
    detail: str
    cure: str


def examine(checks: Iterable[Check], facts: Facts) -> tuple[Result, ...]:
    """Every check's result, in the order of the checks."""
    found = ((check, check.judge(facts)) for check in checks)
    return tuple(Result(check.name, check.looks_at, got.verdict, got.detail, got.cure) for check, got in found)


def fine(detail: str) -> Outcome:
    """Nothing to do."""
    return Outcome(Verdict.OK, detail)


def warn(detail: str, cure: str) -> Outcome:
    """It works, but not as well or as safely as it should."""
    return Outcome(Verdict.WARN, detail, cure)


def fail(detail: str, cure: str) -> Outcome:
    """Something does not work, or will not."""
    return Outcome(Verdict.FAIL, detail, cure)


def skip(detail: str, cure: str = "") -> Outcome:
    """Nobody knows, or there is nothing to know."""
    return Outcome(Verdict.SKIP, detail, cure)


def some(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
