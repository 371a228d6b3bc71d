"""The server's certificate in files: loaded anew when they change, so that no rotation needs a restart."""

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from penstock.errors import PenstockError
from penstock.workqueue.clock import Clock

__all__ = ["CertificateFiles", "CertificateFilesUnusable"]

_log = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 5.0

_Stamp = tuple[int, int, int]


class CertificateFilesUnusable(PenstockError):
    """At the start: the files are not there, or are no certificate with its key."""


@dataclass(slots=True)
class CertificateFiles:
    """`context` is what listens; each handshake takes the newest certificate, so that none meets half of a pair."""

    certificate: Path
    key: Path
    context: ssl.SSLContext = field(init=False)
    _newest: ssl.SSLContext = field(init=False)
    _seen: tuple[_Stamp, ...] = ()

    def __post_init__(self) -> None:
        """CertificateFilesUnusable where there is nothing to begin with."""
        try:
            self._seen = self._stamps()
            self.context = self._newest = self._loaded()
        except OSError as error:
            cure = "check `--tls-cert-file` and `--tls-key-file`: PEM, the key without a password"
            message = f"loading the certificate {self.certificate} with the key {self.key}: {_why(error)}; {cure}"
            raise CertificateFilesUnusable(message) from error
        self.context.sni_callback = self._choose

    def refresh(self) -> bool:
        """Whether there was another pair and it is used now; a bad one is told once, and the one before goes on."""
        try:
            seen = self._stamps()
            if seen == self._seen:
                return False
            self._seen = seen
            self._newest = self._loaded()
        except OSError as error:
            # Between two files of a swap, too: they are looked at again when the second has changed.
            _log.warning("the certificate %s is not taken, the one before goes on: %s", self.certificate, _why(error))
            return False
        _log.info("the certificate %s was loaded anew", self.certificate)
        return True

    async def watch(self, clock: Clock) -> None:
        """Look every few seconds; never ends by itself."""
        while True:
            await clock.sleep(_LOOK_EVERY_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called at each handshake, whether the client names a host or not."""
        handshake.context = self._newest

    def _loaded(self) -> ssl.SSLContext:
        """In a context of its own: one that is in use would be left with half of a pair by a bad file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key, password=_no_password)
        return context

    def _stamps(self) -> tuple[_Stamp, ...]:
        """A mounted Secret is links to a folder that is swapped whole: what they lead to has another inode then."""
        found = (path.stat() for path in (self.certificate, self.key))
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)


def _no_password() -> str:
    """Instead of a question on the terminal, which nobody answers."""
    return ""


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no such pair in PEM ({error.reason or 'unreadable'})"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
