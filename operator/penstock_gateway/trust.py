"""Whom a replica trusts to be the control-plane server: a bundle in a mounted file that may change at any time."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from penstock_gateway.errors import ServerAway

__all__ = ["Trust"]

_LARGEST_FILE = 1024 * 1024


@dataclass(slots=True)
class Trust:
    """Without a file, what the image trusts. A file that becomes unusable leaves what was read."""

    path: Path | None
    _context: ssl.SSLContext | None = field(default=None, repr=False)
    _seen: tuple[int, int, int] | None = None

    def context(self) -> ssl.SSLContext | bool:
        """For new connections; True: the library's own. ServerAway where there never was a usable bundle."""
        if self.path is None:
            return True
        try:
            status = self.path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._context, self._seen = _read(self.path), seen
        except (OSError, ValueError) as error:
            if self._context is None:
                why = (error.strerror if isinstance(error, OSError) else "") or "no certificate in PEM"
                message = f"the server's authorities cannot be read from {self.path}: {why}"
                raise ServerAway(message) from error
        return self._context or True


def _read(path: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer, names verified, this bundle alone; ValueError and OSError (ssl.SSLError) where it is none."""
    with path.open("rb") as file:
        pem = file.read(_LARGEST_FILE).decode("ascii", errors="ignore")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=pem)
    if not context.cert_store_stats()["x509"]:
        raise ValueError
    return context
