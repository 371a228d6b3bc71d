"""What the API server answers when it does not do as it was asked.

ClusterError
  + NotFound              404
  + Conflict              409: somebody else was first
  |   - AlreadyExists     409 on create
  + Gone                  410: the version is too old, list again
  + Invalid               400, 413, 415, 422 and any other 4xx: the request is refused, and will be again
  + Forbidden             401, 403
  + TooManyRequests       429; `retry_after` in seconds
  + Unavailable           5xx, no connection, no answer in time, an answer that cannot be read
  + NotImplementedByServer  405, 501
"""

import json
from typing import Any

from penstock.errors import ClusterError

__all__ = [
    "AlreadyExists",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "NotFound",
    "NotImplementedByServer",
    "TooManyRequests",
    "Unavailable",
    "error_of",
]

_MESSAGE_LENGTH = 1024
_EXCERPT_LENGTH = 200
_UNKNOWN_FIELD = "failed to create typed patch object"
_FIRST_SERVER_ERROR = 500
_REQUEST_TIMEOUT = 408


class _Answered(ClusterError):
    """An answer with a status code (0: none came); `reason` and `details` are the Status body's own."""

    def __init__(
        self, message: str, *, status: int = 0, reason: str = "", details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.details = details or {}


class NotFound(_Answered):
    """There is no such object."""


class Conflict(_Answered):
    """Somebody else was first: a version, a uid or a field's owner does not match."""


class AlreadyExists(Conflict):
    """An object of that name is there already."""


class Gone(_Answered):
    """The version is too old to go on from; list again."""


class Invalid(_Answered):
    """The request is refused, by the API server or before it was sent; sending it again changes nothing."""


class Forbidden(_Answered):
    """We may not."""


class TooManyRequests(_Answered):
    """The API server asks for patience."""

    retry_after: float = 1.0


class Unavailable(_Answered):
    """The API server is not there, or not well; `sent` is False where the request surely never reached it."""

    retry_after: float | None = None
    sent: bool = True


class NotImplementedByServer(_Answered):
    """The server says that it does not do this."""


_BY_STATUS: dict[int, type[_Answered]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    405: NotImplementedByServer,
    409: Conflict,
    410: Gone,
    429: TooManyRequests,
    501: NotImplementedByServer,
}


def error_of(status: int, body: bytes, what: str, *, retry_after: float | None = None) -> _Answered:
    """The error of an answer; `what` says what was tried (`applying Deployment ns/x`)."""
    answer = _status_body(body)
    reason, details = str(answer.get("reason") or ""), answer.get("details")
    said = str(answer.get("message") or reason)
    kind = AlreadyExists if reason == "AlreadyExists" else _kind_of(status, said)
    message = f"{what}: {status} {said}"[:_MESSAGE_LENGTH]
    error = kind(message, status=status, reason=reason, details=details if isinstance(details, dict) else None)
    if isinstance(error, TooManyRequests | Unavailable) and retry_after is not None:
        error.retry_after = retry_after
    return error


def _kind_of(status: int, said: str) -> type[_Answered]:
    if said.startswith(_UNKNOWN_FIELD):
        # An apply with a field that is not in the schema is answered with 500, and will be each time.
        return Invalid
    passing = status >= _FIRST_SERVER_ERROR or status == _REQUEST_TIMEOUT
    return _BY_STATUS.get(status, Unavailable if passing else Invalid)


def _status_body(body: bytes) -> dict[str, Any]:
    """The Status object of an answer; a proxy in between may answer with anything."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {"message": body[:_EXCERPT_LENGTH].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {}
