"""Probes, metrics and the API's own document; none of them asks who you are."""

import pytest

from builders.control_plane import OPERATOR, Caller, report, table
from penstock import __version__
from penstock.server.problems import Problem


async def test_a_good_server_is_alive_and_ready(server: Caller) -> None:
    """Until it stops."""
    for path in ("/livez", "/readyz"):
        assert (await server.client.get(path)).status_code == 200
    server.parts.waiters.close()
    assert (await server.client.get("/readyz")).status_code == 503
    assert (await server.client.get("/livez")).status_code == 200


async def test_without_its_database_it_is_alive_and_not_ready(server: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process would find the database no better."""
    monkeypatch.setattr(server.parts.database, "migrated", False)
    assert (await server.client.get("/livez")).status_code == 200
    ready = await server.client.get("/readyz")
    assert (ready.status_code, "migrations" in ready.text) == (503, True)
    refused = await server.pull(OPERATOR)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (503, "NotReady")
    metrics = await server.client.get("/metrics")
    assert (metrics.status_code, "penstock_server_database_up 0.0" in metrics.text) == (200, True)


async def test_what_is_counted(server: Caller) -> None:
    """Routes by their patterns, publications by result, and what the database holds."""
    await server.publish(1)
    await server.publish(1)
    await server.publish(1, body=table(2), expected="abcdef01")
    await server.report(await server.token(), report())
    await server.client.get("/v1/nothing/here")
    text = (await server.client.get("/metrics")).text
    route = "/v1/gateways/{namespace}/{name}"
    for line in (
        f'penstock_server_requests_total{{code="200",method="PUT",route="{route}/table"}} 2.0',
        f'penstock_server_requests_total{{code="409",method="PUT",route="{route}/table"}} 1.0',
        f'penstock_server_requests_total{{code="201",method="POST",route="{route}/tokens"}} 1.0',
        'penstock_server_requests_total{code="404",method="any",route="unmatched"} 1.0',
        'penstock_server_publications_total{result="published"} 1.0',
        'penstock_server_publications_total{result="unchanged"} 1.0',
        'penstock_server_publications_total{result="Conflict"} 1.0',
        'penstock_server_replicas_live{gateway="serving/entry"} 1.0',
        f'penstock_server_table_bytes{{gateway="serving/entry"}} {float(len(table(1)))}',
        "penstock_server_waiters 0.0",
        "penstock_server_database_up 1.0",
        f'penstock_build_info{{component="server",version="{__version__}"}} 1.0',
    ):
        assert line in text


async def test_the_api_is_documented(server: Caller) -> None:
    """Every route of version 1, with the shape of its errors."""
    document = (await server.client.get("/openapi.json")).json()
    paths = {path: sorted(methods) for path, methods in document["paths"].items() if path.startswith("/v1/")}
    root = "/v1/gateways/{namespace}/{name}"
    assert paths == {
        root: ["delete"],
        f"{root}/replicas": ["get"],
        f"{root}/replicas/{{pod_uid}}": ["put"],
        f"{root}/table": ["get", "put"],
        f"{root}/tokens": ["post"],
    }
    assert "ErrorAnswer" in document["components"]["schemas"]
    assert document["paths"][f"{root}/table"]["put"]["security"]


async def test_what_nobody_foresaw_has_the_same_shape(server: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """And tells nothing of the inside."""

    async def break_down(*_: object) -> None:
        message = "the password is swordfish"
        raise RuntimeError(message)

    monkeypatch.setattr(type(server.parts.tables), "head", break_down)
    answer = await server.pull(OPERATOR)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (500, "Internal")
    assert "swordfish" not in answer.text


@pytest.mark.parametrize(
    ("problem", "headers"),
    [
        pytest.param(Problem(503, "Busy", "busy", retry_after=3), {"Retry-After": "3"}, id="later"),
        pytest.param(Problem(401, "Who", "who"), {"WWW-Authenticate": "Bearer"}, id="who"),
        pytest.param(Problem(409, "No", "no"), {}, id="plain"),
    ],
)
def test_headers_of_problems(problem: Problem, headers: dict[str, str]) -> None:
    """What HTTP has a header for."""
    assert problem.headers == headers
    assert problem.body == {"error": {"reason": problem.reason, "message": problem.message}}
