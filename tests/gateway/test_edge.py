"""What clients get at the edge: who is let in, what is refused, and what an answer says of itself."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from builders.edges import edge
from builders.tables import backend, consumer, table
from builders.upstreams import answers, says, streams, upstream
from penstock_gateway.asgi import Receive, Scope, Send, respond
from penstock_policy.table import Route, Rule, Share


async def test_an_answer_is_the_upstreams_own_bytes(tmp_path: Path) -> None:
    """With the model's name changed on the way there, and headers that explain it."""
    async with upstream(answers()) as one, edge(tmp_path, table(backend("deployment/ai/a", one.url))) as stage:
        response = await stage.ask()
        assert response.status == 200
        assert (await response.json())["vendor"] == {"kept": True}
        told = {name.lower(): value for name, value in response.headers.items() if name.lower().startswith("x-")}
    assert one.bodies[0]["model"] == "served"
    assert one.paths == ["/v1/chat/completions"]
    assert told == {
        "x-penstock-route": "ai/chat",
        "x-penstock-rule": "all",
        "x-penstock-backend": "deployment/ai/a",
        "x-penstock-attempts": "1",
        "x-penstock-why": "first choice",
        "x-penstock-generation": "1",
    }


@pytest.mark.parametrize("operation", ["chat/completions", "completions", "embeddings", "responses"])
async def test_every_operation_goes_to_its_own_path(tmp_path: Path, operation: str) -> None:
    async with upstream(answers()) as one, edge(tmp_path, table(backend("a", one.url))) as stage:
        assert (await stage.ask(f"/v1/{operation}")).status == 200
    assert one.paths == [f"/v1/{operation}"]


async def test_messages_go_to_a_backend_that_speaks_anthropics_protocol(tmp_path: Path) -> None:
    async with (
        upstream(answers()) as one,
        edge(tmp_path, table(backend("a", one.url, protocol="Anthropic"))) as stage,
    ):
        headers = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
        stage.headers = {}
        assert (await stage.ask("/v1/messages", headers=headers)).status == 200
    assert one.headers[0]["anthropic-version"] == "2023-06-01"
    assert "x-api-key" not in one.headers[0]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic sk-test"}])
async def test_no_key_no_answer(tmp_path: Path, headers: dict[str, str]) -> None:
    async with upstream(answers()) as one, edge(tmp_path, table(backend("a", one.url))) as stage:
        stage.headers = headers
        openai, anthropic = await stage.ask(), await stage.ask("/v1/messages")
        assert (openai.status, anthropic.status) == (401, 401)
        assert (await openai.json())["error"]["type"] == "authentication_error"
        assert (await anthropic.json())["type"] == "error"
        assert (await stage.client.get(stage.url + "/v1/models", headers=headers)).status == 401
    assert one.asked == 0


@pytest.mark.parametrize(
    "field",
    [
        "fallbacks",
        "context_window_fallbacks",
        "api_base",
        "base_url",
        "api_key",
        "mock_response",
        "num_retries",
        "tags",
        "metadata.tags",
    ],
)
async def test_a_client_cannot_steer_by_its_body(tmp_path: Path, field: str) -> None:
    body = {"metadata": {"tags": ["x"]}} if field == "metadata.tags" else {field: "x"}
    async with upstream(answers()) as one, edge(tmp_path, table(backend("a", one.url))) as stage:
        response = await stage.ask(body=body)
        assert response.status == 400
        assert (await response.json())["error"]["param"] == field
    assert one.asked == 0


async def test_a_client_cannot_steer_by_its_headers(tmp_path: Path) -> None:
    """Nor does its key reach anybody."""
    headers = {"x-litellm-tags": "x", "x-penstock-backend": "x", "cookie": "a=b", "OpenAI-Organization": "o"}
    async with upstream(answers()) as one, edge(tmp_path, table(backend("a", one.url))) as stage:
        assert (await stage.ask(headers={**headers, "traceparent": "00-1"})).status == 200
    assert not {*map(str.lower, headers), "authorization"} & set(one.headers[0])
    assert one.headers[0]["traceparent"] == "00-1"


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"{", "invalid_json"), (b"[]", "invalid_json"), (b"{}", "model_required"), (b'{"model":1}', "model_required")],
)
async def test_malformed_bodies_are_refused(tmp_path: Path, raw: bytes, code: str) -> None:
    async with edge(tmp_path, table(backend("a", "http://127.0.0.1:1"))) as stage:
        response = await stage.ask(raw=raw)
        assert (response.status, (await response.json())["error"]["code"]) == (400, code)


