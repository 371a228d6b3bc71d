"""The server's refusals, as the Status bodies of the real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = [
    "Answer",
    "Blame",
    "Cause",
    "already_exists",
    "bad_request",
    "conflict",
    "forbidden",
    "from_the_future",
    "gone",
    "invalid",
    "not_found",
    "not_implemented",
    "status_body",
    "success",
    "too_large",
    "unknown_path",
]


class Answer(Exception):
    """An answer other than success; becomes a Status body."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after


class Blame(StrEnum):
    """Why a field is refused."""

    INVALID = "FieldValueInvalid"
    REQUIRED = "FieldValueRequired"
    DUPLICATE = "FieldValueDuplicate"
    NOT_SUPPORTED = "FieldValueNotSupported"
    FORBIDDEN = "FieldValueForbidden"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"
    TYPE = "FieldValueTypeInvalid"


@dataclass(frozen=True, slots=True)
class Cause:
    """One refused field."""

    field: str
    message: str
    blame: Blame = Blame.INVALID

    def __str__(self) -> str:
        """As the message of the whole refusal has it."""
        return f"{self.field}: {self.message}" if self.field else self.message


def status_body(answer: Answer) -> dict[str, Any]:
    """The Status object."""
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": answer.message,
        "code": answer.code,
    }
    if answer.reason:
        body["reason"] = answer.reason
    if answer.details is not None:
        body["details"] = answer.details
    return body


def success(plural: str, group: str, name: str, uid: str) -> dict[str, Any]:
    """What a deletion answers with where nothing is left to show."""
    details = {**_about(plural, group, name), "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def not_found(plural: str, group: str, name: str) -> Answer:
    """404, in the real one's words."""
    message = f'{_resource(plural, group)} "{name}" not found'
    return Answer(404, "NotFound", message, details=_about(plural, group, name))


def forbidden(plural: str, group: str, name: str, why: str) -> Answer:
    """403, in the real one's words; a collection has no name."""
    called = f'{_resource(plural, group)} "{name}"' if name else _resource(plural, group)
    return Answer(403, "Forbidden", f"{called} is forbidden: {why}", details=_about(plural, group, name))


def unknown_path() -> Answer:
    """404 of a path that names no kind."""
    return Answer(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(plural: str, group: str, name: str) -> Answer:
    """409 on create."""
    message = f'{_resource(plural, group)} "{name}" already exists'
    return Answer(409, "AlreadyExists", message, details=_about(plural, group, name))


def conflict(plural: str, group: str, name: str, why: str) -> Answer:
    """409: somebody else was first."""
    message = f'Operation cannot be fulfilled on {_resource(plural, group)} "{name}": {why}'
    return Answer(409, "Conflict", message, details=_about(plural, group, name))


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> Answer:
    """422 with one cause per field."""
    words = str(causes[0]) if len(causes) == 1 else f"[{', '.join(map(str, causes))}]"
    listed = [{"reason": str(cause.blame), "message": cause.message, "field": cause.field} for cause in causes]
    details = {**_about(kind, group, name), "causes": listed}
    return Answer(422, "Invalid", f'{_resource(kind, group)} "{name}" is invalid: {words}', details=details)


def bad_request(message: str) -> Answer:
    """400: what was sent makes no sense."""
    return Answer(400, "BadRequest", message)


def too_large(message: str) -> Answer:
    """413: more than may be sent or kept."""
    return Answer(413, "RequestEntityTooLarge", message)


def gone(message: str = "The resourceVersion for the provided watch is too old.") -> Answer:
    """410: list again."""
    return Answer(410, "Expired", message)


def from_the_future(version: int, newest: int) -> Answer:
    """504: nobody has that version yet, as after a restore of the cluster's data."""
    words = f"Too large resource version: {version}, current: {newest}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return Answer(504, "Timeout", f"Timeout: {words}", details={"causes": causes, "retryAfterSeconds": 1})


def not_implemented(what: str) -> Answer:
    """501: the in-memory server never pretends."""
    return Answer(501, "NotImplemented", f"the in-memory API server does not do this: {what}")


def _resource(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def _about(kind: str, group: str, name: str) -> dict[str, Any]:
    about = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in about.items() if value}
