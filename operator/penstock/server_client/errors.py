"""What the control-plane server answers when it does not do as it was asked. No message holds a token.

ServerError (penstock.errors)
  + ServerAway            no answer, 5xx, 429, too slow, or nothing that could be its answer: worth asking again
  + StaleTerm             409: another leader has written since
  + TableConflict         409: the table there is not the one that was expected
  + StaleGeneration       409: the generation is not greater than the one there
  + ServerRefused         any other answer below 500, or not sent at all: asking again alike changes nothing
"""

from penstock.errors import ServerError
from penstock.server_client.answers import PublishedHead

__all__ = ["ServerAway", "ServerRefused", "StaleGeneration", "StaleTerm", "TableConflict"]


class ServerAway(ServerError):
    """The server is away, overloaded or too slow; `retry_after` is what it asked for, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class _Outrun(ServerError):
    """Somebody else's table is there; `current` is what the server says of it, None where it does not."""

    def __init__(self, message: str, *, current: PublishedHead | None = None) -> None:
        self.current = current
        super().__init__(message)


class StaleTerm(_Outrun):
    """Another leader has written since: stop publishing."""


class TableConflict(_Outrun):
    """The table there is not the one that was to be replaced: read it, and publish above it."""


class StaleGeneration(_Outrun):
    """The generation is not greater than the one there: publish with a greater one."""


class ServerRefused(ServerError):
    """The request is refused; `status` 0: before it was sent, `reason` "": not in the server's own words."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        self.status, self.reason = status, reason
        super().__init__(message)
