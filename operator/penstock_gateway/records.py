"""One attempt's record: filled while the attempt goes on, written as a line of JSON for the ledger."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import orjson

from penstock_gateway.usage import NO_USAGE, Usage

__all__ = ["ANSWERED", "CLIENTS_FAULT", "CLIENT_LEFT", "STOPPED", "Record", "numbering"]

ANSWERED = "Answered"
CLIENTS_FAULT = "ClientsFault"
CLIENT_LEFT = "ClientLeft"
STOPPED = "Stopped"
"""Cut by the end of a drain."""


@dataclass(slots=True)
class Record:
    """Times are in seconds, here of the clock that never goes back; `time` is Unix time."""

    id: str
    time: float
    consumer: str
    route: str
    rule: str
    backend: str
    pod: str
    operation: str
    stream: bool
    generation: int
    why: str
    outcome: str = ""
    status: int = 0
    """The upstream's; 0 where it gave none."""
    usage: Usage = NO_USAGE
    cost_micros: int = 0
    first_byte_seconds: float = 0.0
    total_seconds: float = 0.0

    def line(self) -> bytes:
        """As JSON, with its end of line."""
        content = {
            "id": self.id,
            "time": round(self.time, 3),
            "consumer": self.consumer,
            "route": self.route,
            "rule": self.rule,
            "backend": self.backend,
            "pod": self.pod,
            "operation": self.operation,
            "stream": self.stream,
            "generation": self.generation,
            "why": self.why,
            "outcome": self.outcome,
            "status": self.status,
            "tokensIn": self.usage.tokens_in,
            "tokensOut": self.usage.tokens_out,
            "tokensCached": self.usage.cached,
            "costMicros": self.cost_micros,
            "firstByteMs": round(self.first_byte_seconds * 1000, 3),
            "totalMs": round(self.total_seconds * 1000, 3),
        }
        return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


def numbering() -> Callable[[], str]:
    """Identifiers that no other replica and no other life of this one gives; cheaper than a random one each."""
    prefix, numbers = uuid4().hex, itertools.count()
    return lambda: f"{prefix}-{next(numbers):x}"
