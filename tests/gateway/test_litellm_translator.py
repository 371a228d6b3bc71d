"""Translation, with a module in LiteLLM's place that has its functions."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builders.edges import edge
from builders.tables import backend, table
from builders.upstreams import USAGE, answers, upstream
from penstock_gateway.asgi import Receive, Scope, Send, respond
from penstock_gateway.litellm_proxy import LiteLLMProxy
from penstock_gateway.litellm_translator import LiteLLMTranslator

PLACE = "http://provider"


class Answer(dict[str, Any]):
    """As LiteLLM's models dump themselves."""

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return dict(self)


class Failed(Exception):
    def __init__(self, status: int, told: str) -> None:
        super().__init__(told or f"provider says {status}")
        self.status_code = status


def module(calls: list[dict[str, Any]], *, status: int = 200, told: str = "") -> SimpleNamespace:
    """What is asked of it goes into `calls`."""

    async def chunks() -> AsyncIterator[Answer]:
        yield Answer(choices=[{"delta": {"content": "hi"}}])
        yield Answer(choices=[], usage=USAGE)

    async def acompletion(**arguments: Any) -> Any:
        calls.append(arguments)
        if status != 200:
            raise Failed(status, told)
        return chunks() if arguments.get("stream") else Answer(choices=[], usage=USAGE)

    async def acreate(**arguments: Any) -> Any:
        calls.append(arguments)
        if status != 200:
            raise Failed(status, told)
        return {"type": "message", "usage": {"input_tokens": 3, "output_tokens": 2}}

    messages = SimpleNamespace(acreate=acreate)
    return SimpleNamespace(acompletion=acompletion, anthropic=SimpleNamespace(messages=messages))


async def test_whole_answers_and_streams_are_translated(tmp_path: Path) -> None:
    """With one attempt of LiteLLM's, no word of prices, and the usage that the edge reads."""
    calls: list[dict[str, Any]] = []
    translator = LiteLLMTranslator(lambda: module(calls))
    plan = table(backend("a", PLACE, protocol="mistral"))
    async with edge(tmp_path, plan, translator=translator) as stage:
        whole = await stage.ask()
        assert (whole.status, await whole.json()) == (200, {"choices": [], "usage": USAGE})
        text = await (await stage.ask(body={"stream": True})).text()
        assert text == 'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'
        assert [record["tokensIn"] for record in await stage.records()] == [100, 100]
    assert calls[0]["model"] == "mistral/served"
    assert (calls[0]["max_retries"], calls[0]["num_retries"]) == (0, 0)
    assert not [name for name in calls[0] if "cost" in name]
    assert calls[1]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ("chat/completions", "model_list"),
        ("chat/completions", "custom_llm_provider"),
        ("chat/completions", "extra_headers"),
        ("chat/completions", "use_litellm_proxy"),
        ("chat/completions", "client"),
        ("messages", "context_management"),
        ("messages", "litellm_router"),
    ],
)
async def test_no_other_field_becomes_an_argument(tmp_path: Path, operation: str, field: str) -> None:
    """Some of LiteLLM's would send the request to where a client wants it."""
    calls: list[dict[str, Any]] = []
    plan = table(backend("a", PLACE, protocol="mistral"))
    async with edge(tmp_path, plan, translator=LiteLLMTranslator(lambda: module(calls))) as stage:
        response = await stage.ask(f"/v1/{operation}", body={field: "x"})
        assert response.status == 400
        assert f"{field}: cannot be translated for a; leave it out" in await response.text()
    assert calls == []


async def test_servers_among_the_tools_are_not_called(tmp_path: Path) -> None:
    calls: list[dict[str, Any]] = []
    plan = table(backend("a", PLACE, protocol="mistral"))
    async with edge(tmp_path, plan, translator=LiteLLMTranslator(lambda: module(calls))) as stage:
        assert (await stage.ask(body={"tools": [{"type": "mcp", "server_url": "http://x"}]})).status == 400
        assert (await stage.ask(body={"tools": [{"type": "function"}], "metadata": {"a": "b"}})).status == 200
    assert [set(call) & {"tools", "metadata"} for call in calls] == [{"tools"}]


@pytest.mark.parametrize("operation", ["chat/completions", "messages"])
async def test_an_error_is_told_in_the_providers_words_and_the_clients_form(tmp_path: Path, operation: str) -> None:
    told = 'litellm.BadRequestError: X - {"error": {"message": "too hot", "param": "temperature"}}'
    plan = table(backend("a", PLACE, protocol="mistral"))
    async with edge(tmp_path, plan, translator=LiteLLMTranslator(lambda: module([], status=400, told=told))) as stage:
        response = await stage.ask(f"/v1/{operation}")
        content = await response.json()
    assert response.status == 400
    assert content["error"]["message"] == "too hot"
    assert content.get("type") == ("error" if operation == "messages" else None)


async def test_messages_are_translated_for_a_backend_of_openais_protocol(tmp_path: Path) -> None:
    calls: list[dict[str, Any]] = []
    async with edge(tmp_path, table(backend("a", PLACE)), translator=LiteLLMTranslator(lambda: module(calls))) as stage:
        assert (await (await stage.ask("/v1/messages")).json())["type"] == "message"
    assert (calls[0]["model"], calls[0]["api_base"]) == ("hosted_vllm/served", f"{PLACE}/v1")


@pytest.mark.parametrize(("status", "want"), [(400, 400), (429, 200), (500, 200), (401, 200)])
async def test_errors_are_judged_as_an_upstreams(tmp_path: Path, status: int, want: int) -> None:
    translator = LiteLLMTranslator(lambda: module([], status=status))
    async with upstream(answers()) as good:
        plan = table(backend("a", PLACE, protocol="mistral"), backend("b", good.url))
        async with edge(tmp_path, plan, translator=translator) as stage:
            assert (await stage.ask()).status == want


def not_installed() -> Any:
    raise ModuleNotFoundError


@pytest.mark.parametrize("translator", [None, not_installed], ids=["none", "not installed"])
async def test_without_a_translator_the_next_backend_answers(
    tmp_path: Path, translator: Callable[[], Any] | None
) -> None:
    async with upstream(answers()) as good:
        plan = table(backend("a", PLACE, protocol="mistral"), backend("b", good.url))
        translating = LiteLLMTranslator(translator) if translator else None
        async with edge(tmp_path, plan, translator=translating) as stage:
            response = await stage.ask()
            assert response.headers["x-penstock-why"] == "after a NoTranslator"


async def test_the_proxys_lifespan_is_started_before_its_first_request(tmp_path: Path) -> None:
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        else:
            await respond(send, 200, json.dumps(scope["path"]).encode())

    proxy = LiteLLMProxy(Path("config.yaml"), lambda: application)
    async with edge(tmp_path, table(backend("a", PLACE)), downstream=proxy) as stage:
        for _ in range(2):
            async with stage.client.get(stage.url + "/v1/files") as response:
                assert await response.json() == "/v1/files"
    await proxy.close()
    assert seen == ["lifespan", "http", "http"]
