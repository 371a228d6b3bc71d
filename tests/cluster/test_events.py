"""Events stay within their budget, count what repeats, and never get in anybody's way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from builders.clock import FakeClock, settle
from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import Invalid, NotFound
from penstock.cluster.events import EventRecorder, Reference
from penstock.cluster.resources import INFERENCE_POOLS, MODEL_DEPLOYMENTS, ResourceType
from penstock.errors import ClusterError

CHAT = Reference(MODEL_DEPLOYMENTS, "ns", "chat", "u1")


@dataclass
class EventAPI:
    """Keeps events as an API server does."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: ClusterError | None = None
    requests: int = 0

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """A new event under a new name."""
        self.requests += 1
        if self.failure is not None:
            raise self.failure
        name = manifest["metadata"]["name"]
        assert name not in self.events
        self.events[name] = manifest
        return manifest

    async def patch(
        self, kind: ResourceType, name: str, namespace: str, body: dict[str, Any], *, content_type: PatchType
    ) -> dict[str, Any]:
        """A merge."""
        self.requests += 1
        assert (kind.kind, content_type) == ("Event", PatchType.MERGE)
        if name not in self.events:
            message = "forgotten"
            raise NotFound(message)
        assert self.events[name]["metadata"]["namespace"] == namespace
        self.events[name] |= body
        return self.events[name]

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Messages and how often they were said."""
        return [(event["message"], event["count"]) for event in self.events.values()]


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[EventRecorder, EventAPI, FakeClock]]:
    """A recorder at work; it must not end by itself."""
    api, clock = EventAPI(), FakeClock()
    recorder = EventRecorder(cast("Client", api), clock, "pod-1")
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder, api, clock
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_event_says_what_it_is_about() -> None:
    """As kubectl shows it beside the object."""
    async with recording() as (recorder, api, _):
        recorder.record(CHAT, type="Normal", reason="Placed", message="on h100")
        await settle()
    (name, event), *others = api.events.items()
    assert not others
    assert name.startswith("chat.")
    assert event["involvedObject"] == {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "namespace": "ns",
        "name": "chat",
        "uid": "u1",
    }
    assert (event["type"], event["reason"], event["message"], event["count"]) == ("Normal", "Placed", "on h100", 1)
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-11-21T00:00:00Z"


async def test_an_object_without_a_namespace_has_its_events_in_the_default_one() -> None:
    """Where the API server wants them."""
    async with recording() as (recorder, api, _):
        recorder.record(Reference(INFERENCE_POOLS, "", "h100", "u2"), type="Normal", reason="Counted", message="x")
        await settle()
    (event,) = api.events.values()
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


async def test_what_repeats_is_counted() -> None:
    """One event, not three."""
    async with recording() as (recorder, api, clock):
        for _ in range(3):
            recorder.record(CHAT, type="Warning", reason="NoRoom", message="full")
            await clock.advance(1)
        assert api.counts == [("full", 3)]
        (event,) = api.events.values()
        assert event["lastTimestamp"] == "2026-11-21T00:00:02Z"


async def test_a_count_ends_with_its_window() -> None:
    """Old events go away by themselves; a new one starts at one."""
    async with recording() as (recorder, api, clock):
        for _ in range(2):
            recorder.record(CHAT, type="Warning", reason="NoRoom", message="full")
            await clock.advance(601)
        assert api.counts == [("full", 1), ("full", 1)]


async def test_an_event_that_the_server_forgot_is_made_anew() -> None:
    """It keeps them for an hour or less."""
    async with recording() as (recorder, api, clock):
        recorder.record(CHAT, type="Warning", reason="NoRoom", message="full")
        await clock.advance(1)
        api.events.clear()
        recorder.record(CHAT, type="Warning", reason="NoRoom", message="full")
        await clock.advance(1)
        assert api.counts == [("full", 1)]


async def test_many_messages_of_one_reason_become_one() -> None:
    """After ten within ten minutes."""
    async with recording() as (recorder, api, clock):
        for number in range(15):
            recorder.record(CHAT, type="Warning", reason="NoRoom", message=f"{number} GPUs short")
            await clock.advance(1)
        assert len(api.events) == 11
        assert api.counts[-1] == ("(similar events) NoRoom", 5)


async def test_one_noisy_object_does_not_silence_the_others() -> None:
    """Each has its own budget within everybody's."""
    async with recording() as (recorder, api, clock):
        for number in range(100):
            recorder.record(CHAT, type="Warning", reason=f"Reason{number}", message="x")
        await clock.advance(0)
        assert api.requests == 25
        assert recorder.dropped == 75
        recorder.record(replace(CHAT, name="quiet", uid="u2"), type="Normal", reason="Placed", message="x")
        await clock.advance(0)
        assert api.requests == 26


async def test_all_objects_together_have_a_budget() -> None:
    """Fifty at once, five per second after that."""
    async with recording() as (recorder, api, clock):
        for number in range(200):
            recorder.record(replace(CHAT, uid=f"u{number}"), type="Normal", reason="Placed", message="x")
        await settle(500)
        assert api.requests == 50
        assert recorder.dropped == 150
        await clock.advance(2)
        for number in range(20):
            recorder.record(replace(CHAT, uid=f"v{number}"), type="Normal", reason="Placed", message="x")
        await settle(100)
        assert api.requests == 60


async def test_a_full_queue_drops_and_counts() -> None:
    """Nobody waits for an event; nothing runs here."""
    recorder = EventRecorder(cast("Client", EventAPI()), FakeClock(), "pod-1")
    for _ in range(1200):
        recorder.record(CHAT, type="Normal", reason="Placed", message="x")
    assert recorder.dropped == 200


async def test_a_refusal_ends_nothing() -> None:
    """The next one is sent."""
    async with recording() as (recorder, api, clock):
        api.failure = Invalid("no")
        recorder.record(CHAT, type="Normal", reason="Placed", message="x" * 5000)
        await clock.advance(1)
        assert recorder.dropped == 1
        api.failure = None
        recorder.record(CHAT, type="Normal", reason="Placed", message="x" * 5000)
        await clock.advance(1)
        assert [len(message) for message, _ in api.counts] == [1024]


async def test_a_name_at_its_limit_makes_a_valid_event_name() -> None:
    """Cut where needed, and not at a dot."""
    about = replace(CHAT, name="a" * 199 + "." + "b" * 53)
    async with recording() as (recorder, api, _):
        recorder.record(about, type="Normal", reason="Placed", message="x")
        await settle()
    (name,) = api.events
    assert len(name) <= 253
    assert ".." not in name
