"""Who may do what: the question, the answer, and the protocol of whoever answers it for the operator and people."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["Access", "Authenticator", "GatewayName", "Subresource", "Verb", "Verdict"]


class Verb(StrEnum):
    """What is done to a gateway."""

    GET = "get"
    UPDATE = "update"


class Subresource(StrEnum):
    """The part of an `inferencegateways.penstock.dev` object that a right is about; no such object is touched."""

    TABLE = "table"
    REPLICAS = "replicas"


@dataclass(frozen=True, slots=True)
class GatewayName:
    """Which gateway."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """As tables and messages say it."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody wants to do with which gateway."""

    verb: Verb
    subresource: Subresource
    gateway: GatewayName

    def __str__(self) -> str:
        """As a role would grant it."""
        return f"{self.verb} inferencegateways/{self.subresource} in {self.gateway}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose token it is (empty: nobody's), and whether they may."""

    user: str
    allowed: bool


class Authenticator(Protocol):
    """Knows the operator and people by a bearer token."""

    async def judge(self, token: str, access: Access) -> Verdict:
        """Whose it is and whether they may; Problem (503) where that cannot be found out now."""
        ...
