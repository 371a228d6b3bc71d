"""A throw-away PostgreSQL, from the programs that the machine has."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.simulation.network import free_port

__all__ = ["postgresql", "programs"]

_DEBIAN = Path("/usr/lib/postgresql/15/bin")
_USERS = ("postgres", "nobody")
_LOOPBACK = "127.0.0.1"


def programs() -> Path | None:
    """Where `initdb` and `pg_ctl` are, None where they are not."""
    found = shutil.which("initdb")
    place = _DEBIAN if (_DEBIAN / "initdb").exists() else Path(found).parent if found else None
    return place if place and (os.geteuid() != 0 or _user() is not None) else None


@contextmanager
def postgresql(binaries: Path, *, address: str = _LOOPBACK, enter: Sequence[str] = ()) -> Iterator[str]:
    """Its URL; data and log are in a folder of its own, which goes with it.

    It listens on that address only, of the network that the command `enter` leads into; anybody there may come in.
    """
    # Not among a test's files: the user that it runs as must get there, and to nothing else.
    folder = Path(tempfile.mkdtemp(prefix="penstock-postgresql-"))
    try:
        yield from _run_in(Programs(binaries, tuple(enter), _owner_of(folder)), folder, address)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Programs:
    """Where they are, what leads into their network, and whom they run as; None: as we do."""

    binaries: Path
    enter: tuple[str, ...]
    user: "pwd.struct_passwd | None"

    def run(self, name: str, *words: str) -> None:
        """To its end; its output goes to nowhere: the server that pg_ctl leaves behind would keep a pipe open."""
        command = [*self.enter, *self._become(), str(self.binaries / name), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def _become(self) -> tuple[str, ...]:
        if self.user is None:
            return ()
        return ("setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", "--")


def _run_in(programs: Programs, folder: Path, address: str) -> Iterator[str]:
    data = str(folder / "data")
    programs.run("initdb", "-D", data, "-U", "penstock", "-A", "trust", "-N", "-E", "UTF8")
    if address != _LOOPBACK:
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\n")
    port = free_port()
    options = f"-p {port} -c listen_addresses={address} -c unix_socket_directories= -c fsync=off"
    programs.run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://penstock@{address}:{port}/postgres"
    finally:
        programs.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _user() -> "pwd.struct_passwd | None":
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next((known[name] for name in _USERS if name in known), None)


def _owner_of(folder: Path) -> "pwd.struct_passwd | None":
    """PostgreSQL does not run as root: another user owns the folder."""
    user = _user()
    if os.geteuid() != 0 or user is None:
        return None
    os.chown(folder, user.pw_uid, user.pw_gid)
    return user