async def test_bodies_are_bounded_and_plain(tmp_path: Path) -> None:
    async with upstream(answers()) as one, edge(tmp_path, table(backend("a", one.url))) as stage:
        assert (await stage.ask(body={"messages": "x" * 11 * 2**20})).status == 413
        assert (await stage.ask(body={"messages": "x" * 3 * 2**20})).status == 200
        packed = gzip.compress(b'{"model":"chat"}')
        assert (await stage.ask(raw=packed, headers={"content-encoding": "gzip"})).status == 415
    assert one.asked == 1


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_gateway.admission._BODY_SECONDS", 0.05)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async with edge(tmp_path, table(backend("a", "http://127.0.0.1:1"))) as stage:
        url, headers = stage.url + "/v1/chat/completions", stage.headers
        async with stage.client.post(url, data=never(), headers=headers) as response:
            assert response.status == 408


async def test_what_the_table_refuses_is_refused(tmp_path: Path) -> None:
    """A name that nobody has, a route that the key may not call, a level that no backend may see."""
    plan = table(backend("a", "http://127.0.0.1:1", max_sensitivity=0))
    other = Route("ai/other", ("other",), (Rule("all", (Share("a"),)),))
    async with edge(tmp_path, replace(plan, routes=(*plan.routes, other))) as stage:
        assert (await stage.ask(body={"model": "nope"})).status == 404
        assert (await stage.ask(body={"model": "other"})).status == 403
        secret = await stage.ask(headers={"x-penstock-sensitivity": "no such level"})
        assert secret.status == 403
        assert secret.headers["x-penstock-why"] == "NoBackend"
        assert stage.value("penstock_gateway_attempts_total") == 0


async def test_models_are_those_of_the_key(tmp_path: Path) -> None:
    plan = table(backend("a", "http://127.0.0.1:1"))
    other = Route("ai/other", ("other",), (Rule("all", (Share("a"),)),))
    async with edge(tmp_path, replace(plan, routes=(*plan.routes, other))) as stage:
        listed = await (await stage.client.get(stage.url + "/v1/models", headers=stage.headers)).json()
        assert [entry["id"] for entry in listed["data"]] == ["chat"]
        for name, status in (("chat", 200), ("other", 404)):
            found = await stage.client.get(f"{stage.url}/v1/models/{name}", headers=stage.headers)
            assert found.status == status
        anthropic = {**stage.headers, "anthropic-version": "2023-06-01"}
        listed = await (await stage.client.get(stage.url + "/v1/models", headers=anthropic)).json()
        assert (listed["data"][0]["type"], listed["has_more"]) == ("model", False)


async def test_without_a_table_nothing_is_served(tmp_path: Path) -> None:
    async with edge(tmp_path, None) as stage:
        response = await stage.ask()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert stage.parts.internal.missing() == ["no routing table yet"]


