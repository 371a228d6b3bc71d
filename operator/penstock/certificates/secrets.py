"""The two Secrets: the authority's with its key, which only the operator reads, and the server's, which is mounted."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from penstock.access.names import AUTHORITY_SECRET, SERVER_SECRET
from penstock.certificates.pairs import CertificateUnusable, Pair, bundle_pem, read_bundle, read_pair
from penstock.certificates.rotation import Held, Rotation

__all__ = ["BUNDLE", "differs", "held_in", "is_ours", "render_secrets"]

CERTIFICATE, KEY, BUNDLE = "tls.crt", "tls.key", "ca.crt"

_MANAGED_BY = "app.kubernetes.io/managed-by"
_LABELS = {_MANAGED_BY: "penstock", "app.kubernetes.io/name": "penstock"}
_TYPE = "kubernetes.io/tls"

Object = dict[str, Any]


def held_in(authority: Object | None, server: Object | None) -> tuple[Held, tuple[str, ...]]:
    """What both hold, and what could not be read; a bundle that only one of them still has counts."""
    problems: list[str] = []
    signer = _pair(AUTHORITY_SECRET, authority, problems)
    leaf = _pair(SERVER_SECRET, server, problems)
    known = (*_bundle(AUTHORITY_SECRET, authority, problems), *_bundle(SERVER_SECRET, server, problems))
    return Held(signer, leaf, tuple(dict.fromkeys(known))), tuple(problems)


def is_ours(live: Object | None) -> bool:
    """Whether we may write it: it is not there, or it is labelled as ours."""
    if live is None:
        return True
    return (live["metadata"].get("labels") or {}).get(_MANAGED_BY) == _LABELS[_MANAGED_BY]


def render_secrets(rotation: Rotation, namespace: str) -> tuple[Object, Object]:
    """In the order of applying: the authority's key is kept before anything that it signed is shown."""
    bundle = bundle_pem(rotation.bundle)
    return (
        _secret(AUTHORITY_SECRET, namespace, rotation.signer, bundle),
        _secret(SERVER_SECRET, namespace, rotation.server, bundle),
    )


def differs(manifest: Object, live: Object | None) -> bool:
    """Whether the manifest has to be applied."""
    if live is None:
        return True
    return any((live.get("data") or {}).get(key) != value for key, value in manifest["data"].items())


def _pair(name: str, live: Object | None, problems: list[str]) -> Pair | None:
    """None where there is no Secret, or nothing in it that can be used."""
    if live is None:
        return None
    data = live.get("data") or {}
    try:
        return read_pair(_decoded(data, CERTIFICATE), _decoded(data, KEY))
    except CertificateUnusable as error:
        problems.append(f"Secret {name}: {error}")
        return None


def _bundle(name: str, live: Object | None, problems: list[str]) -> tuple[Any, ...]:
    try:
        return read_bundle(_decoded((live or {}).get("data") or {}, BUNDLE))
    except CertificateUnusable as error:
        problems.append(f"Secret {name}: {error}")
        return ()


def _decoded(data: Mapping[str, str], key: str) -> bytes:
    try:
        return base64.b64decode(data.get(key) or "", validate=True)
    except (binascii.Error, ValueError):
        return b"?"


def _secret(name: str, namespace: str, pair: Pair, bundle: str) -> Object:
    """In `data`, because `stringData` is nothing that the API server keeps."""
    values = {CERTIFICATE: pair.certificate_pem, KEY: pair.key_pem, BUNDLE: bundle}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(_LABELS)},
        "type": _TYPE,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
