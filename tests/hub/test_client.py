"""Asking a hub for a model: what is read, what is refused, and that nothing unbounded is taken."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest

from penstock.hub.client import Hub, HubQuestion
from penstock.hub.errors import CredentialsNeeded, HubUnavailable, MalformedModel, ModelNotFound
from penstock.hub.transport import Limits

SHA = "6f6073b423013f6a7d4d9f39144961bfbfbc386b"
CONFIG = {"model_type": "llama", "num_hidden_layers": 2}
SHARDS = {"model-00001-of-00002.safetensors": 3000, "model-00002-of-00002.safetensors": 2000}
INDEX = {"metadata": {"total_size": 4900}, "weight_map": dict(zip("abc", [*SHARDS, next(iter(SHARDS))], strict=True))}

Answer = httpx.Response | Exception


class Repository:
    """A hub that holds one repository; each path answers what it was given, anything else 404."""

    def __init__(self, model: str = "acme/chat", revision: str = "main") -> None:
        self.api = f"/api/models/{model}/revision/{revision}"
        self.files = f"/{model}/resolve/{SHA}/"
        self.answers: dict[str, Callable[[httpx.Request], Answer]] = {}
        self.requests: list[httpx.Request] = []
        self.listing({"config.json": 100, "model.safetensors.index.json": 200} | SHARDS)
        self.file("config.json", CONFIG)
        self.file("model.safetensors.index.json", INDEX)

    def listing(self, sizes: Mapping[str, int | None], **more: Any) -> "Repository":
        siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
        return self.at(self.api, httpx.Response(200, json={"sha": SHA, "siblings": siblings} | more))

    def file(self, name: str, content: Any) -> "Repository":
        body = content if isinstance(content, bytes) else json.dumps(content).encode()

        def answer(request: httpx.Request) -> httpx.Response:
            span = request.headers.get("range")
            if span is None:
                return httpx.Response(200, content=body)
            start, end = (int(part) for part in span.removeprefix("bytes=").split("-"))
            return httpx.Response(206, content=body[start : end + 1])

        self.answers[self.files + name] = answer
        return self

    def at(self, path: str, answer: Answer | Callable[[httpx.Request], Answer]) -> "Repository":
        if isinstance(answer, httpx.Response | Exception):
            self.answers[path] = lambda _: answer
        else:
            self.answers[path] = answer
        return self

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        handler = self.answers.get(request.url.path)
        answer = handler(request) if handler else httpx.Response(404)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hub(self, **options: Any) -> Hub:
        return Hub(base_url="https://hub.test", transport=httpx.MockTransport(self.handle), **options)


def question(**changes: Any) -> HubQuestion:
    return HubQuestion(**({"model": "acme/chat"} | changes))


async def test_config_size_and_commit_are_read() -> None:
    answer = await Repository().hub().facts(question())
    assert answer.config == CONFIG
    assert answer.weights_bytes == 5000
    assert answer.resolved_revision == SHA


async def test_what_is_read_is_pinned_to_the_commit_that_the_revision_named() -> None:
    repository = Repository(revision="v1.0")
    await repository.hub().facts(question(revision="v1.0"))
    paths = [request.url.path for request in repository.requests]
    assert paths[0] == "/api/models/acme/chat/revision/v1.0"
    assert all(path.startswith(f"/acme/chat/resolve/{SHA}/") for path in paths[1:])


async def test_weights_in_other_folders_are_not_counted_twice() -> None:
    """gpt-oss holds its weights again under original/ and metal/."""
    repository = Repository().listing(
        {
            "config.json": 1,
            "model.safetensors.index.json": 1,
            "original/model.safetensors": 5000,
            "metal/model.bin": 5000,
        }
        | SHARDS
    )
    assert (await repository.hub().facts(question())).weights_bytes == 5000


async def test_the_index_states_the_size_where_the_hub_does_not() -> None:
    repository = Repository().listing(dict.fromkeys(["config.json", "model.safetensors.index.json", *SHARDS]))
    assert (await repository.hub().facts(question())).weights_bytes == 4900


def safetensors(header: Any) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * 64


async def test_one_file_is_read_by_its_header_alone() -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "embed": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 800]},
        "experts": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [800, 1000]},
    }
    repository = Repository().listing({"config.json": 1, "model.safetensors": None})
    repository.file("model.safetensors", safetensors(header))
    answer = await repository.hub().facts(question())
    assert answer.weights_bytes == 1000
    assert answer.dtype_bytes == {"BF16": 800, "F8_E4M3": 200}
    assert [request.headers.get("range") for request in repository.requests[-2:]] == [
        "bytes=0-7",
        f"bytes=8-{7 + len(json.dumps(header))}",
    ]


async def test_older_formats_count_where_there_is_nothing_else() -> None:
    repository = Repository().listing(
        {"config.json": 1, "pytorch_model-1.bin": 700, "pytorch_model-2.bin": 300, "runs/x.bin": 9}
    )
    assert (await repository.hub().facts(question())).weights_bytes == 1000


async def test_a_repository_without_weights_has_no_size() -> None:
    repository = Repository().listing({"config.json": 1, "README.md": 9})
    assert (await repository.hub().facts(question())).weights_bytes is None


async def test_a_mirror_that_lists_no_files_is_asked_for_the_index() -> None:
    repository = Repository()
    repository.at(repository.api, httpx.Response(200, json={"sha": SHA}))
    assert (await repository.hub().facts(question())).weights_bytes == 4900


async def test_a_config_that_is_no_longer_there_is_a_missing_model() -> None:
    repository = Repository()
    repository.at(repository.files + "config.json", status(404))
    with pytest.raises(ModelNotFound):
        await repository.hub().facts(question())


async def test_a_format_in_a_file_of_its_own_is_added_to_the_config() -> None:
    repository = Repository().listing(
        {"config.json": 1, "hf_quant_config.json": 1, "model.safetensors.index.json": 1} | SHARDS
    )
    repository.file("hf_quant_config.json", {"quantization": {"quant_algo": "NVFP4", "group_size": 16}})
    answer = await repository.hub().facts(question())
    assert answer.config["quantization_config"] == {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}


async def test_a_mirror_is_asked_instead() -> None:
    repository = Repository()
    await repository.hub().facts(question(mirror_url="https://mirror.test"))
    assert {request.url.host for request in repository.requests} == {"mirror.test"}


async def test_a_mirror_below_a_path_keeps_it() -> None:
    repository = Repository()
    repository.answers = {f"/hf{path}": answer for path, answer in repository.answers.items()}
    answer = await repository.hub().facts(question(mirror_url="https://mirror.test/hf"))
    assert answer.weights_bytes == 5000


async def test_the_token_goes_to_the_hub_and_to_nobody_else() -> None:
    """Redirects lead to a store elsewhere, which must not learn it."""
    repository = Repository()
    elsewhere = httpx.Response(302, headers={"location": "https://store.test/config.json"})
    repository.at(repository.files + "config.json", elsewhere)
    repository.at("/config.json", httpx.Response(200, json=CONFIG))
    await repository.hub().facts(question(token="hf_secret"))
    sent = {request.url.host: request.headers.get("authorization") for request in repository.requests}
    assert sent == {"hub.test": "Bearer hf_secret", "store.test": None}


@pytest.mark.parametrize("token", ["", " ", "h\u00e9", "a\nb", "a\x00"])
async def test_what_can_be_no_token_is_named_and_not_shown(token: str) -> None:
    repository = Repository()
    with pytest.raises(CredentialsNeeded, match=r"spec\.credentialsRef") as refused:
        await repository.hub().facts(question(token=token))
    assert not token.strip() or token not in str(refused.value)
    assert not repository.requests


async def test_the_newline_of_a_file_is_not_part_of_the_token() -> None:
    repository = Repository()
    await repository.hub().facts(question(token="hf_secret\n"))
    assert repository.requests[0].headers["authorization"] == "Bearer hf_secret"


def test_the_token_is_not_shown() -> None:
    assert "hf_secret" not in repr(question(token="hf_secret"))


def status(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, headers={key.replace("_", "-"): value for key, value in headers.items()})


LISTING_FAULTS: dict[str, tuple[Answer, dict[str, Any], type[Exception], str]] = {
    "no such model": (status(404), {}, ModelNotFound, "acme/chat.*check `spec.model`"),
    "no such revision": (status(404, x_error_code="RevisionNotFound"), {"revision": "main"}, ModelNotFound, "'main'"),
    "private, no token": (status(401), {}, CredentialsNeeded, "name a Secret.*`spec.credentialsRef`"),
    "private, wrong token": (status(401), {"token": "t"}, CredentialsNeeded, "use another token"),
    "gated": (status(403, x_error_code="GatedRepo"), {"token": "t"}, CredentialsNeeded, "accept the model's terms"),
    "overloaded": (status(429, retry_after="17"), {}, HubUnavailable, "answered 429"),
    "broken": (status(503), {}, HubUnavailable, "answered 503"),
    "away": (httpx.ConnectError("refused"), {}, HubUnavailable, "cannot be reached"),
    "slow": (httpx.ReadTimeout("slow"), {}, HubUnavailable, "cannot be reached"),
    "an odd refusal": (status(418), {}, MalformedModel, "mirrorURL"),
    "not JSON": (httpx.Response(200, text="<html>"), {}, MalformedModel, "not JSON"),
    "deep JSON": (httpx.Response(200, text="[" * 100_000), {}, MalformedModel, "not JSON"),
    "no object": (httpx.Response(200, json=[1]), {}, MalformedModel, "no description"),
    "no config": (httpx.Response(200, json={"siblings": [{"rfilename": "a.gguf"}]}), {}, MalformedModel, "config.json"),
}


@pytest.mark.parametrize(("answer", "asked", "want", "match"), LISTING_FAULTS.values(), ids=LISTING_FAULTS.keys())
async def test_every_bad_answer_has_its_error_and_teaches(
    answer: Answer, asked: dict[str, Any], want: type[Exception], match: str
) -> None:
    repository = Repository()
    repository.at(repository.api, answer)
    with pytest.raises(want, match=match):
        await repository.hub().facts(question(**asked))


RETRY_AFTER = {"17": 17.0, "999999999": 3600.0, "Sat, 21 Nov 2026 05:00:00 GMT": None, "-1": None, "": None}


@pytest.mark.parametrize(("stated", "want"), RETRY_AFTER.items())
async def test_the_hubs_wish_to_be_left_alone_is_kept_within_reason(stated: str, want: float | None) -> None:
    repository = Repository()
    repository.at(repository.api, status(429, retry_after=stated))
    with pytest.raises(HubUnavailable) as unavailable:
        await repository.hub().facts(question())
    assert unavailable.value.retry_after == want


FILE_FAULTS: dict[str, tuple[str, Any, str]] = {
    "a config without end": ("config.json", b" " * (2**20 + 1), "larger than"),
    "a config that is a list": ("config.json", [], "not a JSON object"),
    "an index without end": ("model.safetensors.index.json", b" " * (32 * 2**20 + 1), "larger than"),
    "an index without a map": ("model.safetensors.index.json", {"metadata": {}}, "weight_map"),
    "an index that maps to numbers": ("model.safetensors.index.json", {"weight_map": {"a": 1}}, "weight_map"),
    "an index of nothing": ("model.safetensors.index.json", {"weight_map": {}}, "size of the weights"),
}


@pytest.mark.parametrize(("name", "content", "match"), FILE_FAULTS.values(), ids=FILE_FAULTS.keys())
async def test_malformed_files_are_refused(name: str, content: Any, match: str) -> None:
    with pytest.raises(MalformedModel, match=match):
        await Repository().file(name, content).hub().facts(question())


HEADERS = {
    "a length that would fill memory": struct.pack("<Q", 2**60),
    "shorter than it says": struct.pack("<Q", 500) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"nope",
    "empty": b"",
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS.keys())
async def test_malformed_headers_are_refused(content: bytes) -> None:
    repository = Repository().listing({"config.json": 1, "model.safetensors": 1}).file("model.safetensors", content)
    with pytest.raises(MalformedModel, match=r"model\.safetensors"):
        await repository.hub().facts(question())


async def test_a_server_that_ignores_ranges_is_stopped_at_once() -> None:
    repository = Repository().listing({"config.json": 1, "model.safetensors": 1})
    repository.at(repository.files + "model.safetensors", httpx.Response(200, content=b"x" * 10**6))
    with pytest.raises(MalformedModel, match="larger than 8 bytes"):
        await repository.hub().facts(question())


async def test_redirect_loops_end() -> None:
    repository = Repository()
    repository.at(repository.api, httpx.Response(302, headers={"location": f"https://hub.test{repository.api}"}))
    with pytest.raises(HubUnavailable, match="more than 5 times"):
        await repository.hub().facts(question())
    assert len(repository.requests) == 6


async def test_encryption_is_not_given_up_on_the_way() -> None:
    repository = Repository()
    repository.at(repository.api, httpx.Response(302, headers={"location": "http://hub.test/plain"}))
    with pytest.raises(HubUnavailable, match="unencrypted"):
        await repository.hub().facts(question())


async def test_a_hub_that_drips_is_left() -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    repository = Repository()
    repository.at(repository.api, lambda _: httpx.Response(200, content=drip()))
    with pytest.raises(HubUnavailable, match=r"more than 0\.05 s"):
        await repository.hub(limits=Limits(total_seconds=0.05)).facts(question())


CLIMBING = {"acme/..": None, "../etc": None, "acme/chat": "a/../../b", "acme/./x": None}


@pytest.mark.parametrize(("model", "revision"), CLIMBING.items())
async def test_names_that_climb_are_refused_before_anything_is_asked(model: str, revision: str | None) -> None:
    repository = Repository()
    with pytest.raises(ModelNotFound, match=r"spec\.model"):
        await repository.hub().facts(question(model=model, revision=revision))
    assert not repository.requests


async def test_branches_with_slashes_are_escaped() -> None:
    repository = Repository()
    with pytest.raises(ModelNotFound):
        await repository.hub().facts(question(revision="refs/pr/1"))
    assert repository.requests[0].url.raw_path.decode() == "/api/models/acme/chat/revision/refs%2Fpr%2F1?blobs=true"


@pytest.mark.parametrize(
    "url", ["ftp://mirror.test", "https://", "https://[", "http://a:99999999", "http://a:b", "text"]
)
async def test_a_mirror_that_is_no_address_is_reported(url: str) -> None:
    with pytest.raises(HubUnavailable, match="reading model 'acme/chat'"):
        await Hub(limits=Limits(total_seconds=5)).facts(question(mirror_url=url))


async def test_a_real_mirror_on_loopback_is_spoken_to() -> None:
    """Over a socket, with a body that comes in pieces."""
    repository = Repository()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        response = await repository.handle(httpx.Request("GET", f"http://mirror.test{target}"))
        head = (
            f"HTTP/1.1 {response.status_code} X\r\ncontent-length: {len(response.content)}\r\nconnection: close\r\n\r\n"
        )
        writer.write(head.encode())
        for position in range(0, len(response.content), 7):
            writer.write(response.content[position : position + 7])
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        answer = await Hub().facts(question(mirror_url=f"http://127.0.0.1:{port}"))
    assert (answer.config, answer.weights_bytes) == (CONFIG, 5000)


async def test_nobody_listening_is_an_unavailable_hub() -> None:
    with pytest.raises(HubUnavailable, match="cannot be reached"):
        await Hub(limits=Limits(total_seconds=5)).facts(question(mirror_url="http://127.0.0.1:1"))
