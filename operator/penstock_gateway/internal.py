"""The internal port: health, metrics, and the downstream application's administration."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from penstock_gateway.asgi import Application, Receive, Scope, Send, respond
from penstock_gateway.metrics import Metrics

__all__ = ["Internal"]

_TEXT = (b"content-type", b"text/plain; charset=utf-8")


@dataclass(slots=True)
class Internal:
    """An ASGI application; `missing` names what readiness lacks, nothing when it is ready."""

    metrics: Metrics
    missing: Callable[[], list[str]]
    downstream: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path == "/health/livez":
            await respond(send, 200, b"ok", [_TEXT])
        elif path == "/health/readyz":
            missing = self.missing()
            await respond(send, 503 if missing else 200, "\n".join(missing or ["ok"]).encode(), [_TEXT])
        elif path == "/metrics":
            kind = (b"content-type", CONTENT_TYPE_LATEST.encode())
            await respond(send, 200, generate_latest(self.metrics.registry), [kind])
        elif self.downstream is not None:
            await self.downstream(scope, receive, send)
        elif path:
            await respond(send, 404, b"not found", [_TEXT])
