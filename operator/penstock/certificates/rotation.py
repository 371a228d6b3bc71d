"""What the Secrets hold, the time, the names -> what they must hold, and when to look again.

The bundle goes first: a new authority is trusted everywhere before it signs, and an old one is trusted as long as a
certificate of it may be in use. The old one's key goes at once: it signs once more before, which holds for weeks, so
nothing of it is missed. Copies of a Secret or a ConfigMap may be late by `overlap`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from penstock.certificates.issuing import new_authority, new_server
from penstock.certificates.pairs import Pair, is_authority, issued_at, issued_by, names_of

__all__ = ["Held", "Rotation", "Terms", "rotate"]

_AUTHORITY_RENEWED_AT = 2 / 3
_SERVER_RENEWED_AT = 2 / 3
_PRESSING_FROM = 3 / 4
"""Three weeks before a certificate of 90 days ends: an operator that looks twenty days late is in time."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long what lasts; `overlap` is how late a copy may be, and must be more than the kubelet's 90 s."""

    authority: timedelta = timedelta(days=730)
    server: timedelta = timedelta(days=90)
    overlap: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Held:
    """What the Secrets hold: None, or not in the bundle, where there is nothing or it cannot be read."""

    signer: Pair | None = None
    server: Pair | None = None
    bundle: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Rotation:
    """What the Secrets must hold; `changes` says in words what is new, and why."""

    signer: Pair
    server: Pair
    bundle: tuple[x509.Certificate, ...]
    look_again: datetime
    changes: tuple[str, ...] = ()


def rotate(held: Held, *, names: Sequence[str], now: datetime, since: datetime, terms: Terms | None = None) -> Rotation:
    """The next state; `since` is when this process began to hand out `held.bundle`, at the latest `now`.

    `names` are those of the server's certificate, at least one. What was lost or broken is made anew; where the
    server's certificate is whole, it goes on until the new authority is known.
    """
    return _Pass(held, tuple(sorted(names)), now, since, terms or Terms()).result()


