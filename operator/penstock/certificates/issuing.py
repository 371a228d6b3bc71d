"""Makes authorities and the server's certificates: EC P-256, and as strict as verifiers may be (RFC 5280)."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from penstock.access.names import SERVER
from penstock.certificates.pairs import BACKDATED, Pair, PrivateKey

__all__ = ["new_authority", "new_server"]

_LONGEST_COMMON_NAME = 64


def new_authority(now: datetime, life: timedelta) -> Pair:
    """One that signs itself, may sign servers and no other authority, and has a name of its own."""
    key, serial = _new_key(), x509.random_serial_number()
    # Two authorities of one name would leave it to each verifier which of them it tries.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"penstock-ca {serial:040x}")])
    builder = _builder(subject, subject, key, serial=serial, life=(now, now + life))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def new_server(signer: Pair, names: Sequence[str], now: datetime, life: timedelta) -> Pair:
    """For a server of these DNS names and IP addresses; it holds no longer than its signer does."""
    key, serial, by = _new_key(), x509.random_serial_number(), signer.certificate
    common = names[0] if len(names[0]) <= _LONGEST_COMMON_NAME else SERVER
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    end = min(now + life, by.not_valid_after_utc)
    builder = _builder(subject, by.subject, key, serial=serial, life=(now, end))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
    builder = builder.add_extension(_signers_identifier(by), critical=False)
    return Pair(builder.sign(signer.key, hashes.SHA256()), key)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, *, serial: int, life: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(life[0] - BACKDATED)
        .not_valid_after(life[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signers_identifier(signer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """As the signer says it, or, of one that was brought along and says nothing, as it is computed."""
    try:
        stated = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())  # type: ignore[arg-type] # EC or RSA
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(stated)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
