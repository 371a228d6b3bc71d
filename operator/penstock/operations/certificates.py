"""Until when a certificate is good: the one field of X.509 that is needed here, read from its DER form.

Nothing is verified: whoever trusts a certificate verifies it. RFC 5280, section 4.1.
"""

import base64
import binascii
import re
from datetime import UTC, datetime

__all__ = ["expiry"]

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_LONG_FORM = 0x80
_FIELDS_BEFORE_VALIDITY = 3


def expiry(pem: bytes) -> datetime | None:
    """`notAfter` of the first certificate in the text; None where there is none that can be read."""
    found = _PEM.search(pem)
    try:
        return _not_after(base64.b64decode(found.group(1))) if found else None
    except (ValueError, IndexError, binascii.Error):
        return None


def _not_after(der: bytes) -> datetime:
    certificate = _inside(der, _SEQUENCE)
    body = _inside(certificate, _SEQUENCE)
    if body[0] == _VERSION:
        body = _after(body)
    # serialNumber, signature, issuer
    for _ in range(_FIELDS_BEFORE_VALIDITY):
        body = _after(body)
    validity = _inside(body, _SEQUENCE)
    return _time(_after(validity))


def _time(field: bytes) -> datetime:
    start, length = _extent(field)
    text = field[start : start + length].decode("ascii")
    # Two digits of a year mean 1950 to 2049 (RFC 5280, 4.1.2.5.1).
    if field[0] == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif field[0] != _GENERALIZED_TIME:
        message = f"tag {field[0]} is no time"
        raise ValueError(message)
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _inside(field: bytes, tag: int) -> bytes:
    if field[0] != tag:
        message = f"tag {field[0]} where {tag} belongs"
        raise ValueError(message)
    start, length = _extent(field)
    return field[start : start + length]


def _after(field: bytes) -> bytes:
    start, length = _extent(field)
    return field[start + length :]


def _extent(field: bytes) -> tuple[int, int]:
    """Where the content starts and how long it is."""
    first = field[1]
    if first < _LONG_FORM:
        return 2, first
    size = first - _LONG_FORM
    return 2 + size, int.from_bytes(field[2 : 2 + size])
