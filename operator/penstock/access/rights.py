"""One right: whose, to what, where, and why; and whether a request is within a set of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Asked", "Process", "Reach", "Right", "Scope", "allowed", "granting"]


class Process(StrEnum):
    """Who asks: the name of its account is `penstock-<process>`."""

    OPERATOR = "operator"
    SERVER = "server"


class Scope(StrEnum):
    """Where a right holds."""

    CLUSTER = "cluster"
    """Everywhere, in every mode: kinds without a namespace."""
    NAMESPACES = "namespaces"
    """On the Namespace objects that are watched: all of them, or in namespaced mode those of the named ones."""
    WATCHED = "watched"
    """In the namespaces that are watched: all of them, or in namespaced mode the named ones."""
    SECRETS = "secrets"
    """In the namespaces whose Secrets may be read; never everywhere."""
    OWN = "own"
    """In the namespace that it runs in."""
    CERTIFICATES = "certificates"
    """In the namespace that it runs in, where it issues certificates."""


@dataclass(frozen=True, slots=True)
class Right:
    """One rule. `resources` are plurals of one API group, with their subresource after a slash.

    `unaudited` says why no audit log ever shows its use; empty where one does.
    """

    process: Process
    scope: Scope
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()
    unaudited: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, in the words of an audit log; empty: not given, or not in a namespace."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def path(self) -> str:
        """As rules name it: `modeldeployments/status`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Reach:
    """Which namespaces an installation is given; `watched` None: all of them."""

    own: str
    secrets: frozenset[str] = frozenset()
    watched: frozenset[str] | None = None
    issues_certificates: bool = True


def allowed(asked: Asked, process: Process, rights: Iterable[Right], reach: Reach) -> bool:
    """Whether any of the rights covers the request."""
    return next(granting(asked, process, rights, reach), None) is not None


def granting(asked: Asked, process: Process, rights: Iterable[Right], reach: Reach) -> Iterator[Right]:
    """Every right that covers the request."""
    for right in rights:
        if right.process is process and _covers(right, asked) and _holds(right, asked, reach):
            yield right


def _covers(right: Right, asked: Asked) -> bool:
    named = not right.names or asked.name in right.names
    return asked.group == right.group and asked.path in right.resources and asked.verb in right.verbs and named


def _holds(right: Right, asked: Asked, reach: Reach) -> bool:
    match right.scope:
        case Scope.CLUSTER:
            return True
        case Scope.NAMESPACES:
            return reach.watched is None or asked.name in reach.watched
        case Scope.WATCHED:
            return reach.watched is None or asked.namespace in reach.watched
        case Scope.SECRETS:
            return asked.namespace in reach.secrets
        case Scope.OWN:
            return asked.namespace == reach.own
        case Scope.CERTIFICATES:
            return reach.issues_certificates and asked.namespace == reach.own
