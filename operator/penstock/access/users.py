"""What people may do with our kinds, by way of Kubernetes' own roles `admin`, `edit` and `view`.

Pools belong to the cluster's admins, who may do everything already. Gateways and Budgets are the namespace's admins':
whoever may edit a Budget has none, and a gateway hands out keys.
"""

from dataclasses import dataclass
from enum import StrEnum

from penstock.api.kinds import KINDS

__all__ = ["USER_RIGHTS", "Role", "UserRight"]


class Role(StrEnum):
    """The built-in role that is extended."""

    ADMIN = "admin"
    EDIT = "edit"
    VIEW = "view"


@dataclass(frozen=True, slots=True)
class UserRight:
    """One rule on kinds of `penstock.dev`."""

    role: Role
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str


_READING = ("get", "list", "watch")
_WRITING = ("create", "update", "patch", "delete", "deletecollection")
_ALL = tuple(kind.plural for kind in KINDS if kind.namespaced)
_GUARDED = ("budgets", "inferencegateways")
_FREE = tuple(plural for plural in _ALL if plural not in _GUARDED)
_SCALED = tuple(f"{kind.plural}/scale" for kind in KINDS if kind.scalable)

USER_RIGHTS: tuple[UserRight, ...] = (
    UserRight(Role.ADMIN, _GUARDED, _WRITING, "money and gateways are the namespace's admins' own"),
    UserRight(Role.EDIT, _FREE, _WRITING, "teams run their own models and routes"),
    UserRight(Role.EDIT, _SCALED, ("update", "patch"), "kubectl scale, and autoscalers"),
    UserRight(Role.VIEW, _ALL, _READING, "nothing in them is secret"),
    UserRight(Role.VIEW, _SCALED, ("get",), "the same"),
)
