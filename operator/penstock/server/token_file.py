"""The operator's token in a file, for a server outside a cluster: whoever has it may do everything."""

import asyncio
import hmac
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import PenstockError
from penstock.server.access import Access, Verdict
from penstock.server.problems import Problem

__all__ = ["TokenFile", "TokenFileUnusable"]

_SHORTEST = 32
_LARGEST_FILE = 64 * 1024


class TokenFileUnusable(PenstockError):
    """The file is not there, or holds no token that is long enough."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """One token per line; it is read at each question, so that a mounted Secret may rotate."""

    path: Path

    def check(self) -> None:
        """TokenFileUnusable where it could never let anybody in."""
        self._tokens()

    async def judge(self, token: str, access: Access) -> Verdict:  # noqa: ARG002 - whoever has it may do everything
        """Compared in constant time."""
        try:
            known = await asyncio.to_thread(self._tokens)
        except TokenFileUnusable as error:
            cure = "see the server's log; the file holds one token per line"
            raise Problem(
                503, "AuthenticationUnavailable", "the operator's token file is unusable", cure=cure
            ) from error
        given = token.encode()
        # All of them are compared, so that time does not tell which line it was.
        right = [hmac.compare_digest(given, each) for each in known]
        return Verdict("operator", allowed=True) if any(right) else Verdict("", allowed=False)

    def _tokens(self) -> list[bytes]:
        try:
            with self.path.open("rb") as file:
                lines = [line.strip() for line in file.read(_LARGEST_FILE).splitlines() if line.strip()]
        except OSError as error:
            message = f"reading the operator's token from {self.path}: {error.strerror}"
            raise TokenFileUnusable(message) from error
        if not lines or min(len(line) for line in lines) < _SHORTEST:
            message = f"{self.path}: each line is a token of {_SHORTEST} characters or more, and there must be one"
            raise TokenFileUnusable(message)
        return lines
