"""The two Secrets of a gateway: the providers' keys, and how it proves itself to the server and to LiteLLM.

Both are mounted or read at the start; neither is part of the pods' template, so that a new key rolls nothing.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from penstock.api.inferencegateway import InferenceGateway
from penstock.gateways.litellm.names import (
    MASTER_KEY,
    TOKEN_ISSUED_ANNOTATION,
    TOKEN_KEY,
    VERSION_KEY,
    WATCHED_LABEL,
    credentials_secret_name,
    labels_of,
    token_secret_name,
)
from penstock.render.names import child_metadata

__all__ = ["credentials_version", "render_credentials", "render_token"]

_VERSION_BYTES = 8


def render_credentials(gateway: InferenceGateway, keys: Mapping[str, str]) -> dict[str, Any]:
    """The merged Secret: each provider's key in its file, and `version`. Replicas say which version they have."""
    version = {VERSION_KEY: credentials_version(gateway, keys)}
    return _secret(gateway, credentials_secret_name(gateway.metadata.name), {**keys, **version})


def credentials_version(gateway: InferenceGateway, keys: Mapping[str, str]) -> str:
    """16 hexadecimal digits, other ones exactly when a key or the set of files changes; never empty.

    It stands in tables and acknowledgements: half a hash over all keys together, salted with the gateway's uid, so that
    nobody finds a key by it, nor that two gateways share one.
    """
    content = json.dumps(sorted(keys.items()), separators=(",", ":")).encode()
    salt = hashlib.sha256(gateway.metadata.uid.encode()).digest()
    return hashlib.blake2b(content, key=salt, digest_size=_VERSION_BYTES).hexdigest()


def render_token(
    gateway: InferenceGateway, token: str, master_key: str, issued_at: datetime | None = None
) -> dict[str, Any]:
    """The bearer token for the server, since when it is used, and LiteLLM's own master key."""
    name = token_secret_name(gateway.metadata.name)
    rendered = _secret(gateway, name, {TOKEN_KEY: token, MASTER_KEY: master_key})
    if issued_at is not None:
        rendered["metadata"]["annotations"] = {TOKEN_ISSUED_ANNOTATION: issued_at.isoformat(timespec="seconds")}
    return rendered


def _secret(gateway: InferenceGateway, name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """In `data`, because `stringData` is nothing that the API server keeps."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": child_metadata(gateway, name, {**labels_of(gateway), WATCHED_LABEL: "true"}),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
