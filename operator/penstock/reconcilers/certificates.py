"""Who vouches for the server: this operator, which keeps authority and certificate in Secrets, or a file.

Either way, every gateway looks again when the bundle of authorities changes: its ConfigMap carries it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.access.names import AUTHORITY_SECRET, SERVER_SECRET
from penstock.certificates.pairs import bundle_pem
from penstock.certificates.rotation import Held, Rotation, rotate
from penstock.certificates.secrets import differs, held_in, is_ours, render_secrets
from penstock.cluster.client import Client
from penstock.cluster.errors import NotFound
from penstock.cluster.events import EventRecorder, Reference
from penstock.cluster.resources import SECRETS
from penstock.metrics import Metrics
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.world import World
from penstock.server_client.errors import ServerAway
from penstock.server_client.trust import IssuedBundle, Trust
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["BundleReconciler", "CertificatesReconciler"]

_log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 60.0
_LOOK_AT_FILE_SECONDS = 10.0

Object = dict[str, Any]


@dataclass(slots=True)
class CertificatesReconciler:
    """One pass reads both Secrets and writes what `rotate` says; `names` are those of the server's certificate."""

    world: World
    client: Client
    events: EventRecorder
    clock: Clock
    namespace: str
    names: Sequence[str]
    bundle: IssuedBundle
    metrics: Metrics
    _since: datetime | None = None
    _told: tuple[str, ...] = ()

    async def reconcile(self) -> Result:
        """Again after a minute: somebody may have taken a Secret away, and nobody watches it."""
        live = [await self._read(name) for name in (AUTHORITY_SECRET, SERVER_SECRET)]
        if not all(is_ours(each) for each in live):
            self._refuse([each for each in live if each is not None and not is_ours(each)])
            return Result(requeue_after=_LOOK_AGAIN_SECONDS)
        held, problems = held_in(*live)
        self._tell(problems)
        now = self.clock.now()
        rotation = rotate(held, names=self.names, now=now, since=self._handed_out_since(held, now))
        for manifest, before in zip(render_secrets(rotation, self.namespace), live, strict=True):
            await self._apply(manifest, before)
        for change in rotation.changes:
            _log.info("certificates: %s", change)
        self._hand_out(rotation, now)
        for secret, pair in ((AUTHORITY_SECRET, rotation.signer), (SERVER_SECRET, rotation.server)):
            ends = pair.certificate.not_valid_after_utc
            self.metrics.certificate_expiry.labels(secret=secret).set(ends.timestamp())
        return Result(requeue_after=self._pause(rotation, now))

    async def _read(self, name: str) -> Object | None:
        try:
            return await self.client.get(SECRETS, name, self.namespace)
        except NotFound:
            return None

    async def _apply(self, manifest: Object, before: Object | None) -> None:
        """Only over what was read: a leader that was deposed meanwhile must not mix its keys with its successor's."""
        if not differs(manifest, before):
            return
        version = {"resourceVersion": before["metadata"]["resourceVersion"]} if before else {}
        await self.client.apply({**manifest, "metadata": {**manifest["metadata"], **version}})

    def _handed_out_since(self, held: Held, now: datetime) -> datetime:
        """By this process; one that was replaced under us begins anew."""
        same = self._since is not None and self.bundle.pem == bundle_pem(held.bundle)
        return self._since if same and self._since else now

    def _hand_out(self, rotation: Rotation, now: datetime) -> None:
        pem = bundle_pem(rotation.bundle)
        if pem != self.bundle.pem:
            self.bundle.pem, self._since = pem, now
            _look_at_gateways(self.world)

    def _pause(self, rotation: Rotation, now: datetime) -> float:
        return min(max((rotation.look_again - now).total_seconds(), 1.0), _LOOK_AGAIN_SECONDS)

    def _tell(self, problems: tuple[str, ...]) -> None:
        """Each once, as long as it stays."""
        for problem in problems:
            if problem not in self._told:
                _log.warning("certificates: %s; it is made anew", problem)
        self._told = problems

    def _refuse(self, foreign: Sequence[Object]) -> None:
        """Somebody else's Secret stays as it is; nothing is trusted by it."""
        told = []
        for live in foreign:
            metadata = live["metadata"]
            message = (
                f"Secret {metadata['name']} is not Penstock's (no label app.kubernetes.io/managed-by=penstock) and"
                " stays as it is; delete it or give it that label to have it made, or start the operator with"
                " `--server-ca-file` instead of `--issue-certificates` to trust what it holds"
            )
            about = Reference(SECRETS, self.namespace, metadata["name"], metadata.get("uid", ""))
            self.events.record(about, type="Warning", reason="SecretNotOurs", message=message)
            told.append(message)
        for message in told:
            if message not in self._told:
                _log.warning("certificates: %s", message)
        self._told = tuple(told)


@dataclass(slots=True)
class BundleReconciler:
    """Looks at the file of `--server-ca-file`; the clients read it by themselves, the ConfigMaps do not."""

    world: World
    trust: Trust
    _known: str | None = None
    _told: str = ""

    async def reconcile(self) -> Result:
        """Every ten seconds; no request is made."""
        try:
            bundle, trouble = self.trust(), ""
        except ServerAway as away:
            bundle, trouble = "", str(away)
        if trouble != self._told and trouble:
            _log.warning("%s", trouble)
        if self._known is not None and bundle != self._known:
            _log.info("the server's authorities changed; every gateway's ConfigMap follows")
        if bundle != self._known:
            _look_at_gateways(self.world)
        self._known, self._told = bundle, trouble
        return Result(requeue_after=_LOOK_AT_FILE_SECONDS)


def _look_at_gateways(world: World) -> None:
    for gateway in world.gateways:
        world.enqueue(Key(Subject.INFERENCE_GATEWAY, gateway.namespace, gateway.name))