@dataclass(frozen=True, slots=True)
class _Pass:
    held: Held
    names: tuple[str, ...]
    now: datetime
    since: datetime
    terms: Terms

    def result(self) -> Rotation:
        signer, why_signer = self._signer()
        trusted = self._trusted(signer)
        server, why_server = self._server(signer, trusted)
        bundle, why_bundle = self._bundle(signer, server, trusted, fresh=bool(why_server))
        changes = tuple(each for each in (why_signer, why_server, why_bundle) if each)
        return Rotation(signer, server, bundle, self._look_again(signer, server, bundle), changes)

    def _signer(self) -> tuple[Pair, str]:
        """Ours, or a new one and why."""
        old, why = self.held.signer, ""
        if old is None:
            why = "there was none that could be used"
        elif not is_authority(old.certificate):
            why = "the one there may not sign"
        elif not self._holds(old.certificate):
            why = f"the one there holds from {_days(old.certificate)}"
        elif self.now >= _share(old.certificate, _AUTHORITY_RENEWED_AT):
            why = f"the former one ends {old.certificate.not_valid_after_utc:%Y-%m-%d}"
        if old is not None and not why:
            return old, ""
        made = new_authority(self.now, self.terms.authority)
        return made, f"a new authority until {made.certificate.not_valid_after_utc:%Y-%m-%d}: {why}"

    def _trusted(self, signer: Pair) -> tuple[x509.Certificate, ...]:
        """Whom clients trust now and still must, and the signer."""
        old = self.held.signer
        known = (*self.held.bundle, *((old.certificate,) if old and is_authority(old.certificate) else ()))
        holding = [each for each in known if each.not_valid_after_utc > self.now]
        return tuple(dict.fromkeys((signer.certificate, *holding)))

    def _server(self, signer: Pair, trusted: Sequence[x509.Certificate]) -> tuple[Pair, str]:
        """The one there, or a new one and why."""
        old = self.held.server
        why = self._why_at_once(old, trusted)
        if old is not None and not why:
            if self._is_leaving(signer, old):
                return self._made(self.held.signer or signer, "its authority signs once more, and leaves")
            why = self._why_soon(old, signer)
            if not why or not self._may_sign(signer, old):
                return old, ""
        return self._made(signer, why)

    def _is_leaving(self, signer: Pair, server: Pair) -> bool:
        """Whether the authority of the certificate in use still holds, and another one was made just now."""
        old = self.held.signer
        if old is None or old == signer or not self._holds(old.certificate):
            return False
        return issued_by(server.certificate, old.certificate)

    def _made(self, signer: Pair, why: str) -> tuple[Pair, str]:
        made = new_server(signer, self.names, self.now, self.terms.server)
        return made, f"a new certificate of the server until {made.certificate.not_valid_after_utc:%Y-%m-%d}: {why}"

    def _why_at_once(self, server: Pair | None, trusted: Sequence[x509.Certificate]) -> str:
        """No client takes it, so that nothing is lost by any other."""
        if server is None:
            return "there was none that could be used"
        if not self._holds(server.certificate):
            return f"the one there holds from {_days(server.certificate)}"
        if not any(issued_by(server.certificate, each) for each in trusted):
            return "nobody who is trusted signed the one there"
        return ""

    def _why_soon(self, server: Pair, signer: Pair) -> str:
        if names_of(server.certificate) != self.names:
            return f"its names are now {', '.join(self.names)}"
        if not issued_by(server.certificate, signer.certificate):
            return "the new authority is known everywhere"
        if self.now >= _share(server.certificate, _SERVER_RENEWED_AT):
            return f"the former one ends {server.certificate.not_valid_after_utc:%Y-%m-%d}"
        return ""

    def _may_sign(self, signer: Pair, server: Pair) -> bool:
        """Whether every client knows the signer: it signed what is in use, or its time in the bundle is long enough.

        A process that restarts all the time must not put it off until the certificate in use ends.
        """
        if issued_by(server.certificate, signer.certificate):
            return True
        if signer.certificate not in self.held.bundle:
            return False
        known = issued_at(signer.certificate)
        if self.now < _share(server.certificate, _PRESSING_FROM):
            known = max(known, self.since)
        return self.now >= known + self.terms.overlap

    def _bundle(
        self, signer: Pair, server: Pair, trusted: tuple[x509.Certificate, ...], *, fresh: bool
    ) -> tuple[tuple[x509.Certificate, ...], str]:
        """Old authorities leave once no copy of a certificate by any of them can be in use."""
        settled = not fresh and self.now >= self._retiring_at(server)
        if trusted == (signer.certificate,) or not settled or not issued_by(server.certificate, signer.certificate):
            return trusted, ""
        return (signer.certificate,), "the former authority is trusted no more: nothing of it is in use"

    def _retiring_at(self, server: Pair) -> datetime:
        return max(issued_at(server.certificate), self.since) + self.terms.overlap

    def _look_again(self, signer: Pair, server: Pair, bundle: Sequence[x509.Certificate]) -> datetime:
        """When the next of it is due; a moment of waiting for copies is over after the overlap at the latest."""
        renewals = (
            _share(signer.certificate, _AUTHORITY_RENEWED_AT),
            _share(server.certificate, _SERVER_RENEWED_AT),
        )
        waits = len(bundle) > 1 or names_of(server.certificate) != self.names
        return max(self.now, min((*renewals, self.now + self.terms.overlap) if waits else renewals))

    def _holds(self, certificate: x509.Certificate) -> bool:
        return certificate.not_valid_before_utc <= self.now < certificate.not_valid_after_utc


def _share(certificate: x509.Certificate, share: float) -> datetime:
    """When that share of its life is over."""
    made, end = issued_at(certificate), certificate.not_valid_after_utc
    return made + (end - made) * share


def _days(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
