"""Named namespaces whose lists the API server refuses: they are done without, and said, and asked for again.

A namespace that does not exist yet looks the same, because nobody can have a Role in it. Cluster-wide lists are never
done without.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass, field

from penstock.cluster.errors import Forbidden
from penstock.cluster.resources import SECRETS, ResourceType
from penstock.cluster.scope import Extent
from penstock.errors import ClusterError

__all__ = ["Barred"]

_log = logging.getLogger(__name__)

_TRIES_BEFORE_GOING_WITHOUT = 3
"""An API server that has just started may refuse for some seconds what it will allow."""


@dataclass(slots=True)
class Barred:
    """What is refused by namespace, and how often in a row; and what was answered ever since this process began."""

    _tries: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    _known: set[tuple[str, str]] = field(default_factory=set)

    def failed(self, kind: ResourceType, extent: Extent, error: ClusterError) -> bool:
        """A list failed; True where it is refused for good, as far as anybody can tell, and is to be done without."""
        if not isinstance(error, Forbidden) or not extent.place:
            return False
        refused = self._tries[extent.place]
        tries = refused[str(kind)] = refused.get(str(kind), 0) + 1
        if tries == _TRIES_BEFORE_GOING_WITHOUT:
            _log.warning("%s; going on without %s. %s", error, extent.of(kind), _cure(kind, extent))
        return tries >= _TRIES_BEFORE_GOING_WITHOUT

    def answered(self, kind: ResourceType, extent: Extent) -> None:
        """A list came through."""
        if not extent.place:
            return
        self._known.add((extent.place, str(kind)))
        refused = self._tries.get(extent.place, {})
        if refused.pop(str(kind), 0) >= _TRIES_BEFORE_GOING_WITHOUT:
            _log.info("the API server allows to list %s now", extent.of(kind))
        if not refused:
            self._tries.pop(extent.place, None)

    def holds(self, namespace: str) -> bool:
        """Whether something of the namespace besides its Secrets is not known: nothing there is to be decided then."""
        return bool(self._tries.get(namespace, {}).keys() - {str(SECRETS)})

    def hides(self, namespace: str) -> bool:
        """Whether something of the namespace was never known: what is published of it must not be taken for old."""
        return any((namespace, kind) not in self._known for kind in self._tries.get(namespace, {}))

    def __bool__(self) -> bool:
        """Whether anything is refused."""
        return bool(self._tries)


def _cure(kind: ResourceType, extent: Extent) -> str:
    value, option = ("secretNamespaces", "secret") if kind == SECRETS else ("watchNamespaces", "watch")
    return (
        f"Make namespace '{extent.place}' if it is not there, and list it in the chart's value `{value}` "
        f"(`--{option}-namespaces`), which makes the Role; or take it out of both"
    )
