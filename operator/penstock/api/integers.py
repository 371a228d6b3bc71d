"""Integers with the bounds that the API server must be told of."""

from typing import Annotated

from pydantic import Field

__all__ = ["INT32_MAX", "INT53_MAX", "Count", "LargeCount"]

INT32_MAX = 2**31 - 1
INT53_MAX = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""

Count = Annotated[int, Field(ge=0, le=INT32_MAX)]
LargeCount = Annotated[int, Field(ge=0, le=INT53_MAX)]
