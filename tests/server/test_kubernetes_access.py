"""Kubernetes says who it is and what they may; its answers are kept for a minute, and its outages are not denials."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from builders.clock import FakeClock
from penstock.cluster.errors import Forbidden
from penstock.cluster.paths import path_of
from penstock.cluster.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, resource_of
from penstock.server.access import Access, GatewayName, Subresource, Verb, Verdict
from penstock.server.kubernetes_access import KubernetesAccess
from penstock.server.problems import Problem

_PUBLISH = Access(Verb.UPDATE, Subresource.TABLE, GatewayName("serving", "entry"))
_READ = Access(Verb.GET, Subresource.REPLICAS, GatewayName("serving", "entry"))
_USER = {"username": "ada", "uid": "7", "groups": ["platform"], "extra": {"scopes": ["all"]}}


@dataclass
class Reviews:
    """An API server that knows some tokens, and lets users do what is listed."""

    users: dict[str, dict[str, Any]] = field(default_factory=lambda: {"good": _USER})
    allowed: set[str] = field(default_factory=lambda: {"update"})
    asked: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False
    running: int = 0
    most: int = 0

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """A review."""
        self.asked.append(manifest)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        spec = manifest["spec"]
        if self.broken:
            message = f"cannot review {spec}"
            raise Forbidden(message, status=403, reason="Forbidden", details=None)
        if manifest["kind"] == "TokenReview":
            user = self.users.get(spec["token"])
            return {"status": {"authenticated": True, "user": user} if user else {"error": "unknown"}}
        return {"status": {"allowed": spec["resourceAttributes"]["verb"] in self.allowed}}


async def test_what_kubernetes_is_asked() -> None:
    """The token once, and the right of that very user to that very gateway."""
    reviews = Reviews()
    verdict = await KubernetesAccess(reviews, FakeClock()).judge("good", _PUBLISH)
    assert verdict == Verdict("ada", allowed=True)
    token, access = reviews.asked
    assert token["spec"] == {"token": "good"}
    assert access["spec"] == {
        "user": "ada",
        "uid": "7",
        "groups": ["platform"],
        "extra": {"scopes": ["all"]},
        "resourceAttributes": {
            "group": "penstock.dev",
            "resource": "inferencegateways",
            "subresource": "table",
            "verb": "update",
            "namespace": "serving",
            "name": "entry",
        },
    }
    paths = [path_of(resource_of(manifest)) for manifest in reviews.asked]
    assert paths == [
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    ]
    assert [kind.namespaced for kind in (TOKEN_REVIEWS, SUBJECT_ACCESS_REVIEWS)] == [False, False]


@pytest.mark.parametrize(
    ("token", "access", "want"),
    [
        pytest.param("bad", _PUBLISH, Verdict("", allowed=False), id="nobody"),
        pytest.param("good", _READ, Verdict("ada", allowed=False), id="somebody who may not"),
        pytest.param("x" * 20_000, _PUBLISH, Verdict("", allowed=False), id="no token of anybody"),
    ],
)
async def test_who_may_not(token: str, access: Access, want: Verdict) -> None:
    """Nobody, and somebody who may not, are two things."""
    assert await KubernetesAccess(Reviews(), FakeClock()).judge(token, access) == want


@pytest.mark.parametrize(
    ("token", "seconds", "reviews"),
    [
        pytest.param("good", 59, 2, id="kept for a minute"),
        pytest.param("good", 61, 4, id="asked again"),
        pytest.param("bad", 4, 1, id="a refusal for a moment"),
        pytest.param("bad", 6, 2, id="a refusal asked again"),
    ],
)
async def test_how_long_answers_are_kept(token: str, seconds: float, reviews: int) -> None:
    """A right that was granted just now works within seconds."""
    api, clock = Reviews(), FakeClock()
    access = KubernetesAccess(api, clock)
    await access.judge(token, _PUBLISH)
    await clock.advance(seconds)
    await access.judge(token, _PUBLISH)
    assert len(api.asked) == reviews


async def test_what_is_kept_is_bounded_and_holds_no_token() -> None:
    """A flood of tokens takes the place of older ones."""
    access = KubernetesAccess(Reviews(), FakeClock(), largest=10)
    for number in range(50):
        await access.judge(f"token-{number}", _PUBLISH)
    assert len(access._kept) == 10
    assert "token-" not in repr(access._kept)


async def test_a_flood_is_no_flood_for_kubernetes() -> None:
    """A few reviews at a time."""
    api = Reviews()
    access = KubernetesAccess(api, FakeClock(), concurrent=3)
    await asyncio.gather(*(access.judge(f"token-{number}", _PUBLISH) for number in range(30)))
    assert api.most == 3


async def test_an_outage_is_no_denial(caplog: pytest.LogCaptureFixture) -> None:
    """503, not kept, and the token is not in the log though the API server repeats it."""
    caplog.set_level(logging.DEBUG)
    api = Reviews(broken=True)
    access = KubernetesAccess(api, FakeClock())
    with pytest.raises(Problem) as caught:
        await access.judge("good", _PUBLISH)
    assert (caught.value.status, caught.value.reason) == (503, "AuthenticationUnavailable")
    assert "good" not in caplog.text
    assert caught.value.__cause__ is None
    api.broken = False
    assert (await access.judge("good", _PUBLISH)).allowed
