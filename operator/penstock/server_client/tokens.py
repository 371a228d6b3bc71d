"""Where the operator's token for the server comes from: files that are read anew each time, because they rotate."""

from dataclasses import dataclass
from pathlib import Path

from penstock.server_client.errors import ServerRefused

__all__ = ["TokenFile", "service_account_token"]

_LARGEST_FILE = 4096
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_OPTION = "check `--server-token-file`"
_MOUNT = "have the service account's token mounted (automountServiceAccountToken), or give `--server-token-file`"


@dataclass(frozen=True, slots=True)
class TokenFile:
    """One token in a file of at most 4 KiB, white space around it; `cure` says what to do where there is none."""

    path: Path
    cure: str = _OPTION

    def __call__(self) -> str:
        """The token as it is now; ServerRefused where there is none."""
        token = self._content().strip()
        if not token or not token.isascii() or len(token.split()) > 1:
            why = "the file holds no token, or more than one"
            raise self._refused(why)
        return token.decode()

    def _content(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                content = file.read(_LARGEST_FILE + 1)
        except OSError as error:
            raise self._refused(error.strerror or type(error).__name__) from error
        if len(content) > _LARGEST_FILE:
            why = f"the file is larger than {_LARGEST_FILE} bytes, as no token is"
            raise self._refused(why)
        return content

    def _refused(self, why: str) -> ServerRefused:
        return ServerRefused(f"reading the operator's token for the server from {self.path}: {why}; {self.cure}")


def service_account_token(path: Path = _SERVICE_ACCOUNT) -> TokenFile:
    """The pod's own, which the kubelet renews; the server knows it by TokenReview."""
    return TokenFile(path, _MOUNT)
