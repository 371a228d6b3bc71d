"""What an attempt needs of whoever answers it: the forwarder of bytes and the translators look alike."""

from dataclasses import dataclass
from typing import Protocol

from penstock_gateway.asgi import Headers
from penstock_gateway.asked import Asked
from penstock_gateway.dialects import Dialect
from penstock_gateway.pods import Pod
from penstock_policy.table import Backend

__all__ = ["Call", "Reply", "Upstream"]


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at one pod."""

    asked: Asked
    dialect: Dialect
    backend: Backend
    pod: Pod
    credential: str
    """The API key, empty where the backend needs none."""
    headers: tuple[tuple[str, str], ...]
    """Of the client, those that may go on."""


class Reply(Protocol):
    """An answer that has begun. `read` gives pieces as they come, then b""; it raises Fault where it breaks."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers:
        """What the client may see; names in lower case, no length, nothing hop by hop."""
        ...

    @property
    def stream(self) -> bool:
        """Whether server-sent events follow."""
        ...

    async def read(self) -> bytes: ...

    def close(self) -> None:
        """Abort what is left of it; nothing where it is complete."""
        ...


class Upstream(Protocol):
    """Opens a call; raises Fault where no answer begins. Cancelling it aborts the call."""

    async def open(self, call: Call) -> Reply: ...

    async def close(self) -> None: ...
