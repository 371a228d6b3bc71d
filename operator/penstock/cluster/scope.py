"""Which namespaces this process looks at, in which of them it uses Secrets, and what that makes of each list; pure."""

from dataclasses import dataclass

from penstock.cluster.resources import NAMESPACES, SECRETS, ResourceType
from penstock.cluster.store import Stored

__all__ = ["Extent", "Scope"]


@dataclass(frozen=True, slots=True)
class Extent:
    """What one list or watch covers: everything, one namespace, or the one object of that name."""

    namespace: str | None = None
    name: str = ""

    @property
    def fields(self) -> str:
        """The field selector."""
        return f"metadata.name={self.name}" if self.name else ""

    @property
    def place(self) -> str:
        """The namespace that it is about, empty for the whole cluster."""
        return self.namespace or self.name

    def covers(self, record: Stored) -> bool:
        """Whether the list would have had the record."""
        return self.namespace in {None, record.namespace} and self.name in {"", record.name}

    def of(self, kind: ResourceType) -> str:
        """As problems name it: `secrets in team`."""
        return f"{kind} in {self.place}" if self.place else str(kind)


@dataclass(frozen=True, slots=True)
class Scope:
    """What the command line allows; None: every namespace.

    `secrets` is never wider than `watched`: nothing refers to a Secret of a namespace that is not looked at.
    """

    watched: tuple[str, ...] | None = None
    secrets: tuple[str, ...] | None = None

    def watches(self, namespace: str) -> bool:
        """Whether objects of the namespace are seen."""
        return self.watched is None or namespace in self.watched

    def uses_secrets(self, namespace: str) -> bool:
        """Whether Secrets there may be read, and ours be written."""
        return self.watches(namespace) and (self.secrets is None or namespace in self.secrets)

    def extents(self, kind: ResourceType) -> tuple[Extent, ...]:
        """What is listed and watched of a kind: the collection once, or once per namespace.

        Of Namespaces only those that are named: RBAC can allow a list that is held to one name.
        """
        if kind == NAMESPACES and self.watched is not None:
            return tuple(Extent(name=name) for name in self.watched)
        named = self.watched if kind.namespaced else None
        if kind == SECRETS and self.secrets is not None:
            named = tuple(name for name in self.secrets if self.watches(name))
        return (Extent(),) if named is None else tuple(Extent(name) for name in named)
