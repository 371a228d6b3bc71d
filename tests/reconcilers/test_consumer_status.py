"""The status of a Consumer: admitted or not, its key, what it may call."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders.attached import consumer_custom, verdicts_of
from penstock.api.consumer import ConsumerStatus
from penstock.api.refusals import Refusal
from penstock.reconcilers.consumer_status import ConsumerSeen, consumer_status
from penstock.reconcilers.secrets import KeyFact, KeyReason
from penstock.reconcilers.standing import Standing
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW.replace(hour=13)
ISSUED = KeyFact(("team", "bot-key"), "api-key", sha256="5a5a", issued=True)
FOUND = KeyFact(("team", "bot-key"), "api-key", sha256="5a5a")
GONE = KeyFact(("team", "bot-key"), "api-key", reason=KeyReason.SECRET_NOT_FOUND)
ROUTES = ("team/b", "team/a")


def _standing(*found: tuple[ProblemReason, bool]) -> Standing:
    return Standing("gateway/main", problems=tuple(_problem(reason, refuses=refuses) for reason, refuses in found))


def _problem(reason: ProblemReason, *, refuses: bool) -> Problem:
    refusal = Refusal("spec.field", "value", f"says {reason}", "Do otherwise")
    return Finding(reason, refusal, refuses=refuses).of(Kind.CONSUMER, "team/bot")


ADMITTED = _standing()


def _status(seen: ConsumerSeen, before: dict[str, Any] | None = None, now: datetime = NOW) -> dict[str, Any]:
    return consumer_status(consumer_custom(before), seen, now=now)


SCENES: dict[str, tuple[ConsumerSeen, dict[str, tuple[str, str]]]] = {
    "its key was made": (
        ConsumerSeen(ADMITTED, ISSUED, ROUTES),
        {"Accepted": ("True", "Accepted"), "KeyIssued": ("True", "Issued"), "Ready": ("True", "Ready")},
    ),
    "its key was there": (
        ConsumerSeen(ADMITTED, FOUND, ROUTES),
        {"KeyIssued": ("True", "Found"), "Ready": ("True", "Ready")},
    ),
    "nobody has looked": (
        ConsumerSeen(ADMITTED, None, ROUTES),
        {"KeyIssued": ("Unknown", "Pending"), "Ready": ("False", "Pending")},
    ),
    "no Secret": (
        ConsumerSeen(_standing((ProblemReason.KEY_MISSING, True)), GONE),
        {
            "Accepted": ("True", "Accepted"),
            "KeyIssued": ("False", "SecretNotFound"),
            "Ready": ("False", "SecretNotFound"),
        },
    ),
    "a key that the table does not have yet": (
        ConsumerSeen(_standing((ProblemReason.KEY_MISSING, True)), ISSUED),
        {"Accepted": ("True", "Accepted"), "KeyIssued": ("True", "Issued"), "Ready": ("False", "Pending")},
    ),
    "another's key": (
        ConsumerSeen(_standing((ProblemReason.KEY_TAKEN, True)), FOUND),
        {"Accepted": ("True", "Accepted"), "KeyIssued": ("False", "KeyTaken"), "Ready": ("False", "KeyTaken")},
    ),
    "no such gateway": (
        ConsumerSeen(Standing("gateway/main", found=False, has_table=False), ISSUED),
        {
            "Accepted": ("False", "GatewayNotFound"),
            "KeyIssued": ("True", "Issued"),
            "Ready": ("False", "GatewayNotFound"),
        },
    ),
    "no table yet": (
        ConsumerSeen(Standing("gateway/main", has_table=False), ISSUED),
        {"Accepted": ("Unknown", "Pending"), "Ready": ("False", "Pending")},
    ),
    "not admitted": (
        ConsumerSeen(_standing((ProblemReason.NOT_ADMITTED, True)), ISSUED),
        {"Accepted": ("False", "NotAdmitted"), "Ready": ("False", "NotAdmitted")},
    ),
    "one of its Routes is not there": (
        ConsumerSeen(_standing((ProblemReason.ROUTE_NOT_FOUND, False)), ISSUED, ROUTES),
        {"Accepted": ("True", "PartlyAccepted"), "Ready": ("True", "Ready")},
    ),
    "nothing to call": (
        ConsumerSeen(ADMITTED, ISSUED),
        {"Accepted": ("True", "Accepted"), "Ready": ("False", "NoRoute")},
    ),
}


@pytest.mark.parametrize(("seen", "want"), SCENES.values(), ids=SCENES.keys())
def test_conditions(seen: ConsumerSeen, want: dict[str, tuple[str, str]]) -> None:
    """Each case by name; conditions that it does not name are not its point."""
    found = verdicts_of(_status(seen))
    assert [kind for kind in found if kind != "Stalled"] == ["Accepted", "KeyIssued", "Ready"]
    assert {kind: found[kind] for kind in want} == want


@pytest.mark.parametrize("seen", [scene[0] for scene in SCENES.values()], ids=SCENES.keys())
def test_a_status_that_says_the_same_keeps_its_times(seen: ConsumerSeen) -> None:
    """Nothing is written while nothing changes, and what is written keeps to its bounds."""
    first = _status(seen)
    assert _status(seen, first, LATER) == first
    assert ConsumerStatus.model_validate(first)


def test_a_spec_that_cannot_be_read() -> None:
    """Refused by field."""
    custom = consumer_custom(limits={"requestsPerMinute": 0})
    found = consumer_status(custom, ConsumerSeen(Standing("", found=False)), now=NOW)
    assert verdicts_of(found)["Accepted"] == ("False", "Invalid")
    assert "spec.limits.requestsPerMinute" in found["conditions"][0]["message"]


def test_what_it_may_call() -> None:
    """Sorted, and counted."""
    found = _status(ConsumerSeen(ADMITTED, ISSUED, frozenset(ROUTES)))
    assert (found["routes"], found["routeCount"]) == (["team/a", "team/b"], 2)


def test_of_many_routes_the_first_are_named() -> None:
    """And all are counted."""
    found = _status(ConsumerSeen(ADMITTED, ISSUED, [f"team/r-{number:03}" for number in range(200)]))
    assert (len(found["routes"]), found["routes"][-1], found["routeCount"]) == (64, "team/r-063", 200)


def test_where_the_key_is_and_nothing_of_it() -> None:
    """Neither the key nor its digest is in a status."""
    found = _status(ConsumerSeen(ADMITTED, ISSUED, ROUTES))
    assert found["conditions"][1]["message"] == "In Secret 'bot-key', key 'api-key'"
    assert ISSUED.sha256 not in str(found)


def test_a_restart_of_the_operator_is_not_seen() -> None:
    """Before the first table is made the status stays as it is."""
    first = _status(ConsumerSeen(ADMITTED, ISSUED, ROUTES))
    assert _status(ConsumerSeen(Standing("gateway/main", has_table=False), ISSUED), first, LATER) == first


def test_it_recovers() -> None:
    """When the Secret is there again."""
    gone = _status(ConsumerSeen(_standing((ProblemReason.KEY_MISSING, True)), GONE))
    assert verdicts_of(_status(ConsumerSeen(ADMITTED, FOUND, ROUTES), gone, LATER))["Ready"] == ("True", "Ready")