async def test_other_paths_are_closed_or_downstream(tmp_path: Path) -> None:
    seen: list[str] = []

    async def downstream(scope: Scope, _: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await respond(send, 200, b"{}")

    async with edge(tmp_path, table(backend("a", "http://127.0.0.1:1")), downstream=downstream) as stage:
        for path in ("/v1/files", "/key/generate", "/v1/files/%2e%2e/%2e%2e/key/generate", "/ui", "/v1/images/edits"):
            await stage.client.get(stage.url + path)
    assert seen == ["/v1/files", "/v1/images/edits"]


async def test_wrong_methods_and_paths_without_downstream(tmp_path: Path) -> None:
    async with edge(tmp_path, table(backend("a", "http://127.0.0.1:1"))) as stage:
        assert (await stage.client.get(stage.url + "/v1/chat/completions")).status == 405
        missing = await stage.client.get(stage.url + "/v1/files")
        assert (missing.status, (await missing.json())["error"]["code"]) == (404, "not_found")


async def test_usage_is_asked_for_and_kept_from_who_did_not(tmp_path: Path) -> None:
    async with upstream(streams()) as one, edge(tmp_path, table(backend("a", one.url))) as stage:
        plain = await (await stage.ask(body={"stream": True})).text()
        asking = await (await stage.ask(body={"stream": True, "stream_options": {"include_usage": True}})).text()
        odd = await (await stage.ask(body={"stream": True, "stream_options": {"other": 1}})).text()
        records = await stage.records()
    assert [body["stream_options"].get("include_usage") for body in one.bodies] == [True, True, True]
    assert one.bodies[2]["stream_options"]["other"] == 1
    assert "usage" not in plain
    assert "usage" not in odd
    assert json.loads(asking.split("\n\n")[3][6:])["usage"]["completion_tokens"] == 50
    assert plain.endswith("data: [DONE]\n\n")
    assert [record["tokensOut"] for record in records] == [50, 50, 50]


async def test_a_record_says_what_an_attempt_was_and_cost(tmp_path: Path) -> None:
    async with upstream(answers()) as one, edge(tmp_path, table(backend("a", one.url))) as stage:
        await stage.ask()
        (record,) = await stage.records()
        assert (
            stage.value("penstock_gateway_requests_total", route="ai/chat", rule="all", backend="a", status="200") == 1
        )
    assert record["totalMs"] >= record["firstByteMs"] > 0
    for name in ("id", "time", "totalMs", "firstByteMs"):
        del record[name]
    assert record == {
        "consumer": "ai/tester",
        "route": "ai/chat",
        "rule": "all",
        "backend": "a",
        "pod": one.url,
        "operation": "chat/completions",
        "stream": False,
        "generation": 1,
        "why": "first choice",
        "outcome": "Answered",
        "status": 200,
        "tokensIn": 100,
        "tokensOut": 50,
        "tokensCached": 40,
        "costMicros": 600,
    }


async def test_a_floor_cannot_be_lowered(tmp_path: Path) -> None:
    strict = consumer(sensitivity_floor=2)
    async with (
        upstream(answers()) as open_one,
        upstream(answers()) as cleared,
        edge(
            tmp_path,
            table(backend("a", open_one.url, max_sensitivity=0), backend("b", cleared.url), consumers=(strict,)),
        ) as stage,
    ):
        response = await stage.ask(headers={"x-penstock-sensitivity": "public"})
        assert response.headers["x-penstock-backend"] == "b"
    assert open_one.asked == 0


@pytest.mark.parametrize(("path", "kind"), [("chat/completions", "requests"), ("messages", "tokens")])
async def test_a_limit_is_told_in_the_clients_dialect(tmp_path: Path, path: str, kind: str) -> None:
    limited = consumer(**{f"{kind}_per_minute": 1})
    async with upstream(answers()) as one:
        plan = table(backend("a", one.url), backend("b", one.url, protocol="Anthropic"), consumers=(limited,))
        async with edge(tmp_path, plan) as stage:
            assert (await stage.ask(f"/v1/{path}")).status == 200
            refused = await stage.ask(f"/v1/{path}")
            error = (await refused.json())["error"]
            assert (refused.status, error["type"], error["code"]) == (429, "rate_limit_error", "rate_limit_exceeded")
            assert error["message"].startswith(f"limits.{kind}PerMinute of the Consumer ai/tester is 1, and used up")
            assert 1 <= int(refused.headers["retry-after"]) <= 3600
            assert refused.headers["x-penstock-why"] == f"{kind}PerMinute"
            assert (refused.headers["x-penstock-route"], refused.headers["x-penstock-rule"]) == ("ai/chat", "all")
            told = {"consumer": "ai/tester", "limit": f"{kind}PerMinute"}
            assert stage.value("penstock_gateway_limited_total", **told) == 1
    assert one.asked == 1


async def test_a_replica_grants_its_share_of_a_limit(tmp_path: Path) -> None:
    async with (
        upstream(answers()) as one,
        edge(tmp_path, table(backend("a", one.url), consumers=(consumer(requests_per_minute=6),))) as stage,
    ):
        stage.parts.replica.sharing = 3
        assert [(await stage.ask()).status for _ in range(3)] == [200, 200, 429]


async def test_what_was_not_answered_takes_no_tokens(tmp_path: Path) -> None:
    """An answer takes what it tells (150 here), one that tells nothing the estimate, a failure nothing."""
    quiet = says(200, {"choices": []})
    async with (
        upstream(says(500), says(400), quiet, answers(), answers()) as one,
        edge(tmp_path, table(backend("a", one.url), consumers=(consumer(tokens_per_minute=160),))) as stage,
    ):
        assert [(await stage.ask()).status for _ in range(5)] == [503, 400, 200, 200, 429]
