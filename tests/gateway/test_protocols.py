"""Every pair of a provider's type and an operation that routing allows: what is sent, whose key, what comes back.

Pairs that are translated run through the real LiteLLM, in the gateway's own environment (`make gateway`).
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from builders.edges import Stage, edge
from builders.provider_upstreams import provides
from builders.tables import KEY, backend, table
from builders.upstreams import Handler, Upstream, answers, nowhere, says, upstream
from penstock.api.modelprovider import ProviderType
from penstock.routing.providers import interface_of
from penstock_policy.table import Route, Rule, Share, Table
from penstock_policy.wire import encode

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-gateway" / "bin" / "python"
TYPES = (ProviderType.OPENAI, ProviderType.OPENAI_COMPATIBLE, ProviderType.ANTHROPIC, ProviderType.MISTRAL)
PAIRS = [(kind, operation) for kind in TYPES for operation in interface_of(kind).operations]
DIALECTS = {"messages": "Anthropic"}
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "completions": {"prompt": "hi"},
    "embeddings": {"input": "hi"},
    "responses": {"input": "hi"},
    "messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10},
}
BEARER = {"authorization": "Bearer sk-upstream"}
X_API_KEY = {"x-api-key": "sk-upstream", "anthropic-version": "2023-06-01"}


def is_forwarded(kind: ProviderType, operation: str) -> bool:
    return interface_of(kind).protocol == DIALECTS.get(operation, "OpenAI")


FORWARDED = [pair for pair in PAIRS if is_forwarded(*pair)]
TRANSLATED = [pair for pair in PAIRS if not is_forwarded(*pair)]


def keys(folder: Path) -> Path:
    """As a Secret is mounted."""
    (folder / "keys").mkdir()
    (folder / "keys" / "provider").write_text("sk-upstream\n")
    return folder / "keys"


def hosted(kind: ProviderType, url: str) -> Any:
    """One model of such a provider."""
    interface = interface_of(kind)
    return backend(
        str(kind),
        url,
        kind="Provider",
        protocol=interface.protocol,
        operations=interface.operations,
        credential="provider",
    )


def own(seen: dict[str, str]) -> dict[str, str]:
    """The headers that say who asks."""
    return {name: seen[name] for name in ("authorization", "x-api-key", "anthropic-version") if name in seen}


def test_pairs_are_those_of_routing() -> None:
    assert len(FORWARDED) == 9
    assert TRANSLATED == [
        (ProviderType.ANTHROPIC, "chat/completions"),
        (ProviderType.MISTRAL, "chat/completions"),
        (ProviderType.MISTRAL, "embeddings"),
    ]


@pytest.mark.parametrize(("kind", "operation"), FORWARDED)
async def test_what_is_forwarded(tmp_path: Path, kind: ProviderType, operation: str) -> None:
    """The client's bytes but for the model, the provider's key, and the answer's own bytes."""
    async with (
        upstream(provides) as one,
        edge(tmp_path, table(hosted(kind, one.url))) as stage,
    ):
        with_keys(stage, tmp_path)
        response = await stage.ask(f"/v1/{operation}", raw=body_of(operation))
        assert (response.status, await response.json()) == (200, await whole_of(one, operation))
        (record,) = await stage.records()
    assert one.paths[0] == f"/v1/{operation}"
    assert one.bodies[0] == {**BODIES[operation], "model": "served"}
    assert own(one.headers[0]) == (X_API_KEY if operation == "messages" else BEARER)
    assert record["tokensIn"] == 10


def with_keys(stage: Stage, folder: Path) -> None:
    stage.parts.credentials.folder = keys(folder)
    stage.parts.credentials.refresh()


def body_of(operation: str, model: str = "chat", **more: Any) -> bytes:
    return json.dumps({**BODIES[operation], "model": model, **more}).encode()


async def whole_of(one: Upstream, operation: str) -> Any:
    """What it says when it is asked directly."""
    async with aiohttp.ClientSession() as client, client.post(f"{one.url}/v1/{operation}", json={}) as answer:
        return await answer.json()


UNKNOWN: list[tuple[str, Handler]] = [
    ("OpenAI", says(404, {"error": {"message": "The model `served` does not exist", "code": "model_not_found"}})),
    ("Anthropic", says(404, {"type": "error", "error": {"type": "not_found_error", "message": "model: served"}})),
    ("Mistral", says(400, {"object": "error", "message": "Invalid model: served", "type": "invalid_model"})),
    ("by the field", says(400, {"error": {"message": "no such thing", "param": "model"}})),
]


@pytest.mark.parametrize("lie", [handler for _, handler in UNKNOWN], ids=[name for name, _ in UNKNOWN])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_provider_without_the_model_is_at_fault_itself(tmp_path: Path, lie: Handler, *, stream: bool) -> None:
    """Another backend answers; no circuit opens for it, because a client cannot know and a typing error is repaired."""
    async with upstream(lie) as liar, upstream(provides) as good:
        plan = table(hosted(ProviderType.OPENAI, liar.url), backend("b", good.url))
        async with edge(tmp_path, plan) as stage:
            with_keys(stage, tmp_path)
            for _ in range(4):
                response = await stage.ask(body={"stream": stream})
                assert (response.status, response.headers["x-penstock-why"]) == (200, "after OpenAI NotFound")
    assert liar.asked == 4


