"""One server in process on a database of its own, and a PostgreSQL where there is one to be had."""

import os
import pwd
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.control_plane import Caller, in_process, sqlite_url
from penstock.simulation.network import free_port

_POSTGRESQL = "/usr/lib/postgresql/15/bin"


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
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a throw-away PostgreSQL; PENSTOCK_TEST_POSTGRESQL names another, whose `public` schema is used up."""
    given = os.environ.get("PENSTOCK_TEST_POSTGRESQL")
    if given:
        yield given
        return
    programs = Path(_POSTGRESQL) if Path(_POSTGRESQL, "initdb").exists() else Path(shutil.which("initdb") or "").parent
    if not (programs / "initdb").exists():
        pytest.skip("no PostgreSQL here: install its server (Debian: postgresql), or set PENSTOCK_TEST_POSTGRESQL=URL")
    yield from _cluster(programs, tmp_path_factory.mktemp("postgresql"))


def _cluster(programs: Path, folder: Path) -> Iterator[str]:
    become = _somebody_else(folder)
    data = folder / "data"
    _run([programs / "initdb", "-D", data, "-U", "penstock", "-A", "trust", "-N", "-E", "UTF8"], become)
    port = free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    _run([programs / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start"], become)
    try:
        yield f"postgresql://penstock@127.0.0.1:{port}/postgres"
    finally:
        _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], become)


def _somebody_else(folder: Path) -> Callable[[], None] | None:
    """PostgreSQL does not run as root: another user who owns the folder and may get to it."""
    if os.geteuid() != 0:
        return None
    names = [name for name in ("postgres", "nobody") if any(entry.pw_name == name for entry in pwd.getpwall())]
    if not names:
        pytest.skip("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
    user = pwd.getpwnam(names[0])
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    os.chown(folder, user.pw_uid, user.pw_gid)

    def become() -> None:
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become


def _run(command: list[object], become: Callable[[], None] | None) -> None:
    # Its output goes to a file: the server that pg_ctl leaves behind would keep a pipe open.
    subprocess.run([str(part) for part in command], check=True, preexec_fn=become, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture
def unused_port() -> int:
    """Nobody listens there."""
    return free_port()
