"""What the server refuses or cannot do, in the one shape that every error answer has. Holds no secret, ever."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from penstock.errors import PenstockError

__all__ = ["ErrorAnswer", "Problem"]


class Problem(PenstockError):
    """An answer other than hoped: its HTTP status, a reason for programs, a message and a cure for people.

    `field` names what was wrong in the request; `current` is what is published, where that is why; `retry_after` is
    in seconds.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        field: str = "",
        cure: str = "",
        current: Mapping[str, Any] | None = None,
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.field, self.cure, self.current, self.retry_after = field, cure, current, retry_after

    @property
    def body(self) -> dict[str, Any]:
        """`{"error": {...}}`, without what is empty."""
        optional = {"field": self.field, "cure": self.cure, "current": self.current}
        given = {key: value for key, value in optional.items() if value}
        return {"error": {"reason": self.reason, "message": self.message, **given}}

    @property
    def headers(self) -> dict[str, str]:
        """When to try again, and how to authenticate, where that helps."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return {**headers, "WWW-Authenticate": "Bearer"} if self.status == 401 else headers  # noqa: PLR2004 - RFC 9110's


class _Current(BaseModel):
    """What is published now."""

    term: int = Field(description="The highest term that ever wrote.")
    generation: int
    hash: str


class _Error(BaseModel):
    """Why, and what would work."""

    reason: str = Field(description="One word for programs.")
    message: str
    field: str | None = Field(None, description="What in the request was wrong.")
    cure: str | None = Field(None, description="What would work.")
    current: _Current | None = Field(None, description="With 409: what is published.")


class ErrorAnswer(BaseModel):
    """The shape of every error."""

    error: _Error
