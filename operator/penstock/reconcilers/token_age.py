"""When a gateway's token is replaced; pure."""

import hashlib
from datetime import datetime, timedelta

__all__ = ["assumed_issue", "issued_at"]

_SPREAD = 2**32


def issued_at(stated: str, now: datetime) -> datetime | None:
    """What the annotation says; None where it says nothing that can be read, or a time to come."""
    try:
        found = datetime.fromisoformat(stated)
    except ValueError:
        return None
    return found if found.tzinfo is not None and found <= now else None


def assumed_issue(uid: str, now: datetime, period: timedelta) -> datetime:
    """Of a token without a date: spread over the period by the gateway's uid, so that not all are replaced at once."""
    drawn = int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=4).digest(), "big")
    return now - period * (drawn / _SPREAD)
