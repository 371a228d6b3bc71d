"""Certificates and their keys, as Secrets hold them in PEM: read with suspicion, written as everybody reads them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from penstock.errors import PenstockError

__all__ = [
    "BACKDATED",
    "CertificateUnusable",
    "Pair",
    "PrivateKey",
    "bundle_pem",
    "is_authority",
    "issued_at",
    "issued_by",
    "names_of",
    "read_bundle",
    "read_pair",
]

PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey

BACKDATED = timedelta(hours=1)
"""Certificates begin to hold earlier than they are made, for machines whose clocks are slow."""

_MOST_AUTHORITIES = 16
_LARGEST_PEM = 256 * 1024
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension)


class CertificateUnusable(PenstockError):
    """A Secret's content that is no certificate with its key; the message holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, which is in no repr."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> str:
        """`tls.crt`."""
        return _pem(self.certificate)

    @property
    def key_pem(self) -> str:
        """`tls.key`, PKCS #8, not encrypted."""
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def read_pair(certificate: bytes, key: bytes) -> Pair:
    """The first certificate of the one and the key of the other; CertificateUnusable with the reason."""
    if not certificate or not key:
        reason = "tls.crt or tls.key is missing"
        raise CertificateUnusable(reason)
    first = _certificates(certificate, "tls.crt")[0]
    pair = Pair(first, _key(key))
    if pair.key.public_key() != first.public_key():
        reason = "tls.key is not the key of tls.crt"
        raise CertificateUnusable(reason)
    return pair


def read_bundle(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The authorities in it, each once, at most 16; empty for none. CertificateUnusable where it cannot be read."""
    if not pem.strip():
        return ()
    found = dict.fromkeys(each for each in _certificates(pem, "ca.crt") if is_authority(each))
    return tuple(found)[:_MOST_AUTHORITIES]


def bundle_pem(authorities: Iterable[x509.Certificate]) -> str:
    """`ca.crt`."""
    return "".join(_pem(each) for each in authorities)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except _UNREADABLE:
        return False


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority signed it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def issued_at(certificate: x509.Certificate) -> datetime:
    """When one of ours was made; of others a guess that is not later than the truth by more than it is backdated."""
    return certificate.not_valid_before_utc + BACKDATED


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and IP addresses that it is for, sorted."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except _UNREADABLE:
        return ()
    addresses = (str(each) for each in found.get_values_for_type(x509.IPAddress))
    return tuple(sorted({*found.get_values_for_type(x509.DNSName), *addresses}))


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        if len(pem) > _LARGEST_PEM:
            raise ValueError
        found = x509.load_pem_x509_certificates(pem)
        for each in found:
            # What is read late would otherwise fail late.
            _ = each.extensions, each.public_key(), each.not_valid_after_utc
    except _UNREADABLE as error:
        reason = f"{what} holds no certificate in PEM that can be read"
        raise CertificateUnusable(reason) from error
    return found


def _key(pem: bytes) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except _UNREADABLE:
        key = None
    if isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey):
        return key
    # No cause: it could show something of the key.
    reason = "tls.key holds no EC or RSA key in PEM without a password"
    raise CertificateUnusable(reason)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
