"""Consumer: its key is there, made when it is absent; who it is and what it may call, the gateway's table says."""

import base64
import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from penstock.api.consumer import Consumer
from penstock.api.references import SecretKeyReference
from penstock.cluster.client import Client
from penstock.cluster.errors import AlreadyExists, Forbidden
from penstock.cluster.resources import CONSUMERS, SECRETS
from penstock.gateways.litellm.names import WATCHED_LABEL
from penstock.reconcilers.attached import gateway_of, standing_of
from penstock.reconcilers.consumer_status import ConsumerSeen, consumer_status
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.keyfinder import KeyFinder
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.reporting import Reporter
from penstock.reconcilers.secrets import KeyFact, KeyReason
from penstock.reconcilers.traffic import GatewayKey
from penstock.reconcilers.world import World
from penstock.routing.problems import Kind
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["ConsumerReconciler"]

_log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 300.0
"""At a Secret that is not watched."""
_KEY_PREFIX = "pk-"
_KEY_BYTES = 32


@dataclass(slots=True)
class ConsumerReconciler:
    """One pass per key."""

    world: World
    client: Client
    clock: Clock

    async def reconcile(self, key: Key) -> Result:
        """Find or make its key, and say what became of it."""
        custom = self.world.consumers.get(key.namespace, key.name)
        if custom is None:
            self.world.keys.forget(Subject.CONSUMER, (key.namespace, key.name))
        if custom is None or custom.deleting:
            return Result()
        fact = await self._key(custom, custom.parsed) if custom.parsed else None
        await self._report(custom, fact)
        return Result(requeue_after=self._finder.look_again(fact, _LOOK_AGAIN_SECONDS))

    async def _key(self, custom: Custom[Consumer], consumer: Consumer) -> KeyFact:
        finder, reference = self._finder, consumer.spec.key_secret_ref
        fact = await finder.find(custom, reference)
        if fact.reason != KeyReason.SECRET_NOT_FOUND:
            return fact
        try:
            await self._make(custom, reference)
        except Forbidden:
            fact = replace(fact, reason=KeyReason.SECRET_FORBIDDEN)
            finder.note(custom, fact)
            return fact
        return await finder.find(custom, reference)

    @property
    def _finder(self) -> KeyFinder:
        return KeyFinder(self.world, self.client, Subject.CONSUMER, keeps_value=False)

    async def _make(self, custom: Custom[Consumer], reference: SecretKeyReference) -> None:
        """A new Secret with a new key, the Consumer's own: it goes with it."""
        value = _KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        try:
            await self.client.create(_secret(custom, reference, value))
        except AlreadyExists:
            # Somebody was faster, and it is read like any other.
            return
        _log.info("consumer %s/%s: made its key in Secret %s", custom.namespace, custom.name, reference.name)

    async def _report(self, custom: Custom[Consumer], fact: KeyFact | None) -> None:
        place = None if custom.parsed is None else gateway_of(custom, custom.parsed.spec.gateway_ref)
        routes = self._routes(custom, place) if place else ()
        seen = ConsumerSeen(standing_of(self.world, place, Kind.CONSUMER, custom), fact, routes)
        status = consumer_status(custom, seen, now=self.clock.now())
        reporter = Reporter(
            self.client, CONSUMERS, Consumer, self.world.consumers, self.world.on_routed(Subject.CONSUMER)
        )
        await reporter.report(custom, status)

    def _routes(self, custom: Custom[Consumer], gateway: GatewayKey) -> Collection[str]:
        """Those that the gateway's table lets it call."""
        told = self.world.told.get(gateway)
        caller = told.callers.get(f"{custom.namespace}/{custom.name}") if told else None
        if told is None or caller is None:
            return ()
        return [route.name for route in told.built.table.routes if caller.may_call(route.name)]


def _secret(custom: Custom[Consumer], reference: SecretKeyReference, value: str) -> dict[str, Any]:
    owner = {
        "apiVersion": CONSUMERS.api_version,
        "kind": CONSUMERS.kind,
        "name": custom.name,
        "uid": custom.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {
            "name": reference.name,
            "namespace": custom.namespace,
            "labels": {"app.kubernetes.io/managed-by": "penstock", WATCHED_LABEL: "true"},
            "ownerReferences": [owner],
        },
        "type": "Opaque",
        "data": {reference.key: base64.b64encode(value.encode()).decode()},
    }
