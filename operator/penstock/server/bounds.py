"""Bodies of bounded size: what is too large is refused as soon as that is known."""

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from penstock.server.problems import Problem

__all__ = ["LARGEST_BODY", "LARGEST_TABLE", "body_of", "parsed"]

LARGEST_TABLE = 32 * 2**20
LARGEST_BODY = 2**20

M = TypeVar("M", bound=BaseModel)


async def body_of(request: Request, largest: int, *, cure: str) -> bytes:
    """The whole body, at most `largest` bytes; Problem (413) beyond, before it is read where its length is given."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > largest:
        raise _too_large(largest, cure)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > largest:
                raise _too_large(largest, cure)
    except ClientDisconnect as error:
        # Nobody reads this answer; it is no fault of ours, so it is no traceback.
        raise Problem(400, "ClientGone", "the client has gone before the end of the body") from error
    return bytes(body)


def parsed(model: type[M], body: bytes) -> M:
    """The body as what it should be; Problem (422) that names the first field that is wrong."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        # Without the input: it would come back to whoever reads the log.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Problem(422, "Invalid", f"{field or 'the body'}: {first['msg']}", field=field or "body") from error


def _too_large(largest: int, cure: str) -> Problem:
    size = f"{largest // 2**20} MiB" if largest >= 2**20 else f"{largest // 2**10} KiB"
    message = f"the body is larger than {size}"
    return Problem(413, "TooLarge", message, field="body", cure=cure)
