"""Answers of the server -> what they mean, or which error they are. Pure.

Anything between here and the server may answer in its place: what is not in the server's own shape is not shown.
"""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

from penstock.errors import ServerError
from penstock.server_client.answers import LiveReplica, LiveReplicas, PublishedHead
from penstock.server_client.errors import ServerAway, ServerRefused, StaleGeneration, StaleTerm, TableConflict

__all__ = ["error_of", "read_head", "read_replicas", "read_table", "read_token"]

_LONGEST_MESSAGE = 1024
_LONGEST_RETRY_AFTER = 3600.0
_CONFLICT, _SERVER_ERROR = 409, 500
_PASSING = frozenset({408, 429})
_OUTRUN = {"StaleTerm": StaleTerm, "Conflict": TableConflict, "StaleGeneration": StaleGeneration}
_ADDRESS = "check that `--server-url` is the control-plane server's own address"

_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{0,128}$")]
_Count = Annotated[int, Field(ge=0)]
M = TypeVar("M", bound=BaseModel)


class _Head(BaseModel):
    term: _Count
    generation: _Count
    hash: _Hash


class _Replica(BaseModel):
    uid: str = Field(min_length=1)
    pod: str = ""
    generation: _Count = 0
    hash: _Hash = ""
    credential_version: str = Field("", alias="credentialVersion")
    state: str
    version: str = ""
    in_flight: dict[str, int] = Field(default_factory=dict, alias="inFlight")
    leaving: dict[str, _Count] = Field(default_factory=dict)


class _Replicas(BaseModel):
    replicas: list[_Replica]
    since: str


class _Token(BaseModel):
    token: str = Field(min_length=1, max_length=4096, pattern=r"^[!-~]+$")


class _Problem(BaseModel):
    reason: str
    message: str
    field: str | None = None
    cure: str | None = None
    current: _Head | None = None


class _Error(BaseModel):
    error: _Problem


def read_head(what: str, body: bytes) -> PublishedHead:
    """What is published now; ServerAway where the answer does not say it."""
    head = _parsed(_Head, what, body)
    return PublishedHead(**head.model_dump())


def read_replicas(what: str, body: bytes) -> LiveReplicas:
    """The live replicas in the server's order; ServerAway where one of them cannot be read."""
    answer = _parsed(_Replicas, what, body)
    return LiveReplicas(tuple(LiveReplica(**each.model_dump()) for each in answer.replicas), answer.since)


def read_table(what: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The body, not looked into; ServerAway where the server's headers are missing, and a page of a proxy's came."""
    if "penstock-generation" not in headers:
        message = f"{what}: the answer has no header Penstock-Generation; {_ADDRESS}"
        raise ServerAway(message)
    return body


def read_token(what: str, body: bytes) -> str:
    """The token that was made; ServerAway where there is none."""
    return _parsed(_Token, what, body).token


def error_of(what: str, status: int, body: bytes, *, retry_after: str = "", hidden: str) -> ServerError:
    """The error that an answer other than 2xx is; `hidden` is in no message, whoever says it.

    `what` says what was tried of whom, `retry_after` is that header.
    """
    problem = _problem(body)
    message = f"{what}: {_told(status, problem)}".replace(hidden, "***")[:_LONGEST_MESSAGE]
    if status >= _SERVER_ERROR or status in _PASSING:
        return ServerAway(message, retry_after=_seconds(retry_after))
    outrun = _OUTRUN.get(problem.reason) if problem and status == _CONFLICT else None
    if problem is not None and outrun is not None:
        return outrun(message, current=PublishedHead(**problem.current.model_dump()) if problem.current else None)
    return ServerRefused(message, status=status, reason=problem.reason if problem else "")


def _parsed(model: type[M], what: str, body: bytes) -> M:
    """The input is left out of the error, and of its cause: it may hold a token."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the answer"
    message = " ".join(f"{what}: {where}: {first['msg']}; {_ADDRESS}".split())
    raise ServerAway(message[:_LONGEST_MESSAGE])


def _problem(body: bytes) -> _Problem | None:
    """What the server says; None for a proxy's page or anything else that is not in its shape."""
    try:
        return _Error.model_validate_json(body).error
    except ValidationError:
        return None


def _told(status: int, problem: _Problem | None) -> str:
    if problem is None:
        cure = "" if status >= _SERVER_ERROR or status in _PASSING else f"; {_ADDRESS}"
        return f"{status}, and not in the control-plane server's words{cure}"
    field = f" ({problem.field})" if problem.field else ""
    cure = f"; {problem.cure}" if problem.cure else ""
    # One line in a log, whatever was sent.
    return " ".join(f"{status} {problem.reason}{field}: {problem.message}{cure}".split())


def _seconds(stated: str) -> float | None:
    """Seconds only; the date form would need a clock."""
    return min(float(stated), _LONGEST_RETRY_AFTER) if stated.isascii() and stated.isdecimal() else None
