"""The cluster's certificate authority and what it signs, by the openssl command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.commands import run

_DAYS = "30"
_KEY = ("-newkey", "rsa:2048", "-nodes")
"""The API server does not read elliptic keys for service-account tokens in the form that openssl writes."""
_NOTHING_BY_DEFAULT = "[req]\ndistinguished_name = name\n[name]\n"
"""The machine's own openssl.cnf would add extensions of its own."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a folder."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.folder / "ca.crt"

    @property
    def key(self) -> Path:
        """What signs."""
        return self.folder / "ca.key"

    def create(self) -> None:
        """Make key and certificate."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._configuration.write_text(_NOTHING_BY_DEFAULT)
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        self._request("ca", "/CN=testbed-ca", extensions)

    def serve(self, name: str, alternatives: Sequence[str]) -> None:
        """Sign a server's certificate, as in `DNS:kubernetes` and `IP:10.96.0.1`; its file ends with the authority."""
        extensions = (f"subjectAltName={','.join(alternatives)}", "extendedKeyUsage=serverAuth")
        self._request(name, f"/CN={name}", extensions, signed=True)
        with (self.folder / f"{name}.crt").open("a") as file:
            file.write(self.certificate.read_text())

    def identify(self, name: str, user: str, group: str) -> None:
        """Sign a client's certificate: the API server takes the common name for the user."""
        self._request(name, f"/O={group}/CN={user}", ("extendedKeyUsage=clientAuth",), signed=True)

    @property
    def _configuration(self) -> Path:
        return self.folder / "openssl.cnf"

    def _request(self, name: str, subject: str, extensions: Sequence[str], *, signed: bool = False) -> None:
        files = ("-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.crt"))
        signer = ("-CA", str(self.certificate), "-CAkey", str(self.key)) if signed else ()
        added = [word for extension in extensions for word in ("-addext", extension)]
        place = ("-config", str(self._configuration), "-days", _DAYS, "-subj", subject)
        run(["openssl", "req", "-x509", *_KEY, *place, *files, *signer, *added])
