"""What is read of Secrets: anything may stand there."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from builders.certificates import NOW, authority, leaf
from penstock.certificates.pairs import (
    CertificateUnusable,
    bundle_pem,
    is_authority,
    issued_at,
    issued_by,
    names_of,
    read_bundle,
    read_pair,
)

CA, OTHER = authority(now=NOW), authority(now=NOW)
LEAF = leaf(CA, "a.example", "10.0.0.1", now=NOW)
_PKCS8, _OPEN = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
LOCKED = LEAF.key.private_bytes(
    serialization.Encoding.PEM, _PKCS8, serialization.BestAvailableEncryption(b"swordfish")
).decode()
ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, _PKCS8, _OPEN).decode()


def test_a_pair_is_read_as_it_was_written() -> None:
    read = read_pair(LEAF.certificate_pem.encode(), LEAF.key_pem.encode())
    assert (read.certificate, read.key_pem) == (LEAF.certificate, LEAF.key_pem)
    assert names_of(read.certificate) == ("10.0.0.1", "a.example")
    assert issued_at(read.certificate) == NOW
    assert read.certificate.not_valid_after_utc == NOW + timedelta(days=90)


def test_the_key_is_in_no_repr() -> None:
    assert "PRIVATE" not in repr(LEAF)
    assert "key" not in repr(LEAF)


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        pytest.param("", "", "missing", id="nothing"),
        pytest.param(LEAF.certificate_pem, "", "missing", id="no key"),
        pytest.param("garbage", LEAF.key_pem, "tls.crt holds no certificate", id="no certificate"),
        pytest.param(LEAF.certificate_pem[:200], LEAF.key_pem, "tls.crt holds no certificate", id="half of one"),
        pytest.param(LEAF.certificate_pem * 600, LEAF.key_pem, "tls.crt holds no certificate", id="too large"),
        pytest.param(LEAF.certificate_pem, "garbage", "tls.key holds no EC or RSA key", id="no PEM"),
        pytest.param(LEAF.certificate_pem, LOCKED, "tls.key holds no EC or RSA key", id="a password"),
        pytest.param(LEAF.certificate_pem, ED25519, "tls.key holds no EC or RSA key", id="another kind"),
        pytest.param(LEAF.certificate_pem, CA.key_pem, "not the key of", id="another's key"),
    ],
)
def test_what_is_no_pair(certificate: str, key: str, why: str) -> None:
    """Is refused with a reason in which nothing of it stands."""
    with pytest.raises(CertificateUnusable, match=why) as caught:
        read_pair(certificate.encode(), key.encode())
    assert "BEGIN" not in str(caught.value)


def test_a_bundle_is_read_as_it_was_written() -> None:
    pem = bundle_pem([CA.certificate, OTHER.certificate]).encode()
    assert read_bundle(pem) == (CA.certificate, OTHER.certificate)
    assert read_bundle(pem + pem) == (CA.certificate, OTHER.certificate)
    assert read_bundle(b" \n") == ()
    assert read_bundle(pem + LEAF.certificate_pem.encode()) == (CA.certificate, OTHER.certificate)
    with pytest.raises(CertificateUnusable, match=r"ca\.crt"):
        read_bundle(b"garbage")


def test_who_signed() -> None:
    assert issued_by(LEAF.certificate, CA.certificate)
    assert not issued_by(LEAF.certificate, OTHER.certificate)
    assert not issued_by(LEAF.certificate, LEAF.certificate)
    assert is_authority(CA.certificate)
    assert not is_authority(LEAF.certificate)


def test_two_authorities_have_two_names() -> None:
    assert CA.certificate.subject != OTHER.certificate.subject


def test_a_certificate_ends_with_its_signer() -> None:
    short = authority(now=NOW, days=10)
    assert leaf(short, now=NOW).certificate.not_valid_after_utc == NOW + timedelta(days=10)
