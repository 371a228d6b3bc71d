"""What needs attention: one finding per resource, its urgency from the worst, its cause from the root."""

from typing import Any

import pytest

from builders.day_two import NOW, chat, condition, gateway, h100_pool, resource, route
from penstock.operations.attention import Urgency, findings

FINE = tuple(map(condition, ("Accepted", "Placed", "Available", "Ready")))


def stage(live: dict[str, Any], *, generation: int = 1, deleted: str = "") -> dict[str, Any]:
    metadata = {**live["metadata"], "generation": generation, **({"deletionTimestamp": deleted} if deleted else {})}
    return {**live, "metadata": metadata}


CASES: dict[str, tuple[dict[str, Any], tuple[Urgency, str, str] | None]] = {
    "serves": (chat(*FINE), None),
    "scaled to zero on purpose": (
        chat(
            condition("Accepted"),
            condition("Available", "False", "ScaledToZero"),
            condition("Ready", "False", "ScaledToZero"),
        ),
        None,
    ),
    "no route to it": (chat(*FINE, condition("Routable", "False", "NotRouted")), None),
    "no place: the cause is told, not its consequences": (
        chat(
            condition("Accepted"),
            condition("Placed", "False", "NoCapacity"),
            condition("Available", "False", "NoCapacity"),
            condition("Ready", "False", "NoCapacity"),
        ),
        (Urgency.NOT_SERVING, "Placed", "NoCapacity"),
    ),
    "loads for a moment": (
        chat(condition("Accepted"), condition("Available", "False", "Loading", minutes=3)),
        (Urgency.PENDING, "Available", "Loading"),
    ),
    "loads for too long": (
        chat(condition("Accepted"), condition("Available", "False", "Loading", minutes=16)),
        (Urgency.NOT_SERVING, "Available", "Loading"),
    ),
    "crashes from the start": (
        chat(condition("Accepted"), condition("Available", "False", "CrashLoopBackOff", minutes=1)),
        (Urgency.NOT_SERVING, "Available", "CrashLoopBackOff"),
    ),
    "refused, and the former spec serves": (
        chat(condition("Accepted", "False", "Invalid"), condition("Available"), condition("Ready", "False", "Invalid")),
        (Urgency.REFUSED, "Accepted", "Invalid"),
    ),
    "refused, and nothing serves": (
        chat(condition("Accepted", "False", "Invalid"), condition("Available", "False", "Invalid")),
        (Urgency.NOT_SERVING, "Accepted", "Invalid"),
    ),
    "a gateway replica behind": (
        gateway(condition("Accepted"), condition("Available"), condition("Programmed", "False", "ReplicaBehind")),
        (Urgency.DEGRADED, "Programmed", "ReplicaBehind"),
    ),
    "a route that nobody answers": (
        route(condition("Accepted"), condition("Ready", "False", "NoLiveBackend"), backends=()),
        (Urgency.NOT_SERVING, "Ready", "NoLiveBackend"),
    ),
    "a route with a backend missing": (
        route(condition("Accepted"), condition("ResolvedRefs", "False", "NotFound"), condition("Ready")),
        (Urgency.DEGRADED, "ResolvedRefs", "NotFound"),
    ),
    "a pool that shares nodes": (
        h100_pool(condition("Accepted"), condition("Exclusive", "False", "Overlap"), condition("Ready")),
        (Urgency.DEGRADED, "Exclusive", "Overlap"),
    ),
    "nobody looked yet": (
        resource("ModelDeployment", "chat", "assistants"),
        (Urgency.PENDING, "Accepted", "NotObserved"),
    ),
    "the newest spec is not seen": (stage(chat(*FINE), generation=2), (Urgency.PENDING, "Accepted", "NotObserved")),
    "is drained": (
        stage(chat(*FINE, condition("Drained", "Unknown", "NotAcknowledged")), deleted="2026-11-01T11:59:00Z"),
        (Urgency.PENDING, "Drained", "NotAcknowledged"),
    ),
    "deletion hangs": (
        stage(chat(*FINE), deleted="2026-11-01T11:00:00Z"),
        (Urgency.DEGRADED, "Deleted", "Deleting"),
    ),
    "another version's status": (
        {**chat(*FINE), "status": {"conditions": "none"}},
        (Urgency.PENDING, "Accepted", "NotObserved"),
    ),
}


@pytest.mark.parametrize(("live", "want"), CASES.values(), ids=CASES.keys())
def test_one_resource(live: dict[str, Any], want: tuple[Urgency, str, str] | None) -> None:
    found = findings([live], NOW)
    assert [(each.urgency, each.condition, each.reason) for each in found] == ([want] if want else [])


def test_the_most_urgent_first_then_by_name() -> None:
    dead = [chat(condition("Available", "False", "CrashLoop"), name=name) for name in ("b", "a")]
    pending = resource("Route", "first", "assistants")
    found = findings([pending, *dead], NOW)
    assert [each.place for each in found] == ["assistants/a", "assistants/b", "assistants/first"]
    assert found[0].since is not None
