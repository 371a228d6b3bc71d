"""What is kept of Secrets: never a value that nobody sends on, and nothing in a repr."""

import base64
import hashlib
from typing import Any

import pytest

from penstock.gateways.litellm.names import WATCHED_LABEL
from penstock.reconcilers.keys import Subject
from penstock.reconcilers.secrets import KeyFact, KeyReason, SecretBook, key_fact, slim_secret, unusable_key

VALUE = "sk-very-secret"
BOT, PROVIDER = ("team", "bot"), ("gateway", "mistral")


def secret(value: bytes | None = VALUE.encode(), *, watched: bool = False, raw: str = "") -> dict[str, Any]:
    """With one key, `api-key`, unless the value is None."""
    labels = {WATCHED_LABEL: "true"} if watched else {}
    data = {} if value is None else {"api-key": raw or base64.b64encode(value).decode()}
    metadata = {"namespace": "team", "name": "bot-key", "uid": "1", "resourceVersion": "7", "labels": labels}
    return {"kind": "Secret", "metadata": metadata, "data": data}


class TestKeyFact:
    """One key of a Secret."""

    def test_a_digest_is_enough_for_callers(self) -> None:
        """The value is not kept."""
        fact = key_fact(secret(), "api-key", keeps_value=False)
        assert fact.sha256 == hashlib.sha256(VALUE.encode()).hexdigest()
        assert (fact.value, fact.reason, fact.watched) == ("", "", False)

    def test_a_value_that_is_sent_on_is_in_no_repr(self) -> None:
        """White space around it is no part of it."""
        fact = key_fact(secret(f" {VALUE}\n".encode(), watched=True), "api-key", keeps_value=True)
        assert fact.value == VALUE
        assert VALUE not in repr(fact)
        assert fact.watched

    @pytest.mark.parametrize(
        ("live", "reason"),
        [
            (secret(None), KeyReason.KEY_NOT_FOUND),
            (secret(b""), KeyReason.KEY_UNUSABLE),
            (secret(b"two\nlines"), KeyReason.KEY_UNUSABLE),
            (secret("schlüssel".encode()), KeyReason.KEY_UNUSABLE),
            (secret(b"\xff\xfe"), KeyReason.KEY_UNUSABLE),
            (secret(raw="%%%"), KeyReason.KEY_UNUSABLE),
            (secret(b"x" * 8193), KeyReason.KEY_UNUSABLE),
        ],
        ids=["no such key", "empty", "two lines", "not ASCII", "not text", "not base64", "too long"],
    )
    def test_what_no_header_can_hold(self, live: dict[str, Any], reason: KeyReason) -> None:
        """It is told, not sent."""
        fact = key_fact(live, "api-key", keeps_value=True)
        assert (fact.reason, fact.sha256, fact.value) == (reason, "", "")


def test_a_secret_that_may_not_be_read_teaches() -> None:
    """The field, the Secret, its namespace and the cure."""
    fact = KeyFact(("team", "bot-key"), "api-key", reason=KeyReason.SECRET_FORBIDDEN)
    assert unusable_key("spec.keySecretRef", fact) == (
        "`spec.keySecretRef.name` 'bot-key': the operator may not use Secrets in namespace 'team'. "
        "List the namespace in the chart's value `secretNamespaces`."
    )


def test_a_watched_secret_is_kept_without_its_content() -> None:
    """Only which keys it has."""
    record = slim_secret(secret(watched=True))
    assert record.keys == {"api-key"}
    assert VALUE not in repr(record)


class TestSecretBook:
    """Who reads which Secret."""

    def test_says_whether_a_fact_is_news(self) -> None:
        """The first one is, the same one is not, another digest is."""
        book = SecretBook()
        fact = key_fact(secret(), "api-key", keeps_value=False)
        assert book.note(Subject.CONSUMER, BOT, fact)
        assert not book.note(Subject.CONSUMER, BOT, key_fact(secret(), "api-key", keeps_value=False))
        assert book.note(Subject.CONSUMER, BOT, key_fact(secret(b"another"), "api-key", keeps_value=False))

    def test_readers(self) -> None:
        """As long as they read it, and no longer."""
        book = SecretBook()
        shared = KeyFact(("team", "bot-key"), "api-key")
        book.note(Subject.CONSUMER, BOT, shared)
        book.note(Subject.MODEL_PROVIDER, PROVIDER, shared)
        assert set(book.readers("team", "bot-key")) == {(Subject.CONSUMER, BOT), (Subject.MODEL_PROVIDER, PROVIDER)}
        book.forget(Subject.CONSUMER, BOT)
        book.note(Subject.MODEL_PROVIDER, PROVIDER, KeyFact(("team", "other"), "api-key"))
        assert set(book.readers("team", "bot-key")) == set()
        assert set(book.readers("team", "other")) == {(Subject.MODEL_PROVIDER, PROVIDER)}

    def test_digests_of_one_subject(self) -> None:
        """By `namespace/name`; who has no key is not in it."""
        book = SecretBook()
        book.note(Subject.CONSUMER, BOT, KeyFact(("team", "bot-key"), "api-key", sha256="aa"))
        book.note(Subject.CONSUMER, ("team", "poor"), KeyFact(("team", "x"), "api-key", reason="SecretNotFound"))
        book.note(Subject.MODEL_PROVIDER, PROVIDER, KeyFact(("gateway", "y"), "api-key", sha256="bb"))
        assert book.digests(Subject.CONSUMER) == {"team/bot": "aa"}
