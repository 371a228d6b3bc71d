"""Tokens rotate, a gateway can be forgotten, and the fence stays."""

import sqlite3
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.control_plane import GATEWAY, OPERATOR, PERSON, Caller, bearer, hash_of, report


async def statuses(server: Caller, *tokens: str) -> list[int]:
    """What each token gets for the table."""
    return [(await server.pull(token)).status_code for token in tokens]


async def test_rotation_without_a_gap(still_server: Caller, clock: FakeClock) -> None:
    """The older token lives until every replica can have the newer one."""
    server = still_server
    await server.publish(1)
    old = await server.token()
    assert await statuses(server, old) == [200]
    new = await server.token()
    assert await statuses(server, old, new, old) == [200, 200, 200]
    await clock.advance(181)
    assert await statuses(server, old, new) == [401, 200]


async def test_an_old_token_ends_within_the_hour(still_server: Caller, clock: FakeClock) -> None:
    """Though nobody ever used the new one."""
    await still_server.publish(1)
    old, new = await still_server.token(), await still_server.token()
    await clock.advance(3601)
    assert await statuses(still_server, old, new) == [401, 200]


async def test_a_third_token_takes_the_place_of_the_unused(still_server: Caller) -> None:
    """The one in use goes on."""
    await still_server.publish(1)
    used = await still_server.token()
    await statuses(still_server, used)
    unused, third = await still_server.token(), await still_server.token()
    assert await statuses(still_server, used, unused, third) == [200, 401, 200]


async def test_only_the_digest_is_stored(server: Caller, tmp_path: Path) -> None:
    """Nobody can read a token in the database or its log."""
    token = await server.token()
    assert len(token) >= 43
    await server.pull(token)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("penstock.db*"))
    assert stored
    assert token.encode() not in stored
    with sqlite3.connect(tmp_path / "penstock.db") as database:
        assert database.execute("select length(digest) from tokens").fetchall() == [(64,)]
    database.close()


async def test_a_forgotten_gateway_is_gone_and_the_fence_stays(server: Caller) -> None:
    """Its namesake begins above it; a deposed leader does not bring it back."""
    await server.publish(5, term=3)
    token = await server.token()
    await server.report(token, report())
    assert (await server.client.delete(GATEWAY, headers=bearer(OPERATOR))).status_code == 204
    assert await statuses(server, token, OPERATOR) == [401, 404]
    assert (await server.replicas()).json()["replicas"] == []
    reasons = [
        (await server.publish(9, term=2)).json()["error"]["reason"],
        (await server.publish(5, term=3)).json()["error"]["reason"],
        (await server.publish(9, expected=5, term=3)).json()["error"]["reason"],
    ]
    assert reasons == ["StaleTerm", "StaleGeneration", "Conflict"]
    assert (await server.publish(6, term=3)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Penstock-Term": "1"}, 409, id="deposed"),
        pytest.param({"Penstock-Term": "2"}, 204, id="in office"),
        pytest.param({}, 204, id="by hand"),
        pytest.param({"Penstock-Term": "soon"}, 422, id="no number"),
    ],
)
async def test_who_may_forget(server: Caller, headers: dict[str, str], status: int) -> None:
    """With a term, only a leader that was not deposed."""
    await server.publish(1, term=2)
    answer = await server.client.delete(GATEWAY, headers={**bearer(OPERATOR), **headers})
    assert answer.status_code == status
    assert (await server.pull(OPERATOR)).status_code == (404 if status == 204 else 200)


async def test_what_is_not_known_cannot_be_forgotten(server: Caller) -> None:
    """And is not made by trying."""
    answer = await server.client.delete(GATEWAY, headers=bearer(OPERATOR))
    assert answer.json()["error"]["reason"] == "NotFound"
    assert await server.parts.tables.versions() == {}


async def test_a_forgotten_gateway_can_be_had_again(server: Caller) -> None:
    """Tokens are made before the first table."""
    await server.publish(1)
    await server.client.delete(GATEWAY, headers=bearer(OPERATOR))
    token = await server.token()
    assert (await server.pull(token, have=hash_of(1))).status_code == 404
    assert (await server.report(token, report(0))).status_code == 200


async def test_people_make_no_tokens(server: Caller) -> None:
    """That takes the right to publish."""
    for method, path in (("POST", f"{GATEWAY}/tokens"), ("DELETE", GATEWAY)):
        assert (await server.client.request(method, path, headers=bearer(PERSON))).status_code == 403
