"""A hub's answer as text for a ConfigMap in the cluster, and back.

Pure: storing it is the reconciler's. What cannot be read back is worth nothing and is asked for again.
"""

import base64
import json
import zlib
from typing import Any

from penstock.hub.client import HubAnswer
from penstock.hub.errors import MalformedModel

__all__ = ["decode_answer", "encode_answer"]

_PLAIN_LIMIT = 128 * 1024
_STORED_LIMIT = 900 * 1024
_UNPACKED_LIMIT = 16 * 2**20
_PACKED = "zlib:"
_UNREAD = frozenset({"id2label", "label2id", "task_specific_params", "token_ids", "auto_map_code"})
_VERSION = 1


def encode_answer(answer: HubAnswer) -> str:
    """Compact JSON, packed where it is long; MalformedModel where even that is more than a ConfigMap holds."""
    config = {key: value for key, value in answer.config.items() if key not in _UNREAD}
    document = {
        "version": _VERSION,
        "config": config,
        "weightsBytes": answer.weights_bytes,
        "resolvedRevision": answer.resolved_revision,
        "dtypeBytes": dict(answer.dtype_bytes),
    }
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    if len(text) <= _PLAIN_LIMIT:
        return text
    packed = _PACKED + base64.b64encode(zlib.compress(text.encode(), level=9)).decode()
    if len(packed) > _STORED_LIMIT:
        message = f"the model's config is {len(text)} bytes long and cannot be kept in the cluster"
        raise MalformedModel(message)
    return packed


def decode_answer(text: str) -> HubAnswer | None:
    """The answer, None where the text is none of ours or of another version."""
    try:
        document = json.loads(_unpacked(text))
        if not isinstance(document, dict) or document.get("version") != _VERSION:
            return None
        return _answer(document)
    except (TypeError, ValueError, RecursionError, zlib.error):
        return None


def _unpacked(text: str) -> str:
    if not text.startswith(_PACKED):
        return text
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(base64.b64decode(text.removeprefix(_PACKED), validate=True), _UNPACKED_LIMIT)
    return content.decode()


def _answer(document: dict[str, Any]) -> HubAnswer | None:
    config, types = document.get("config"), document.get("dtypeBytes")
    size, revision = document.get("weightsBytes"), document.get("resolvedRevision")
    if not isinstance(config, dict) or not isinstance(types, dict):
        return None
    if not isinstance(size, int | None) or not isinstance(revision, str | None):
        return None
    return HubAnswer(config, size, revision, {str(kind): int(count) for kind, count in types.items()})
