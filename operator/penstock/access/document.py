"""The table as the file that the chart reads: rules by process and scope, with the reasons as comments."""

from collections.abc import Iterable, Iterator

from penstock.access.rights import Process, Right, Scope
from penstock.access.table import RIGHTS
from penstock.access.users import USER_RIGHTS, Role, UserRight
from penstock.api.meta import GROUP

__all__ = ["FILE_NAME", "rbac_document"]

FILE_NAME = "rbac.yaml"

_HEADER = "# Generated from operator/penstock/access by `penstock rbac`; edit the table there.\n"


def rbac_document() -> str:
    """The whole file."""
    return _HEADER + "".join(f"{line}\n" for line in (*_processes(RIGHTS), *_users(USER_RIGHTS)))


def _processes(rights: tuple[Right, ...]) -> Iterator[str]:
    for process in Process:
        yield f"{process}:"
        for scope in Scope:
            found = [right for right in rights if right.process is process and right.scope is scope]
            if found:
                yield f"  {scope}:"
                for right in found:
                    yield from _rule(right.why, right.group, right.resources, right.verbs, right.names)


def _users(rights: tuple[UserRight, ...]) -> Iterator[str]:
    yield "users:"
    for role in Role:
        yield f"  {role}:"
        for right in rights:
            if right.role is role:
                yield from _rule(right.why, GROUP, right.resources, right.verbs, ())


def _rule(
    why: str, group: str, resources: tuple[str, ...], verbs: tuple[str, ...], names: tuple[str, ...]
) -> Iterator[str]:
    yield f"    # {why}"
    yield f"    - apiGroups: {_flow((group,))}"
    yield f"      resources: {_flow(resources)}"
    if names:
        yield f"      resourceNames: {_flow(names)}"
    yield f"      verbs: {_flow(verbs)}"


def _flow(words: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
