"""At every moment of ten years, every client that has a copy of the bundle verifies the server's certificate."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

import pytest
from cryptography import x509
from cryptography.x509 import verification
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders.certificates import NOW, authority, leaf
from penstock.certificates.pairs import issued_by
from penstock.certificates.rotation import Held, Rotation, Terms, rotate

NAMES = ("penstock-server", "penstock-server.penstock-system")
TERMS = Terms()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def held_by(rotation: Rotation) -> Held:
    return Held(rotation.signer, rotation.server, rotation.bundle)


def first(now: datetime = NOW) -> Rotation:
    return rotate(Held(), names=NAMES, now=now, since=now)


def verifies(bundle: tuple[x509.Certificate, ...], server: x509.Certificate, now: datetime) -> bool:
    """As a client does that asks for the shortest name."""
    builder = verification.PolicyBuilder().store(verification.Store(bundle)).time(now)
    try:
        builder.build_server_verifier(x509.DNSName(NAMES[0])).verify(server, [])
    except verification.VerificationError:
        return False
    return True


@dataclass
class Fleet:
    """An operator and what it has published, with the time of each publication."""

    now: datetime
    state: Rotation
    since: datetime
    bundles: list[tuple[datetime, tuple[x509.Certificate, ...]]] = field(default_factory=list)
    servers: list[tuple[datetime, x509.Certificate]] = field(default_factory=list)
    authorities: set[x509.Certificate] = field(default_factory=set)

    @classmethod
    def begins(cls) -> "Fleet":
        fleet = cls(NOW, first(), NOW)
        fleet.publish()
        return fleet

    def publish(self) -> None:
        if not self.bundles or self.bundles[-1][1] != self.state.bundle:
            self.bundles.append((self.now, self.state.bundle))
            self.since = self.now
        if not self.servers or self.servers[-1][1] != self.state.server.certificate:
            self.servers.append((self.now, self.state.server.certificate))
        self.authorities.add(self.state.signer.certificate)

    def look(self, *, restarted: bool) -> None:
        """One pass; a process that is new hands out what it found from now on."""
        self.since = self.now if restarted else self.since
        self.state = rotate(held_by(self.state), names=NAMES, now=self.now, since=self.since)
        self.publish()

    def check(self) -> None:
        """Whatever copies are about: each as late as it may be."""
        for bundle in set(_about(self.bundles, self.now)):
            for server in set(_about(self.servers, self.now)):
                assert verifies(bundle, server, self.now), self.now


def _about(published: list[tuple[datetime, object]], now: datetime) -> Iterator[object]:
    """The one of now, and every one that was current within the overlap."""
    for number, (_, what) in enumerate(published):
        replaced = published[number + 1][0] if number + 1 < len(published) else None
        if replaced is None or replaced > now - TERMS.overlap:
            yield what


@example(seed=1, late=20.0, restarts=0.9)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), late=st.sampled_from([0.0, 0.5, 20.0]), restarts=st.sampled_from([0.0, 0.1, 0.9]))
def test_ten_years(seed: int, late: float, restarts: float) -> None:
    """However late the operator looks, up to twenty days, and however often it restarts."""
    random, fleet = Random(seed), Fleet.begins()
    while fleet.now < NOW + timedelta(days=3650):
        pause = max(fleet.state.look_again - fleet.now, timedelta(minutes=1))
        fleet.now += pause + random.random() * late * DAY
        fleet.check()
        fleet.look(restarted=random.random() < restarts)
        fleet.check()
    assert 6 <= len(fleet.authorities) <= 10
    assert len(fleet.servers) >= 40
    assert max(len(bundle) for _, bundle in fleet.bundles) == 2


def test_the_property_can_fail() -> None:
    """With no overlap, a client with yesterday's bundle meets a certificate of today's authority."""

    def hastily() -> None:
        fleet = Fleet.begins()
        while fleet.now < NOW + timedelta(days=1000):
            fleet.now = max(fleet.state.look_again, fleet.now + timedelta(minutes=1))
            terms = Terms(overlap=timedelta(0))
            fleet.state = rotate(held_by(fleet.state), names=NAMES, now=fleet.now, since=NOW, terms=terms)
            fleet.publish()
            fleet.check()

    with pytest.raises(AssertionError):
        hastily()


def test_an_authority_is_trusted_before_it_signs_and_leaves_last() -> None:
    """Day by day: in the bundle, an hour later it signs, an hour after that the old one goes."""
    old, at = first(), NOW + TERMS.authority * 2 / 3
    held = replace(held_by(old), server=leaf(old.signer, *NAMES, now=at - DAY))
    made = rotate(held, names=NAMES, now=at, since=NOW)
    assert made.signer != old.signer
    assert set(made.bundle) == {old.signer.certificate, made.signer.certificate}
    assert made.server != held.server
    assert issued_by(made.server.certificate, old.signer.certificate)
    early = rotate(held_by(made), names=NAMES, now=at + HOUR * 0.99, since=at)
    assert early.server == made.server
    signed = rotate(held_by(made), names=NAMES, now=at + HOUR, since=at)
    assert issued_by(signed.server.certificate, made.signer.certificate)
    assert len(signed.bundle) == 2
    assert len(rotate(held_by(signed), names=NAMES, now=at + HOUR * 1.99, since=at).bundle) == 2
    assert rotate(held_by(signed), names=NAMES, now=at + HOUR * 2, since=at).bundle == (made.signer.certificate,)


def test_a_process_that_is_new_waits_for_its_own_copies() -> None:
    """The one before may have ended between making the authority and handing it out."""
    old, at = first(), NOW + TERMS.authority * 2 / 3
    held = replace(held_by(old), server=leaf(old.signer, *NAMES, now=at - DAY))
    made = rotate(held, names=NAMES, now=at, since=NOW)
    later = at + 3 * DAY
    assert rotate(held_by(made), names=NAMES, now=later, since=later).server == made.server
    after = rotate(held_by(made), names=NAMES, now=later + HOUR, since=later)
    assert issued_by(after.server.certificate, made.signer.certificate)


def test_restarts_do_not_put_it_off_for_ever() -> None:
    """In the last quarter of the certificate's life the authority signs though no process lived for an hour."""
    old, at = first(), NOW + TERMS.authority * 2 / 3
    held = replace(held_by(old), server=leaf(old.signer, *NAMES, now=at))
    made = rotate(held, names=NAMES, now=at, since=NOW)
    for days, waits in ((67, True), (68, False)):
        now = at + days * DAY
        assert (rotate(held_by(made), names=NAMES, now=now, since=now).server == made.server) is waits


