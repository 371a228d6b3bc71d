"""Until when a certificate is good. Nothing is verified: whoever trusts a certificate verifies it."""

from datetime import datetime

from cryptography import x509

__all__ = ["expiry"]


def expiry(pem: bytes) -> datetime | None:
    """`notAfter` of the first certificate in the text; None where there is none that can be read."""
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except ValueError:
        return None
