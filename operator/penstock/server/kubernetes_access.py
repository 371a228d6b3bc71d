"""Asks Kubernetes whose a token is (TokenReview) and what they may do (SubjectAccessReview). Never logs a token."""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.api.meta import GROUP
from penstock.cluster.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, ResourceType
from penstock.errors import ClusterError
from penstock.server.access import Access, Verdict
from penstock.server.problems import Problem
from penstock.workqueue.clock import Clock

__all__ = ["Creator", "KubernetesAccess"]

_log = logging.getLogger(__name__)
_LONGEST_TOKEN = 16 * 1024
_PLURAL = "inferencegateways"
Object = dict[str, Any]


class Creator(Protocol):
    """What is needed of the Kubernetes client."""

    async def create(self, manifest: Object) -> Object:
        """A new object; ClusterError."""
        ...


@dataclass(slots=True)
class KubernetesAccess:
    """Verdicts are kept for `keep` seconds, refusals for `keep_refusals`, at most `largest` of them.

    At most `concurrent` reviews run at once, so that a flood of wrong tokens is no flood for the API server.
    """

    client: Creator
    clock: Clock
    keep: float = 60.0
    keep_refusals: float = 5.0
    largest: int = 4096
    concurrent: int = 16
    _kept: OrderedDict[tuple[bytes, Access], tuple[float, Verdict]] = field(default_factory=OrderedDict)
    _turns: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.concurrent)

    async def judge(self, token: str, access: Access) -> Verdict:
        """From what is kept, or from Kubernetes; Problem (503) where it does not answer."""
        if len(token) > _LONGEST_TOKEN:
            return Verdict("", allowed=False)
        key = (hashlib.sha256(token.encode()).digest(), access)
        until, verdict = self._kept.get(key, (0.0, None))
        if verdict is not None and self.clock.monotonic() < until:
            return verdict
        async with self._turns:
            verdict = await self._ask(token, access)
        self._keep(key, verdict)
        return verdict

    def _keep(self, key: tuple[bytes, Access], verdict: Verdict) -> None:
        seconds = self.keep if verdict.allowed else self.keep_refusals
        self._kept[key] = (self.clock.monotonic() + seconds, verdict)
        self._kept.move_to_end(key)
        while len(self._kept) > self.largest:
            self._kept.popitem(last=False)

    async def _ask(self, token: str, access: Access) -> Verdict:
        try:
            reviewed = await self._review(TOKEN_REVIEWS, {"token": token})
            if not reviewed.get("authenticated"):
                return Verdict("", allowed=False)
            user = reviewed.get("user") or {}
            answer = await self._review(SUBJECT_ACCESS_REVIEWS, _question(user, access))
        except ClusterError as error:
            # The API server may repeat what was sent, and that was a token: its words are not logged.
            _log.warning("reviewing a token for %s: %s", access, type(error).__name__)
            cure = "try again; the server's account needs create on tokenreviews and subjectaccessreviews"
            message = "Kubernetes cannot say now who you are"
            raise Problem(503, "AuthenticationUnavailable", message, cure=cure, retry_after=2) from None
        allowed = bool(answer.get("allowed")) and not answer.get("denied")
        return Verdict(str(user.get("username") or "unknown"), allowed=allowed)

    async def _review(self, kind: ResourceType, spec: Object) -> Object:
        manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}, "spec": spec}
        status = (await self.client.create(manifest)).get("status")
        return status if isinstance(status, dict) else {}


def _question(user: Object, access: Access) -> Object:
    about = {
        "group": GROUP,
        "resource": _PLURAL,
        "subresource": str(access.subresource),
        "verb": str(access.verb),
        "namespace": access.gateway.namespace,
        "name": access.gateway.name,
    }
    who = {
        "user": user.get("username"),
        "groups": user.get("groups"),
        "uid": user.get("uid"),
        "extra": user.get("extra"),
    }
    return {**{key: value for key, value in who.items() if value}, "resourceAttributes": about}
