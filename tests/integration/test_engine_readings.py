"""What engines say of themselves, from their /metrics to the status, the ConfigMap and the next plan."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from integration.stage import Running, Stage, condition, deployment
from penstock.engine_readings.client import EngineClient

Object = dict[str, Any]
LEARNT = ("configmaps", "penstock-system", "penstock-learnt")


def room(tokens: int | str) -> httpx.Response:
    """An engine that says how much its cache holds."""
    text = f'vllm:num_requests_running 0\nvllm:cache_config_info{{kv_cache_size_tokens="{tokens}"}} 1.0\n'
    return httpx.Response(200, text=text)


def refused() -> httpx.Response:
    message = "refused"
    raise httpx.ConnectError(message)


@dataclass
class Engines:
    """All engines of the cluster, which answer alike."""

    cluster: Stage
    answer: Callable[[], httpx.Response] = lambda: room(10_000_000)
    asked: list[str] = field(default_factory=list)

    async def start(self) -> Running:
        """An operator that asks them."""
        running = await self.cluster.start(read_engines=True)
        running.operator.engines = EngineClient(transport=httpx.MockTransport(self._answered))
        return running

    async def restart(self) -> Running:
        await self.cluster.kill()
        return await self.start()

    async def asked_again(self) -> None:
        """Wait until another question was answered, and everything that it led to is done."""
        before = len(self.asked)
        await self.cluster.until(lambda: len(self.asked) > before)
        await self.cluster.rest()

    def _answered(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        return self.answer()


@pytest.fixture
async def engines(cluster: Stage) -> Engines:
    await cluster.kill()
    return Engines(cluster)


def accuracy(cluster: Stage) -> tuple[str, str]:
    found = condition(cluster.md(), "PlanAccuracy")
    return found.get("status", ""), found.get("reason", "")


async def test_an_engine_with_less_room_than_planned_is_told(engines: Engines) -> None:
    """With the numbers; a restart finds it as it was, and writes nothing."""
    cluster = engines.cluster
    engines.answer = lambda: room(100_000)
    await engines.start()
    cluster.put(deployment())
    await cluster.until(lambda: accuracy(cluster) == ("False", "LessRoomThanPlanned"))
    await cluster.ready()
    message = condition(cluster.md(), "PlanAccuracy")["message"]
    planned = cluster.md()["status"]["plan"]["kvTokens"]
    assert "100,000 tokens" in message
    assert f"{planned:,}" in message
    assert cluster.md()["status"]["reported"] == {"revision": cluster.serving(), "kvTokens": 100_000}
    await cluster.until(lambda: cluster.server.get(*LEARNT) is not None)
    await cluster.rest()
    writes = cluster.writes()
    await engines.restart()
    await engines.asked_again()
    assert cluster.writes() == writes


async def test_an_engine_with_the_room_that_was_planned(engines: Engines) -> None:
    cluster = engines.cluster
    await engines.start()
    cluster.put(deployment())
    await cluster.until(lambda: accuracy(cluster) == ("True", "AsPlanned"))
    await cluster.ready()


BROKEN: dict[str, Callable[[], httpx.Response]] = {
    "nobody answers": refused,
    "a page": lambda: httpx.Response(200, text="<html>vllm:num_requests_running 1</html>"),
    "more than there is": lambda: room("9" * 300),
}


async def test_what_cannot_be_read_changes_nothing(engines: Engines) -> None:
    """Each kind of nonsense in turn: it serves, nothing is said, and nothing is written."""
    cluster = engines.cluster
    for name, answer in BROKEN.items():
        engines.answer = answer
        await engines.start()
        if name == next(iter(BROKEN)):
            cluster.put(deployment())
        await cluster.ready()
        await cluster.until(lambda: engines.asked)
        writes = cluster.writes()
        await cluster.rest()
        assert (name, accuracy(cluster), cluster.md()["status"].get("reported")) == (name, ("", ""), None)
        assert (name, cluster.writes()) == (name, writes)
        engines.asked.clear()
        await cluster.kill()
    assert cluster.server.get(*LEARNT) is None


async def test_what_was_known_stays_while_nobody_answers(engines: Engines) -> None:
    cluster = engines.cluster
    engines.answer = lambda: room(100_000)
    await engines.start()
    cluster.put(deployment())
    await cluster.until(lambda: accuracy(cluster) == ("False", "LessRoomThanPlanned"))
    await cluster.rest()
    before = cluster.md()["status"]
    engines.answer = refused
    await engines.restart()
    await engines.asked_again()
    assert cluster.md()["status"] == before


async def test_the_next_plan_counts_on_what_was_learnt(engines: Engines) -> None:
    """Also that of the next operator; who asks for a longer context is told why it does not fit."""
    cluster = engines.cluster
    engines.answer = lambda: room(20_000)
    await engines.start()
    cluster.put(deployment())
    await cluster.until(lambda: cluster.server.get(*LEARNT) is not None)
    await cluster.rest()
    assert accuracy(cluster) == ("False", "ContextBeyondRoom")
    await engines.restart()
    cluster.put(deployment("two"))
    await cluster.ready("two")
    assert cluster.md("two")["status"]["plan"]["kvTokens"] == 20_000
    assert cluster.md("two")["status"]["plan"]["maxContextTokens"] == 20_000
    asked = cluster.md()["status"]["plan"]["maxContextTokens"]
    cluster.put(deployment("three", workload={"maxContextTokens": asked}))
    await cluster.until(lambda: cluster.md("three").get("status", {}).get("rejected"))
    lost = [each for each in cluster.md("three")["status"]["rejected"] if each["reason"] == "ContextDoesNotFit"]
    assert any(each["tensorParallel"] == 1 and "20,000 tokens" in each["message"] for each in lost)


async def test_what_somebody_else_wrote_there_is_learnt_anew(engines: Engines) -> None:
    """Nonsense in the ConfigMap harms nobody."""
    cluster = engines.cluster
    place = {"name": "penstock-learnt", "namespace": "penstock-system"}
    cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": {"learnt": "[1, NaN"}})
    engines.answer = lambda: room(100_000)
    await engines.start()
    cluster.put(deployment())
    await cluster.ready()
    await cluster.until(lambda: "100000" in (cluster.server.get(*LEARNT) or {})["data"]["learnt"])
