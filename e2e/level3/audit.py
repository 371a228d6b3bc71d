"""What the API server writes down of each request, and how it is told to."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [{"level": "Metadata"}],
}
"""Who did what to which object, of every request, without bodies: no Secret gets into the log."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One request that was answered, or a watch that began or ended."""

    user: str
    verb: str
    resource: str
    subresource: str
    group: str
    namespace: str
    name: str
    code: int
    decision: str
    """`allow` or `forbid`; empty where nobody was asked, as for a request without a valid credential."""
    reason: str
    """Which binding and role allowed it, in the authorizer's words."""
    uri: str
    stage: str
    at: str
    """When it came in, RFC 3339 with microseconds."""

    @classmethod
    def of(cls, line: str) -> Self:
        """Read one line of the log."""
        event: dict[str, Any] = json.loads(line)
        about, notes = event.get("objectRef", {}), event.get("annotations", {})
        return cls(
            user=event["user"].get("username", ""),
            verb=event["verb"],
            resource=about.get("resource", ""),
            subresource=about.get("subresource", ""),
            group=about.get("apiGroup", ""),
            namespace=about.get("namespace", ""),
            name=about.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
            decision=notes.get("authorization.k8s.io/decision", ""),
            reason=notes.get("authorization.k8s.io/reason", ""),
            uri=event["requestURI"],
            stage=event["stage"],
            at=event["requestReceivedTimestamp"],
        )


def read(log: Path) -> Iterator[AuditEvent]:
    """Read from the beginning; a line that is still being written is left out."""
    with log.open() as lines:
        yield from (AuditEvent.of(line) for line in lines if line.endswith("\n"))
