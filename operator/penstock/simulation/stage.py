"""Where the story plays: the cluster, a client, and checks that hold or end it."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from penstock.cluster.client import Client
from penstock.cluster.fake.player.objects import find_condition
from penstock.cluster.resources import MODEL_DEPLOYMENTS, ResourceType, resource_of
from penstock.errors import PenstockError
from penstock.simulation.cluster import SimulatedCluster
from penstock.simulation.entry import Entry
from penstock.simulation.operator_process import OperatorProcess
from penstock.simulation.provider import HostedProvider
from penstock.simulation.server_process import ServerProcess
from penstock.simulation.teller import Teller
from penstock.workqueue.clock import Clock

__all__ = ["Answer", "ClaimFailed", "Place", "Stage"]

Object = dict[str, Any]
Place = tuple[str, str]
WhyNot = Callable[[], str | Awaitable[str]]

_LOOK_EVERY_SECONDS = 0.05
_ASK_SECONDS = 20.0
_DEPLOYMENT_LABEL = "penstock.dev/deployment"


class ClaimFailed(PenstockError):
    """Something that the story says is not so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion: the pod that gave it, and the tokens that it counted."""

    pod: str
    tokens: int
    text: str


@dataclass(slots=True)
class Stage:
    """What every chapter is given; `claims` counts those that held.

    However fast the story's time goes, a claim has `least_seconds` of the machine's to come true.
    """

    cluster: SimulatedCluster
    client: Client
    operator: OperatorProcess
    server: ServerProcess
    entry: Entry
    hosted: HostedProvider
    session: aiohttp.ClientSession
    teller: Teller
    clock: Clock
    least_seconds: float = 0.0
    claims: int = 0
    completions: int = 0

    async def check(self, claim: str, why_not: WhyNot, *, within: float = 20.0) -> float:
        """Wait until `why_not` has no reason left; how long it took. ClaimFailed with the last one after `within`."""
        loop = asyncio.get_running_loop()
        began, latest = self.clock.monotonic(), loop.time() + self.least_seconds
        with self.teller.waiting(claim):
            while reason := self._trouble() or await _told(why_not):
                over = self.clock.monotonic() - began > within and loop.time() >= latest
                if over or self._trouble():
                    self._fail(claim, reason)
                await self.clock.sleep(_LOOK_EVERY_SECONDS)
        self.claims += 1
        seconds = self.clock.monotonic() - began
        self.teller.holds(claim, seconds)
        return seconds

    def require(self, claim: str, *, holds: bool, reason: str) -> None:
        """A claim that must hold now."""
        if not holds:
            self._fail(claim, reason)
        self.claims += 1
        self.teller.holds(claim, 0.0)

    def _trouble(self) -> str:
        """What makes waiting useless."""
        return self.operator.trouble() or self.server.trouble() or self.cluster.trouble()

    def _fail(self, claim: str, reason: str) -> None:
        self.teller.fails(claim, reason)
        message = f"{claim}: {reason}"
        raise ClaimFailed(message)

    async def apply(self, *manifests: Object) -> None:
        """Server-side apply over HTTP, as kubectl does it: without a namespace, `default` is meant."""
        for manifest in manifests:
            metadata = dict(manifest["metadata"])
            if resource_of(manifest).namespaced:
                metadata.setdefault("namespace", "default")
            await self.client.apply({**manifest, "metadata": metadata}, strict=True)

    def models(self) -> list[Object]:
        """Every ModelDeployment."""
        return self.cluster.server.objects("modeldeployments")

    def model(self, place: Place) -> Object:
        """One ModelDeployment; ClaimFailed where it is gone."""
        return self.resource(MODEL_DEPLOYMENTS, place)

    def resource(self, kind: ResourceType, place: Place) -> Object:
        """One of any kind; ClaimFailed where it is gone."""
        live = self.cluster.server.get(kind.plural, *place)
        if live is None:
            message = f"{kind.kind} {place[0]}/{place[1]} is gone"
            raise ClaimFailed(message)
        return live

    def plan(self, place: Place) -> Object:
        """The plan that serves, empty where none does."""
        found: Object = self.model(place).get("status", {}).get("plan") or {}
        return found

    def pool(self, name: str) -> Object:
        """The status of a pool."""
        live = self.cluster.server.get("inferencepools", "", name)
        found: Object = (live or {}).get("status", {})
        return found

    def why_not(self, place: Place, name: str, status: str = "True", *, of: ResourceType = MODEL_DEPLOYMENTS) -> str:
        """Empty where the condition of that name is as wanted and about the newest spec."""
        live = self.resource(of, place)
        condition = find_condition(live, name)
        if condition.get("observedGeneration") != live["metadata"]["generation"]:
            return f"{name} says nothing of generation {live['metadata']['generation']} yet"
        if condition.get("status") == status:
            return ""
        return f"{name}={condition.get('status')} {condition.get('reason', '')}: {condition.get('message', '')}"

    def pods(self, place: Place) -> list[Object]:
        """The engine pods of a deployment."""
        namespace, name = place
        pods = self.cluster.server.objects("pods", namespace)
        return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(_DEPLOYMENT_LABEL) == name]

    def events(self, place: Place, reason: str) -> list[str]:
        """What events with that reason say of a deployment."""
        namespace, name = place
        return [
            event["message"]
            for event in self.cluster.server.objects("events", namespace)
            if event["involvedObject"]["name"] == name and event["reason"] == reason
        ]

    async def ask(self, place: Place, *, stream: bool = False) -> Answer:
        """A chat completion through the deployment's Service; ClaimFailed where it does not come."""
        body: Object = {
            "model": place[1],
            "messages": [{"role": "user", "content": "What are you?"}],
            "max_tokens": 12,
            "stream": stream,
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                answer = await self._post(self.cluster.service_url(*place) + "/v1/chat/completions", body)
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError) as error:
            message = f"asking {place[0]}/{place[1]}: {error or type(error).__name__}"
            raise ClaimFailed(message) from error
        self.completions += 1
        return answer

    async def _post(self, url: str, body: Object) -> Answer:
        async with self.session.post(url, json=body) as response:
            response.raise_for_status()
            if not body["stream"]:
                answer = await response.json()
                text = answer["choices"][0]["message"]["content"]
                return Answer(answer["system_fingerprint"], answer["usage"]["completion_tokens"], text)
            return await _read_stream(response)


async def _told(why_not: WhyNot) -> str:
    answer = why_not()
    return await answer if inspect.isawaitable(answer) else answer


async def _read_stream(response: aiohttp.ClientResponse) -> Answer:
    """Put the chunks together; the usage comes in the last one."""
    text, tokens, pod, ended = "", 0, "", False
    async for line in response.content:
        words = line.decode().removeprefix("data: ").strip()
        ended = ended or words == "[DONE]"
        if words.startswith("{"):
            chunk = json.loads(words)
            pod = chunk["system_fingerprint"]
            tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
            text += "".join(choice["delta"].get("content", "") for choice in chunk["choices"])
    if not ended:
        message = "the stream broke"
        raise aiohttp.ClientPayloadError(message)
    return Answer(pod, tokens, text)