async def test_a_client_is_told_when_nobody_has_the_model(tmp_path: Path) -> None:
    """By the gateway's names: the provider's name of the model is not what the client asked for."""
    async with (
        upstream(UNKNOWN[2][1]) as liar,
        edge(tmp_path, table(hosted(ProviderType.OPENAI, liar.url))) as stage,
    ):
        with_keys(stage, tmp_path)
        response = await stage.ask()
        message = (await response.json())["error"]["message"]
        assert (response.status, message) == (503, "No backend of ai/chat answered: OpenAI: NotFound")


@pytest.mark.parametrize(
    "message",
    ["This model's maximum context length is 10 tokens", "served cannot read images", "temperature: too hot"],
)
async def test_a_clients_own_error_is_not_taken_for_one_of_the_model(tmp_path: Path, message: str) -> None:
    async with (
        upstream(says(400, {"error": {"message": message, "param": "messages"}})) as one,
        upstream(answers()) as other,
        edge(tmp_path, table(backend("a", one.url), backend("b", other.url))) as stage,
    ):
        assert (await stage.ask()).status == 400
    assert other.asked == 0


def routed(**urls: str) -> Table:
    """A route for each, by its name."""
    kinds = {"anthropic": ProviderType.ANTHROPIC, "mistral": ProviderType.MISTRAL}
    backends = [replace(hosted(kinds[name], url), name=name) for name, url in urls.items() if name in kinds]
    backends.append(backend("own", urls["own"]))
    rules = {name: Rule("all", (Share(name),)) for name in urls}
    routes = tuple(Route(f"ai/{name}", (name,), (rule,)) for name, rule in rules.items())
    made = table(*backends)
    (caller,) = made.consumers
    return replace(made, routes=routes, consumers=(replace(caller, routes=frozenset(r.name for r in routes)),))


@asynccontextmanager
async def real_gateway(folder: Path, plan: Table) -> AsyncIterator[str]:
    """A process with LiteLLM, and where it listens."""
    urls = [await nowhere(), await nowhere()]
    ports = [url.rsplit(":", 1)[1] for url in urls]
    (folder / "table.json").write_bytes(encode(plan))
    process = await asyncio.create_subprocess_exec(
        *(PYTHON, "-m", "penstock_gateway", "--host", "127.0.0.1", "--gateway", "ai/main", "--pod-uid", "uid-1"),
        *("--port", ports[0], "--internal-port", ports[1], "--linger-seconds", "0", "--drain-seconds", "1"),
        *("--table-file", folder / "table.json", "--spool-dir", folder / "spool", "--credentials-dir", keys(folder)),
        *("--litellm-config", folder / "litellm.yaml"),
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as client:
            while not await _ready(client, urls[1]):
                await asyncio.sleep(0.05)
        yield urls[0]
    finally:
        process.terminate()
        await process.wait()


async def _ready(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(f"{url}/health/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


CASES = [
    # the client's model and operation, streamed or not, the upstream's path and headers
    ("anthropic", "chat/completions", False, "/v1/messages", X_API_KEY),
    ("anthropic", "chat/completions", True, "/v1/messages", X_API_KEY),
    ("mistral", "chat/completions", False, "/v1/chat/completions", BEARER),
    ("mistral", "chat/completions", True, "/v1/chat/completions", BEARER),
    ("mistral", "embeddings", False, "/v1/embeddings", BEARER),
    ("own", "messages", False, "/v1/chat/completions", {"authorization": "Bearer none"}),
    ("own", "messages", True, "/v1/chat/completions", {"authorization": "Bearer none"}),
]


@pytest.mark.skipif(not PYTHON.exists(), reason="`make gateway` makes the environment with LiteLLM")
@pytest.mark.timeout(120)
async def test_what_litellm_translates(tmp_path: Path) -> None:
    """One process for all, because LiteLLM takes seconds to load."""
    async with upstream(provides) as one, upstream(UNKNOWN[2][1]) as liar:
        plan = routed(anthropic=one.url, mistral=one.url, own=one.url)
        async with real_gateway(tmp_path, plan) as url, aiohttp.ClientSession() as client:
            headers = {"Authorization": f"Bearer {KEY}"}

            async def ask(model: str, operation: str, **more: Any) -> tuple[int, bytes]:
                data = body_of(operation, model, **more)
                async with client.post(f"{url}/v1/{operation}", data=data, headers=headers) as response:
                    return response.status, await response.read()

            for model, operation, stream, path, sent in CASES:
                seen = one.asked
                status, text = await ask(model, operation, **({"stream": True} if stream else {}))
                assert (status, one.asked) == (200, seen + 1), (model, operation, text)
                assert (one.paths[-1], one.bodies[-1]["model"]) == (path, "served")
                assert own(one.headers[-1]) == sent
                assert (b"hello" in text) == (operation != "embeddings")
                if stream:
                    # Nobody asked for usage, so OpenAI's clients get none.
                    assert (b'"usage"' in text) == (operation == "messages")
            stolen = [{"model_name": "mistral/served", "litellm_params": {"model": "openai/x", "api_base": liar.url}}]
            status, text = await ask("mistral", "chat/completions", model_list=stolen)
            assert (status, json.loads(text)["error"]["param"]) == (400, "model_list")
        lines = [line for file in tmp_path.glob("spool/*") for line in file.read_text().splitlines()]
    tokens = [(record["tokensIn"], record["tokensOut"]) for record in map(json.loads, lines)][: len(CASES)]
    assert tokens == [(10, 0 if operation == "embeddings" else 5) for _, operation, *_ in CASES]
    assert liar.asked == 0
