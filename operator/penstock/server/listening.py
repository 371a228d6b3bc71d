"""The socket that the server listens on."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import PenstockError

__all__ = ["BACKLOG", "CannotListen", "listening"]

BACKLOG = 2048
"""Connections that wait to be taken: all replicas come back at once after a restart."""


class CannotListen(PenstockError):
    """The address is taken or none of this machine's."""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; port 0 takes any free one. CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, because asyncio sends without delay only where it is: else each answer takes 40 ms.
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            message = f"listening on {host}:{port}: {error.strerror or error}; choose another --port or --host"
            raise CannotListen(message) from error
        yield listener
