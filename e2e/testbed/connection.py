"""Requests to the API server by the standard library alone, on one kept-alive connection.

For the test bed's own needs: waiting until it is ready, and making thousands of nodes in a few seconds.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.errors import CommandError

_SUCCESS = range(200, 300)


class Connection:
    """One user's connection to the API server on loopback."""

    def __init__(self, port: int, token: str, certificate: Path) -> None:
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        trust = ssl.create_default_context(cafile=certificate)
        self._https = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=trust)

    def answers(self, path: str) -> bool:
        """Tell whether the path is served with success."""
        try:
            return self._request("GET", path)[0] in _SUCCESS
        except (OSError, http.client.HTTPException):
            self.close()
            return False

    def read(self, path: str) -> Any:
        """Read an object or a list."""
        return self._successful("GET", path)

    def create(self, path: str, manifest: Mapping[str, Any]) -> Any:
        """Create one object in a collection."""
        return self._successful("POST", path, json.dumps(manifest))

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._https.close()

    def _successful(self, method: str, path: str, body: str | None = None) -> Any:
        status, text = self._request(method, path, body)
        if status not in _SUCCESS:
            message = f"{method} {path}: {status} {text.decode(errors='replace').strip()}"
            raise CommandError(message)
        return json.loads(text)

    def _request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        self._https.request(method, path, body, self._headers)
        answer = self._https.getresponse()
        return answer.status, answer.read()
