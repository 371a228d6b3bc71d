"""API keys: of providers as they are sent on, of consumers as a SHA-256 only; and who looks when a Secret changes.

Secrets that are labelled `penstock.dev/watched` are watched; of them, too, only digests are kept. A value is held here
for as long as a gateway needs it in its merged Secret, and is in no repr.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from penstock.api.refusals import Refusal
from penstock.cluster.owned import owned_digest
from penstock.gateways.litellm.names import TOKEN_ISSUED_ANNOTATION, WATCHED_LABEL
from penstock.reconcilers.keys import Subject

__all__ = [
    "KeyFact",
    "KeyReason",
    "SecretBook",
    "SecretRecord",
    "key_fact",
    "no_secrets",
    "slim_secret",
    "unusable_key",
]


_LONGEST_KEY = 8192
_MANAGED_BY = "app.kubernetes.io/managed-by"

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A watched Secret without its content: which keys it has, and a digest of what we own of it."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    keys: frozenset[str]
    digest: str
    token_issued_at: str = ""
    """As the Secret of a gateway's token says it."""


def slim_secret(live: dict[str, Any]) -> SecretRecord:
    """Forget the values."""
    metadata = live["metadata"]
    owners = metadata.get("ownerReferences") or ()
    return SecretRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        owner_uid=next((each["uid"] for each in owners if each.get("controller")), ""),
        keys=frozenset(live.get("data") or {}),
        digest=owned_digest(live),
        token_issued_at=(metadata.get("annotations") or {}).get(TOKEN_ISSUED_ANNOTATION, ""),
    )


class KeyReason(StrEnum):
    """Why a key cannot be used; a condition's reason."""

    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a word for conditions
    SECRET_FORBIDDEN = "SecretForbidden"  # noqa: S105 - likewise
    KEY_NOT_FOUND = "KeyNotFound"
    KEY_UNUSABLE = "KeyUnusable"


@dataclass(frozen=True, slots=True)
class KeyFact:
    """What was read of one key: `reason` is empty where it is there; `value` only for those that send it on."""

    secret: Place
    key: str
    reason: str = ""
    sha256: str = ""
    value: str = field(default="", repr=False)
    watched: bool = False
    version: str = ""
    issued: bool = False
    """It was made by us."""


def key_fact(live: dict[str, Any], key: str, *, keeps_value: bool) -> KeyFact:
    """Read one key of a live Secret; white space at its ends is no part of it."""
    metadata = live["metadata"]
    labels = metadata.get("labels") or {}
    fact = KeyFact(
        secret=(metadata["namespace"], metadata["name"]),
        key=key,
        watched=WATCHED_LABEL in labels,
        version=metadata.get("resourceVersion", ""),
        issued=labels.get(_MANAGED_BY) == "penstock",
    )
    value = _decoded((live.get("data") or {}).get(key))
    if value is None:
        return replace(fact, reason=KeyReason.KEY_NOT_FOUND)
    if not value or len(value) > _LONGEST_KEY or not value.isascii() or not value.isprintable():
        return replace(fact, reason=KeyReason.KEY_UNUSABLE)
    digest = hashlib.sha256(value.encode()).hexdigest()
    return replace(fact, sha256=digest, value=value if keeps_value else "")


_WORDS = {
    KeyReason.SECRET_NOT_FOUND: ("this Secret does not exist", "Create it"),
    KeyReason.KEY_NOT_FOUND: ("the Secret has no such key", "Add it, or correct the name"),
    KeyReason.KEY_UNUSABLE: (
        "no header can hold its value",
        "Put printable ASCII there, at most 8192 characters",
    ),
}


def unusable_key(field: str, fact: KeyFact) -> str:
    """Field, value, reason and cure, for a condition."""
    namespace, name = fact.secret
    if fact.reason == KeyReason.SECRET_FORBIDDEN:
        return str(no_secrets(f"{field}.name", name, namespace))
    reason, cure = _WORDS[KeyReason(fact.reason)]
    part, value = ("name", name) if fact.reason == KeyReason.SECRET_NOT_FOUND else ("key", fact.key)
    return str(Refusal(f"{field}.{part}", value, reason, cure))


def no_secrets(field: str, value: str, namespace: str) -> Refusal:
    """Of a field that needs a Secret there: the namespace is not named, or its Role is missing."""
    reason = f"the operator may not use Secrets in namespace '{namespace}'"
    return Refusal(field, value, reason, "List the namespace in the chart's value `secretNamespaces`")


def _decoded(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""


@dataclass(slots=True)
class SecretBook:
    """What is known of each ModelProvider's and each Consumer's key."""

    facts: dict[tuple[Subject, Place], KeyFact] = field(default_factory=dict)
    _readers: dict[Place, set[tuple[Subject, Place]]] = field(default_factory=dict)

    def of(self, subject: Subject, place: Place) -> KeyFact | None:
        """What is known; None: nobody looked yet."""
        return self.facts.get((subject, place))

    def note(self, subject: Subject, place: Place, fact: KeyFact) -> bool:
        """Keep it; True where it says something else than before."""
        before = self.facts.get((subject, place))
        if before is not None and before.secret != fact.secret:
            self._unlink(before.secret, (subject, place))
        self.facts[subject, place] = fact
        self._readers.setdefault(fact.secret, set()).add((subject, place))
        return before is None or (before.reason, before.sha256) != (fact.reason, fact.sha256)

    def forget(self, subject: Subject, place: Place) -> None:
        """The reader is gone."""
        fact = self.facts.pop((subject, place), None)
        if fact is not None:
            self._unlink(fact.secret, (subject, place))

    def readers(self, namespace: str, name: str) -> Iterator[tuple[Subject, Place]]:
        """Who reads that Secret."""
        yield from self._readers.get((namespace, name), ())

    def digests(self, subject: Subject) -> Mapping[str, str]:
        """SHA-256 by `namespace/name`, of those whose key is there."""
        return {
            "/".join(place): fact.sha256
            for (kind, place), fact in self.facts.items()
            if kind is subject and fact.sha256
        }

    def _unlink(self, secret: Place, reader: tuple[Subject, Place]) -> None:
        readers = self._readers.get(secret, set())
        readers.discard(reader)
        if not readers:
            self._readers.pop(secret, None)
