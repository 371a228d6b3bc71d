"""Reads the one key that a resource refers to, from the API server, and only where it may have changed."""

from dataclasses import dataclass
from typing import Any

from penstock.api.references import SecretKeyReference
from penstock.cluster.client import Client
from penstock.cluster.errors import Forbidden, NotFound
from penstock.cluster.resources import SECRETS
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.keys import Subject
from penstock.reconcilers.secrets import KeyFact, KeyReason, key_fact
from penstock.reconcilers.world import World

__all__ = ["KeyFinder"]

_FORBIDDEN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class KeyFinder:
    """For resources of one subject; only those that send the key on keep its value."""

    world: World
    client: Client
    subject: Subject
    keeps_value: bool

    async def find(self, custom: Custom[Any], reference: SecretKeyReference) -> KeyFact:
        """What is known, read anew unless the watched Secret is the one that was read; a fact that differs is noted."""
        place = (custom.namespace, custom.name)
        known = self.world.keys.of(self.subject, place)
        if known is not None and self._is_current(known, custom.namespace, reference):
            return known
        fact = await self._read(custom.namespace, reference)
        self.note(custom, fact)
        return fact

    def note(self, custom: Custom[Any], fact: KeyFact) -> None:
        """Keep it; tables are made anew where it says something else than before."""
        if self.world.keys.note(self.subject, (custom.namespace, custom.name), fact):
            self.world.route_soon()

    def look_again(self, fact: KeyFact | None, seconds: float) -> float | None:
        """When, in seconds: what is watched is not asked for again, nor what no restart has allowed."""
        if fact is None or fact.watched or not self.world.scope.uses_secrets(fact.secret[0]):
            return None
        # A Role that comes late must not lock anybody out for longer than a moment.
        return min(seconds, _FORBIDDEN_SECONDS) if fact.reason == KeyReason.SECRET_FORBIDDEN else seconds

    def _is_current(self, known: KeyFact, namespace: str, reference: SecretKeyReference) -> bool:
        live = self.world.secrets.get(namespace, reference.name)
        same = known.secret == (namespace, reference.name) and known.key == reference.key
        return same and live is not None and live.resource_version == known.version

    async def _read(self, namespace: str, reference: SecretKeyReference) -> KeyFact:
        place = (namespace, reference.name)
        if not self.world.scope.uses_secrets(namespace):
            return KeyFact(place, reference.key, reason=KeyReason.SECRET_FORBIDDEN)
        try:
            live = await self.client.get(SECRETS, reference.name, namespace)
        except NotFound:
            return KeyFact(place, reference.key, reason=KeyReason.SECRET_NOT_FOUND)
        except Forbidden:
            return KeyFact(place, reference.key, reason=KeyReason.SECRET_FORBIDDEN)
        return key_fact(live, reference.key, keeps_value=self.keeps_value)
