"""Nobody gets past without a token for just that, and no answer, log or metric repeats one."""

import logging

import pytest

from builders.control_plane import GATEWAY, OPERATOR, Caller, bearer, report
from penstock.server.access import Subresource, Verb

_ROUTES = [
    ("PUT", f"{GATEWAY}/table"),
    ("GET", f"{GATEWAY}/table"),
    ("PUT", f"{GATEWAY}/replicas/uid-1"),
    ("GET", f"{GATEWAY}/replicas"),
    ("POST", f"{GATEWAY}/tokens"),
    ("DELETE", GATEWAY),
]
_SECRET = "pgw_" + "s" * 43
_HEADERS = {"Penstock-Term": "1", "Penstock-Expected-Hash": ""}


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="none"),
        pytest.param(b"Basic b3BlcmF0b3I6eA==", id="basic"),
        pytest.param(b"Bearer ", id="empty"),
        pytest.param(b"Bearer \xe9\xff", id="no ASCII"),
        pytest.param(b"Bearer " + b"x" * 50, id="nobody's"),
    ],
)
async def test_without_a_good_token(server: Caller, authorization: bytes | None) -> None:
    """Every route says no, and how to do better."""
    headers = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
    headers += [(b"Authorization", authorization)] if authorization is not None else []
    for method, path in _ROUTES:
        answer = await server.client.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["cure"]


async def test_a_gateway_gets_no_further_than_its_own(server: Caller) -> None:
    """Another gateway's token opens nothing here, and its own nothing of the operator's."""
    await server.publish(1)
    other = await Caller(server.client, server.parts, "/v1/gateways/serving/other").token()
    headers = {**_HEADERS, **bearer(other)}
    for method, path in _ROUTES:
        answer = await server.client.request(method, path, headers=headers, json=report())
        assert answer.status_code in {401, 403}
        assert other not in answer.text
    assert (await server.pull(OPERATOR)).status_code == 200


async def test_what_is_asked_of_the_authenticator(server: Caller) -> None:
    """The rights that a role would grant."""
    await server.publish(1)
    await server.pull(OPERATOR)
    await server.replicas()
    asked = [(access.verb, access.subresource) for access in server.parts.authenticator.asked]  # type: ignore[attr-defined] # it is the tests' own
    assert asked == [
        (Verb.UPDATE, Subresource.TABLE),
        (Verb.GET, Subresource.TABLE),
        (Verb.GET, Subresource.REPLICAS),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/gateways/Serving/entry/table",
        "/v1/gateways/serving/entry%00/table",
        "/v1/gateways/serving/..%2f..%2fx/table",
        f"/v1/gateways/{'n' * 64}/entry/table",
        "/v1/gateways/serving/entry/table?wait=56",
        "/v1/gateways/serving/entry/table?wait=nan",
        "/v1/gateways/serving/entry/table?have=<script>",
    ],
)
async def test_paths_and_queries_that_are_none(server: Caller, path: str) -> None:
    """Refused in the shape of all errors, before anything is looked up."""
    answer = await server.client.get(path, headers=bearer(OPERATOR))
    assert answer.status_code in {404, 422}
    assert set(answer.json()["error"]) >= {"reason", "message"}
    assert "<script>" not in answer.text


async def test_no_secret_is_told(server: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in answers nor in logs nor in metrics."""
    caplog.set_level(logging.DEBUG)
    token = await server.token()
    told = []
    for each in (token, _SECRET, OPERATOR, "nobody-" + "n" * 30):
        told += [(await server.pull(each)).text, (await server.report(each, report(state="?"))).text]
    told += [(await server.client.get("/metrics")).text, caplog.text]
    for secret in (token, _SECRET, OPERATOR, "nobody-" + "n" * 30):
        assert not any(secret in text for text in told)
