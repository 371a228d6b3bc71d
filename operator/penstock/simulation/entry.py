"""A gateway as its clients see it, and what the control-plane server and its replicas' disks say of it."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp

from penstock.errors import PenstockError
from penstock.gateways.litellm import GATEWAY_LABEL, gateway_name
from penstock.render.names import ROLE_LABEL
from penstock.server_client.client import LiveReplica, ServerClient
from penstock.simulation.cluster import SimulatedCluster
from penstock.simulation.load import LoadSettings, SteadyLoad

__all__ = ["NO_HEADERS", "Entry", "NotAnswered", "Reply"]

Object = dict[str, Any]
Place = tuple[str, str]

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_ASK_SECONDS = 20.0
_MARK = "x-penstock-"
_SPOOL = "spool"
_SHORT_TOKENS = 12


class NotAnswered(PenstockError):
    """The gateway gave no answer at all."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer or a refusal: `marks` are the edge's headers without `x-penstock-`, `chunks` the events of a stream."""

    status: int
    marks: Mapping[str, str]
    content: Object
    chunks: int = 0

    @property
    def pod(self) -> str:
        """The engine's pod that answered, empty where none did."""
        return str(self.content.get("system_fingerprint", ""))

    @property
    def refusal(self) -> str:
        """What the error says, empty where it is none."""
        return str((self.content.get("error") or {}).get("message", ""))


@dataclass(frozen=True, slots=True)
class Entry:
    """The gateway `place`, behind its Service; `server` is asked with the operator's token."""

    place: Place
    cluster: SimulatedCluster
    session: aiohttp.ClientSession
    server: ServerClient
    translates: bool
    """Whether LiteLLM is there."""

    @property
    def url(self) -> str:
        """Where clients on this machine reach it; KeyError where its Service is not there yet."""
        namespace, name = self.place
        return self.cluster.service_url(namespace, gateway_name(name))

    def pods(self) -> list[Object]:
        """Of its replicas."""
        namespace, name = self.place
        pods = self.cluster.server.objects("pods", namespace)
        wanted = {ROLE_LABEL: "gateway", GATEWAY_LABEL: name}
        return [pod for pod in pods if wanted.items() <= (pod["metadata"].get("labels") or {}).items()]

    def process(self, pod: str) -> int:
        """The process id of a replica; 0 where it does not run."""
        process = self.cluster.gateway(self.place[0], pod)
        return process.identity if process else 0

    async def replicas(self) -> tuple[LiveReplica, ...]:
        """Those that the server hears, with what each has applied."""
        live = await self.server.replicas("/".join(self.place))
        return live.replicas if live else ()

    async def table(self) -> Object:
        """What is published; empty while nothing is."""
        document = await self.server.table("/".join(self.place))
        found: Object = json.loads(document) if document else {}
        return found

    async def behind(self, wanted: Callable[[Object], bool] = bool) -> str:
        """Empty where the published table is as wanted, and every replica that should run has applied it."""
        table, replicas = await self.table(), await self.replicas()
        if not wanted(table):
            return f"the published table is still generation {table.get('generation', 0)}"
        late = [each.pod for each in replicas if each.generation < table["generation"]]
        if late or len(replicas) < len(self.pods()):
            return f"generation {table['generation']} is not applied by {', '.join(late) or 'all of them'}"
        return "" if replicas else "the server hears no replica"

    def key(self, consumer: Place) -> str:
        """A Consumer's key, from its Secret; empty while there is none."""
        live = self.cluster.server.get("consumers", *consumer)
        reference = (live or {}).get("spec", {}).get("keySecretRef", {})
        secret = self.cluster.server.get("secrets", consumer[0], reference.get("name", "")) or {}
        return base64.b64decode((secret.get("data") or {}).get(reference.get("key", ""), "")).decode()

    async def ask(
        self,
        model: str,
        key: str,
        *,
        stream: bool = False,
        tokens: int = _SHORT_TOKENS,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Reply:
        """One chat completion of exactly so many tokens; NotAnswered where nothing comes."""
        words = [{"role": "user", "content": "What are you?"}]
        body: Object = {"model": model, "messages": words, "max_tokens": tokens, "stream": stream}
        # As vLLM and SGLang know it: the answer does not end before.
        body["ignore_eos"] = True
        if stream:
            body["stream_options"] = {"include_usage": True}
        return await self._call("POST", "/v1/chat/completions", key, body, headers)

    async def message(self, model: str, key: str) -> Reply:
        """As a client that speaks Anthropic's Messages API; NotAnswered where nothing comes."""
        words = [{"role": "user", "content": "What are you?"}]
        body: Object = {"model": model, "messages": words, "max_tokens": _SHORT_TOKENS}
        return await self._call("POST", "/v1/messages", key, body, {"anthropic-version": "2023-06-01"})

    async def models(self, key: str) -> list[str]:
        """The names that a key may call."""
        reply = await self._call("GET", "/v1/models", key, None, NO_HEADERS)
        return [each["id"] for each in reply.content.get("data", ())]

    def load(self, route: Place, key: str, *, per_second: float) -> SteadyLoad:
        """Clients that keep asking under a Route's own name, half of them for streams."""
        return SteadyLoad(LoadSettings(url=self.url, model="/".join(route), key=key, per_second=per_second))

    def records(self, backend: str) -> list[Object]:
        """The usage records of a backend, from every replica's disk."""
        lines = (line for spool in self._spools() for file in spool.glob("usage-*.jsonl") for line in _lines(file))
        return [record for record in map(json.loads, lines) if record["backend"] == backend]

    def _spools(self) -> Iterator[Path]:
        gateways = self.cluster.runtime.gateways
        for pod in self.pods():
            place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
            sandbox = gateways.running.get(place) if gateways else None
            if sandbox is not None:
                yield sandbox.volumes.folder / _SPOOL

    async def _call(self, method: str, path: str, key: str, body: Object | None, headers: Mapping[str, str]) -> Reply:
        stated = {**headers, "Authorization": f"Bearer {key}"} if key else dict(headers)
        try:
            async with (
                asyncio.timeout(_ASK_SECONDS),
                self.session.request(method, self.url + path, json=body, headers=stated) as response,
            ):
                return await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            message = f"asking the gateway {'/'.join(self.place)} at {path}: {error or type(error).__name__}"
            raise NotAnswered(message) from error


async def _read(response: aiohttp.ClientResponse) -> Reply:
    told = {name.lower(): value for name, value in response.headers.items()}
    marks = {name.removeprefix(_MARK): value for name, value in told.items() if name.startswith(_MARK)}
    if response.content_type != "text/event-stream":
        return Reply(response.status, marks, await response.json())
    events = [line.decode().removeprefix("data:").strip() async for line in response.content]
    chunks = [json.loads(event) for event in events if event.startswith("{")]
    if "[DONE]" not in events:
        message = "the stream broke"
        raise aiohttp.ClientPayloadError(message)
    return Reply(response.status, marks, chunks[-1] if chunks else {}, len(chunks))


def _lines(file: Path) -> list[str]:
    """Whole ones: the last may just be written."""
    return [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
