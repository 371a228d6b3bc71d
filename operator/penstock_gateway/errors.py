"""What goes wrong in a gateway replica.

GatewayError
├── TableRefused        a table that is not taken; the last good one goes on
├── Refused             the request is answered with an error and goes to no backend
│   └── Limited         the consumer has used up a limit
├── Fault               an attempt failed by the upstream's fault; another pod or backend may answer
└── ServerAway          the control-plane server did not answer as it should
"""

from enum import StrEnum

__all__ = ["Fault", "FaultKind", "GatewayError", "Limited", "Refused", "ServerAway", "TableRefused"]


class GatewayError(Exception):
    """Anything of ours."""


class TableRefused(GatewayError):
    """Why, in one word for the metric, and in a sentence for the log."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refused(GatewayError):
    """An answer to the client: HTTP status, a code for programs, a message for people, and the field if it is one's."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field


class Limited(Refused):
    """Which of a Consumer's limits, by its field, and after how many seconds to come again."""

    def __init__(self, consumer: str, limit: str, allowed: int, seconds: int) -> None:
        told = f"limits.{limit} of the Consumer {consumer} is {allowed}, and used up; try again in {seconds} s"
        super().__init__(429, "rate_limit_exceeded", told)
        self.limit = limit
        self.seconds = seconds


class FaultKind(StrEnum):
    """Why an attempt failed, or a backend was passed over; clients, metrics and records see these words."""

    CONNECT = "ConnectFailed"
    CONNECT_TIMEOUT = "ConnectTimeout"
    RESET = "ConnectionReset"
    FIRST_BYTE_TIMEOUT = "FirstByteTimeout"
    GAP_TIMEOUT = "GapTimeout"
    ATTEMPT_TIMEOUT = "AttemptTimeout"
    TOTAL_TIMEOUT = "TotalTimeout"
    TOO_LARGE = "AnswerTooLarge"
    RATE_LIMITED = "RateLimited"
    UNAUTHORIZED = "Unauthorized"
    NOT_FOUND = "NotFound"
    SERVER_ERROR = "ServerError"
    UNEXPECTED = "UnexpectedStatus"
    CIRCUIT_OPEN = "CircuitOpen"
    WITHDRAWN = "Withdrawn"
    NO_CREDENTIAL = "CredentialMissing"
    NO_TRANSLATOR = "NoTranslator"


class Fault(GatewayError):
    """An attempt failed; `status` is the upstream's, 0 where it gave none."""

    def __init__(self, kind: FaultKind, status: int = 0) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = status


class ServerAway(GatewayError):
    """The control-plane server refused, or nothing came; tried again later."""
