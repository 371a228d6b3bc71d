"""What a client of the API server has to know, as the file that all of them read."""

import base64
import json
from pathlib import Path


def kubeconfig(url: str, token: str, certificate: Path) -> str:
    """Write for one user, who has a token; `certificate` holds the authority of the API server's certificate."""
    authority = base64.b64encode(certificate.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": "testbed", "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        "current-context": "testbed",
    }
    return json.dumps(config, indent=2)
