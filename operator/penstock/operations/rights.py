"""The rights that `penstock doctor` asks about: the reader's own, and those of the table behind the chart."""

from collections.abc import Iterable, Iterator, Sequence

from penstock.access.names import OPERATOR
from penstock.access.rights import Process, Right, Scope
from penstock.access.table import RIGHTS
from penstock.api.meta import GROUP
from penstock.cluster.resources import OWN_KINDS
from penstock.operations.checks import Needed

__all__ = ["needed_rights"]

_READ_BESIDE = (("", "nodes"), ("", "pods"), ("apps", "deployments"))


def needed_rights(namespace: str, arguments: Sequence[str]) -> tuple[Needed, ...]:
    """Of whoever runs the command, and of the operator's account with these arguments of its container."""
    own = [Needed("", "list", GROUP, kind.plural) for kind in OWN_KINDS]
    beside = [Needed("", "list", group, plural) for group, plural in _READ_BESIDE]
    account = f"system:serviceaccount:{namespace}:{OPERATOR}"
    theirs = (right for right in RIGHTS if right.process is Process.OPERATOR and not right.unaudited)
    expanded = [
        needed
        for right in theirs
        for place in _places(right.scope, namespace, arguments)
        for needed in _of(right, account, place, _names(right, arguments))
    ]
    return (*own, *beside, *expanded)


def _of(right: Right, account: str, place: str, names: Sequence[str]) -> Iterator[Needed]:
    for resource in right.resources:
        for verb in right.verbs:
            for name in names:
                yield Needed(account, verb, right.group, resource, place, right.why, name)


def _places(scope: Scope, own: str, arguments: Sequence[str]) -> Iterable[str]:
    """Namespaces in which rights of that scope are needed; an empty one: all of them."""
    match scope:
        case Scope.CLUSTER | Scope.NAMESPACES:
            return ("",)
        case Scope.WATCHED:
            return _named("--watch-namespaces", arguments) or ("",)
        case Scope.SECRETS:
            return _named("--secret-namespaces", arguments)
        case Scope.OWN:
            return (own,)
        case Scope.CERTIFICATES:
            return (own,) if "--issue-certificates" in arguments else ()


def _names(right: Right, arguments: Sequence[str]) -> Sequence[str]:
    """Of the objects; in namespaced mode the operator may see no other Namespaces than the named ones."""
    if right.scope is Scope.NAMESPACES:
        return _named("--watch-namespaces", arguments) or ("",)
    return right.names or ("",)


def _named(option: str, arguments: Sequence[str]) -> tuple[str, ...]:
    stated = next((each for each in arguments if each.startswith(f"{option}=")), "")
    return tuple(filter(None, stated.removeprefix(f"{option}=").split(",")))
