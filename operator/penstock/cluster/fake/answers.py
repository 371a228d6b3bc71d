"""The server's refusals, as the Status bodies of the real one."""

from typing import Any

__all__ = ["Answer", "already_exists", "conflict", "gone", "invalid", "not_found", "not_implemented", "status_body"]


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


def status_body(answer: Answer) -> dict[str, Any]:
    """The Status object."""
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": answer.message,
        "reason": answer.reason,
        "code": answer.code,
    }
    if answer.details:
        body["details"] = answer.details
    return body


def not_found(plural: str, group: str, name: str) -> Answer:
    """404, in the real one's words."""
    resource = f"{plural}.{group}" if group else plural
    return Answer(
        404, "NotFound", f'{resource} "{name}" not found', details={"name": name, "group": group, "kind": plural}
    )


def already_exists(plural: str, group: str, name: str) -> Answer:
    """409 on create."""
    resource = f"{plural}.{group}" if group else plural
    details = {"name": name, "group": group, "kind": plural}
    return Answer(409, "AlreadyExists", f'{resource} "{name}" already exists', details=details)


def conflict(plural: str, name: str, why: str) -> Answer:
    """409: somebody else was first."""
    message = f'Operation cannot be fulfilled on {plural} "{name}": {why}'
    return Answer(409, "Conflict", message, details={"name": name, "kind": plural})


def invalid(kind: str, name: str, causes: list[tuple[str, str]]) -> Answer:
    """422 with one cause per field."""
    words = ", ".join(f"{field}: {why}" for field, why in causes)
    listed = [{"reason": "FieldValueInvalid", "message": why, "field": field} for field, why in causes]
    message = f'{kind} "{name}" is invalid: {words}'
    return Answer(422, "Invalid", message, details={"name": name, "kind": kind, "causes": listed})


def gone(message: str = "The resourceVersion for the provided watch is too old.") -> Answer:
    """410: list again."""
    return Answer(410, "Expired", message)


def not_implemented(what: str) -> Answer:
    """501: the in-memory server never pretends."""
    return Answer(501, "NotImplemented", f"the in-memory API server does not do this: {what}")
