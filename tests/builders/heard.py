"""Every request that an in-memory API server was asked over HTTP, in the words of access rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web

from penstock.access.rights import Asked
from penstock.cluster.fake.http import Frontend

__all__ = ["heard"]


@contextmanager
def heard() -> Iterator[set[Asked]]:
    """Fills while it is open; an apply that makes an object has asked for `create`, too, as the real server does it."""
    requests: set[Asked] = set()
    do = Frontend._do

    async def listening(self: Frontend, request: web.Request, target: Any, verb: str) -> web.StreamResponse:
        requests.add(_asked(target, verb))
        answer = await do(self, request, target, verb)
        if verb == "patch" and answer.status == web.HTTPCreated.status_code:
            requests.add(_asked(target, "create"))
        return answer

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Frontend, "_do", listening)
        yield requests


def _asked(target: Any, verb: str) -> Asked:
    info = target.info
    return Asked(verb, info.group, info.plural, target.subresource, target.namespace, target.name)
