"""An in-memory API server of the test's own, and a client whose pauses take no time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from builders.clock import InstantClock
from penstock.cluster.client import Client
from penstock.cluster.fake import FakeAPIServer

__all__ = ["Connected", "connected", "server"]


@dataclass(frozen=True, slots=True)
class Connected:
    """A client of the server, and the clock that it sleeps on."""

    client: Client
    clock: InstantClock


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    """It listens."""
    async with FakeAPIServer() as running:
        yield running


@pytest.fixture
async def connected(server: FakeAPIServer, tmp_path: Path) -> AsyncIterator[Connected]:
    """A client of it."""
    kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
    clock = InstantClock()
    async with await Client.connect(kubeconfig=str(kubeconfig), clock=clock, random=Random(1)) as client:
        yield Connected(client, clock)
