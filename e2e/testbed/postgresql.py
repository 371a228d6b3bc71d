"""A throw-away PostgreSQL on loopback, from the programs that the machine has."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["postgresql", "programs"]

_DEBIAN = Path("/usr/lib/postgresql/15/bin")
_USERS = ("postgres", "nobody")


def programs() -> Path | None:
    """Where `initdb` and `pg_ctl` are, None where they are not."""
    found = shutil.which("initdb")
    place = _DEBIAN if (_DEBIAN / "initdb").exists() else Path(found).parent if found else None
    return place if place and (os.geteuid() != 0 or _user() is not None) else None


@contextmanager
def postgresql(binaries: Path) -> Iterator[str]:
    """Its URL; data and log are in a folder of its own, which goes with it."""
    # Not among a test's files: the user that it runs as must get there, and to nothing else.
    folder = Path(tempfile.mkdtemp(prefix="penstock-postgresql-"))
    try:
        yield from _run_in(binaries, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_in(binaries: Path, folder: Path) -> Iterator[str]:
    become = _owner_of(folder)
    data = str(folder / "data")
    _run([str(binaries / "initdb"), "-D", data, "-U", "penstock", "-A", "trust", "-N", "-E", "UTF8"], become)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    control = [str(binaries / "pg_ctl"), "-D", data]
    _run([*control, "-o", options, "-l", str(folder / "log"), "-w", "start"], become)
    try:
        yield f"postgresql://penstock@127.0.0.1:{port}/postgres"
    finally:
        _run([*control, "-m", "immediate", "-w", "stop"], become)


def _user() -> "pwd.struct_passwd | None":
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next((known[name] for name in _USERS if name in known), None)


def _owner_of(folder: Path) -> Callable[[], None] | None:
    """PostgreSQL does not run as root: another user owns the folder."""
    user = _user()
    if os.geteuid() != 0 or user is None:
        return None
    os.chown(folder, user.pw_uid, user.pw_gid)
    uid, gid = user.pw_uid, user.pw_gid

    def become() -> None:
        os.setgid(gid)
        os.setuid(uid)

    return become


def _run(command: Sequence[str], become: Callable[[], None] | None) -> None:
    # Its output goes to nowhere: the server that pg_ctl leaves behind would keep a pipe open.
    subprocess.run(command, check=True, preexec_fn=become, stdout=subprocess.DEVNULL, cwd="/")
