"""Lists in pages: a list that was begun goes on as it was, whatever is written meanwhile; a bounded number of them."""

import base64
import itertools
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.cluster.fake.answers import bad_request, gone
from penstock.cluster.fake.storage import Object

__all__ = ["Page", "Pages"]

_KEPT = 256


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list of one version; `token` leads to the `remaining` ones."""

    items: Sequence[Object]
    version: int
    token: str = ""
    remaining: int = 0


class Pages:
    """The lists that somebody may go on with."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._begun: OrderedDict[int, tuple[int, Sequence[Object]]] = OrderedDict()

    def first(self, items: Sequence[Object], version: int, limit: int) -> Page:
        """The first page; all at once for a limit of 0."""
        if not limit or len(items) <= limit:
            return Page(items, version)
        number = next(self._numbers)
        self._begun[number] = version, items
        while len(self._begun) > _KEPT:
            self._begun.popitem(last=False)
        return self._page(number, 0, limit)

    def further(self, token: str, limit: int) -> Page:
        """The page that a token leads to, as often as it is asked for; 410 where the list is forgotten."""
        number, start = _read(token)
        if number not in self._begun:
            message = "The provided continue parameter is too old to display a consistent list result."
            raise gone(message)
        return self._page(number, start, limit)

    def forget(self) -> None:
        """None of them can be gone on with any more."""
        self._begun.clear()

    def _page(self, number: int, start: int, limit: int) -> Page:
        version, items = self._begun[number]
        end = start + limit if limit else len(items)
        token = base64.urlsafe_b64encode(json.dumps([number, end]).encode()).decode() if end < len(items) else ""
        return Page(items[start:end], version, token, max(len(items) - end, 0))


def _read(token: str) -> tuple[int, int]:
    try:
        number, start = json.loads(base64.urlsafe_b64decode(token))
        return int(number), int(start)
    except (ValueError, TypeError) as error:
        message = f"continue key is not valid: {error}"
        raise bad_request(message) from error