def test_nothing_changes_while_nothing_is_due() -> None:
    state = first()
    again = rotate(held_by(state), names=NAMES, now=NOW + 59 * DAY, since=NOW)
    assert (again.signer, again.server, again.bundle, again.changes) == (state.signer, state.server, state.bundle, ())
    assert again.look_again == NOW + 60 * DAY


def test_the_servers_certificate_is_renewed_at_two_thirds() -> None:
    state = first()
    again = rotate(held_by(state), names=NAMES, now=NOW + 60 * DAY, since=NOW)
    assert again.server != state.server
    assert again.signer == state.signer
    assert "2027-02-19" in again.changes[0]


def test_other_names() -> None:
    """At once, for the signer is known."""
    state = first()
    again = rotate(held_by(state), names=["b", "a"], now=NOW + DAY, since=NOW)
    assert "names are now a, b" in again.changes[0]
    assert rotate(held_by(again), names=["a", "b"], now=NOW + DAY, since=NOW).changes == ()


class TestLosses:
    """What is gone or unusable is made anew, and costs no more than it must."""

    def test_the_authority_alone(self) -> None:
        """The server's certificate goes on until the new authority is known everywhere."""
        state = first()
        lost = Held(None, state.server, state.bundle)
        made = rotate(lost, names=NAMES, now=NOW + DAY, since=NOW)
        assert made.server == state.server
        assert set(made.bundle) == {state.signer.certificate, made.signer.certificate}
        after = rotate(held_by(made), names=NAMES, now=NOW + DAY + HOUR, since=NOW + DAY)
        assert issued_by(after.server.certificate, made.signer.certificate)

    def test_the_servers_certificate_alone(self) -> None:
        state = first()
        made = rotate(Held(state.signer, None, state.bundle), names=NAMES, now=NOW + DAY, since=NOW)
        assert (made.signer, made.bundle) == (state.signer, state.bundle)
        assert verifies(state.bundle, made.server.certificate, NOW + DAY)

    def test_the_bundle_alone(self) -> None:
        state = first()
        made = rotate(Held(state.signer, state.server, ()), names=NAMES, now=NOW + DAY, since=NOW)
        assert made.bundle == state.bundle
        assert made.server == state.server

    @pytest.mark.parametrize(
        "held",
        [
            pytest.param(Held(leaf(authority(now=NOW), now=NOW)), id="a server's as authority"),
            pytest.param(Held(authority(now=NOW - 9 * DAY, days=8)), id="ended"),
            pytest.param(Held(authority(now=NOW + 9 * DAY)), id="not begun"),
            pytest.param(Held(None, leaf(authority(now=NOW), now=NOW)), id="by a stranger"),
            pytest.param(Held(authority(now=NOW), leaf(authority(now=NOW), now=NOW)), id="by another"),
            pytest.param(Held(None, leaf(authority(now=NOW), now=NOW - 99 * DAY)), id="server's ended"),
        ],
    )
    def test_what_cannot_be_used(self, held: Held) -> None:
        """Whatever stands there, what comes out holds, and holds again."""
        made = rotate(held, names=NAMES, now=NOW, since=NOW)
        assert made.changes
        assert verifies(made.bundle, made.server.certificate, NOW)
        assert rotate(held_by(made), names=NAMES, now=NOW, since=NOW).changes == ()

    def test_an_authority_that_was_brought_along(self) -> None:
        """Is used, once it is known for an hour."""
        state, brought = first(), authority(now=NOW - 99 * DAY)
        held = Held(brought, state.server, state.bundle)
        seen = rotate(held, names=NAMES, now=NOW + DAY, since=NOW)
        assert seen.signer == brought
        assert seen.server == state.server
        after = rotate(held_by(seen), names=NAMES, now=NOW + DAY + HOUR, since=NOW + DAY)
        assert issued_by(after.server.certificate, brought.certificate)


def test_verifies_says_no_as_well() -> None:
    """Else the property would hold of anything."""
    state = first()
    assert not verifies((authority(now=NOW).certificate,), state.server.certificate, NOW)
    assert not verifies(state.bundle, state.server.certificate, NOW + 91 * DAY)
    with contextlib.suppress(ValueError):
        assert not verifies((), state.server.certificate, NOW)
