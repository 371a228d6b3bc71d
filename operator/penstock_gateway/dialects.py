"""The paths that the edge owns, and how errors are told in OpenAI's and in Anthropic's form."""

from enum import StrEnum

import orjson

from penstock_policy.table import ANY_OPERATION

__all__ = ["OPERATIONS", "Dialect", "dialect_of", "error_body", "error_event"]


class Dialect(StrEnum):
    """What a client speaks; a backend whose protocol has this name gets the client's bytes."""

    OPENAI = "OpenAI"
    ANTHROPIC = "Anthropic"


OPERATIONS = {f"/v1/{operation}": operation for operation in ANY_OPERATION}

_ANTHROPIC_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_OPENAI_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_SERVERS_OWN = 500


def dialect_of(operation: str) -> Dialect:
    """Anthropic's for `messages`, OpenAI's for all others."""
    return Dialect.ANTHROPIC if operation == "messages" else Dialect.OPENAI


def error_body(dialect: Dialect, status: int, code: str, message: str, field: str | None = None) -> bytes:
    """The body of an error response."""
    return orjson.dumps(_error(dialect, status, code, message, field))


def error_event(dialect: Dialect, code: str, message: str) -> bytes:
    """What ends a stream that broke after it had begun."""
    data = orjson.dumps(_error(dialect, 502, code, message, None))
    name = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    return name + b"data: " + data + b"\n\n"


def _error(dialect: Dialect, status: int, code: str, message: str, field: str | None) -> dict[str, object]:
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_KINDS.get(status, "api_error" if status >= _SERVERS_OWN else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message, "code": code}}
    kind = _OPENAI_KINDS.get(status, "server_error" if status >= _SERVERS_OWN else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": field, "code": code}}
