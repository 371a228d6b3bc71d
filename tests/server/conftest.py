"""One server in process on a database of its own, and a PostgreSQL where there is one to be had."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.control_plane import Caller, in_process, sqlite_url
from penstock.simulation.network import free_port
from testbed.postgresql import postgresql as throw_away
from testbed.postgresql import programs


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Caller]:
    """On the machine's clock."""
    async with in_process(sqlite_url(tmp_path)) as caller:
        yield caller


@pytest.fixture
def clock() -> FakeClock:
    """Moved by the test."""
    return FakeClock()


@pytest.fixture
async def still_server(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Caller]:
    """On a clock that the test moves."""
    async with in_process(sqlite_url(tmp_path), clock=clock) as caller:
        yield caller


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a throw-away PostgreSQL; PENSTOCK_TEST_POSTGRESQL names another, whose `public` schema is used up."""
    given = os.environ.get("PENSTOCK_TEST_POSTGRESQL")
    if given:
        yield given
        return
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL here: install its server (Debian: postgresql), or set PENSTOCK_TEST_POSTGRESQL=URL")
    with throw_away(place) as url:
        yield url


@pytest.fixture
def unused_port() -> int:
    """Nobody listens there."""
    return free_port()
