"""A hosted provider over real HTTP: its key, its answers, and its faults."""

import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from builders.clock import InstantClock
from penstock.simulation.provider import HostedProvider, ProviderSettings

KEY = "sk-provider"
SETTINGS = ProviderSettings(name="north", models=("large", "embed"), key=KEY)
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def provider() -> AsyncIterator[HostedProvider]:
    """Up, and as fast as it can be."""
    async with HostedProvider(SETTINGS, clock=InstantClock()) as made:
        yield made


@pytest.fixture
async def session(provider: HostedProvider) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with the key."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(provider.url, headers=headers) as made:
        yield made


async def chat(session: aiohttp.ClientSession, **more: Any) -> tuple[int, dict[str, Any]]:
    """A chat completion that is not streamed."""
    body = {"model": "large", "messages": MESSAGES, "max_tokens": 3, **more}
    async with session.post("/v1/chat/completions", json=body) as response:
        return response.status, await response.json()


async def embed(session: aiohttp.ClientSession, **body: Any) -> tuple[int, dict[str, Any]]:
    """Embeddings."""
    async with session.post("/v1/embeddings", json={"model": "embed", **body}) as response:
        return response.status, await response.json()


async def test_it_says_who_it_is_and_counts_tokens(provider: HostedProvider, session: aiohttp.ClientSession) -> None:
    status, answer = await chat(session)
    assert (status, answer["system_fingerprint"], answer["model"]) == (200, "north", "large")
    assert answer["usage"]["completion_tokens"] == 3
    assert provider.requests == {"/v1/chat/completions": 1}


async def test_streams_end_with_their_usage(session: aiohttp.ClientSession) -> None:
    options = {"model": "large", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    async with session.post("/v1/chat/completions", json=options) as response:
        words = [line.decode().removeprefix("data: ").strip() async for line in response.content if line.strip()]
    assert words[-1] == "[DONE]"
    assert json.loads(words[-2])["usage"]["completion_tokens"] == 24
    assert {json.loads(word)["system_fingerprint"] for word in words[:-1]} == {"north"}


async def test_it_lists_its_models(session: aiohttp.ClientSession) -> None:
    async with session.get("/v1/models") as response:
        assert [each["id"] for each in (await response.json())["data"]] == ["large", "embed"]


async def test_embeddings_depend_on_the_text_alone(session: aiohttp.ClientSession) -> None:
    status, answer = await embed(session, input=["one", "two", "one"])
    first, second, third = (each["embedding"] for each in answer["data"])
    assert (status, answer["system_fingerprint"]) == (200, "north")
    assert first == third != second
    assert sum(value * value for value in first) == pytest.approx(1)
    assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


async def test_embeddings_may_be_packed_and_of_another_length(session: aiohttp.ClientSession) -> None:
    _, plain = await embed(session, input="one", dimensions=40)
    _, packed = await embed(session, input="one", dimensions=40, encoding_format="base64")
    values = struct.unpack("<40f", base64.b64decode(packed["data"][0]["embedding"]))
    assert list(values) == pytest.approx(plain["data"][0]["embedding"])


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no input": ({}, 400, "input: a string or a list of 1 to 2048 strings"),
    "nothing": ({"input": []}, 400, "input:"),
    "numbers": ({"input": [1]}, 400, "input:"),
    "too many": ({"input": ["a"] * 2049}, 400, "input:"),
    "another model": ({"input": "a", "model": "nobody"}, 404, "`nobody` does not exist"),
    "dimensions": ({"input": "a", "dimensions": 5000}, 400, "dimensions: 5000 is not between 1 and 4096"),
}


@pytest.mark.parametrize(("body", "status", "want"), REFUSED.values(), ids=REFUSED)
async def test_embeddings_are_refused_with_the_reason(
    body: dict[str, Any], status: int, want: str, session: aiohttp.ClientSession
) -> None:
    got, answer = await embed(session, **body)
    assert got == status
    assert want in answer["error"]["message"]


@pytest.mark.parametrize("given", ["", "Bearer sk-other", f"Basic {KEY}", "Bearer schlüssel"])
async def test_nobody_gets_in_without_the_key(given: str, provider: HostedProvider) -> None:
    headers = {"Authorization": given} if given else {}
    async with aiohttp.ClientSession(provider.url) as session:
        for path in ("/v1/chat/completions", "/v1/embeddings"):
            async with session.post(path, json={"model": "large", "messages": MESSAGES}, headers=headers) as response:
                assert response.status == 401
                assert KEY not in await response.text()
    assert provider.refused == {401: 2}


async def test_an_engines_other_routes_are_not_there(provider: HostedProvider, session: aiohttp.ClientSession) -> None:
    for path in ("/health", "/metrics", "/version"):
        async with session.get(path) as response:
            assert response.status == 404
    assert provider.requests == {"other": 3}


@pytest.mark.parametrize(
    ("switch", "status"),
    [
        pytest.param("limited", 429, id="limit"),
        pytest.param("unavailable", 503, id="overload"),
        pytest.param("error", 500, id="error"),
    ],
)
async def test_faults_at_the_switch(
    switch: str, status: int, provider: HostedProvider, session: aiohttp.ClientSession
) -> None:
    """And back."""
    setattr(provider.faults, switch, True)
    assert (await chat(session))[0] == status
    setattr(provider.faults, switch, False)
    assert (await chat(session))[0] == 200
    assert provider.refused == {status: 1}


@pytest.mark.parametrize(("after", "want"), [(7, "7"), (None, None)])
async def test_a_limit_may_say_when_to_come_back(
    after: int | None, want: str | None, provider: HostedProvider, session: aiohttp.ClientSession
) -> None:
    provider.faults.limited, provider.faults.retry_after = True, after
    async with session.get("/v1/models") as response:
        assert response.headers.get("Retry-After") == want


async def test_one_that_is_down_cuts_connections(provider: HostedProvider, session: aiohttp.ClientSession) -> None:
    provider.faults.down = True
    with pytest.raises(aiohttp.ClientError):
        await chat(session)
    provider.faults.down = False
    assert (await chat(session))[0] == 200


async def test_one_that_is_slow_takes_its_time() -> None:
    """Ten times as much of the clock's."""
    seconds = []
    for factor in (1.0, 10.0):
        clock = InstantClock()
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            HostedProvider(SETTINGS, clock=clock) as provider,
            aiohttp.ClientSession(provider.url, headers=headers) as session,
        ):
            provider.faults.slow = factor
            await chat(session)
        seconds.append(clock.monotonic())
    assert seconds[1] == pytest.approx(10 * seconds[0])


def test_its_key_is_in_no_representation() -> None:
    assert KEY not in repr(SETTINGS)
