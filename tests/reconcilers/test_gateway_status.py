"""The status of a gateway: what serves, which table is out, and who lags behind."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from builders.attached import gateway_custom, verdicts_of
from penstock.api.inferencegateway import InferenceGatewayStatus
from penstock.api.refusals import Refusal
from penstock.reconcilers.gateway_status import (
    Attached,
    GatewayReplica,
    GatewaySeen,
    PublishedTable,
    gateway_status,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW.replace(hour=13)
REFUSAL = Refusal("spec.driver", "GatewayAPI", "is not acted on", "Make another")
TABLE = PublishedTable(7, "a" * 64, "k1")
READY = (GatewayReplica("main-a", 7, "k1", "Serving"), GatewayReplica("main-b", 7, "k1", "Serving"))
LATE = (READY[0], replace(READY[1], generation=6, credential_version="k0"))
WHOLE = GatewaySeen(table=TABLE, replicas=READY, attached=Attached(3, 2, 1), pods=2, ready_pods=2)


def _status(
    seen: GatewaySeen, before: dict[str, Any] | None = None, now: datetime = NOW, **spec: Any
) -> dict[str, Any]:
    return gateway_status(gateway_custom(before, **spec), seen, now=now)


SCENES: dict[str, tuple[GatewaySeen, dict[str, tuple[str, str]]]] = {
    "all is well": (
        WHOLE,
        {
            "Accepted": ("True", "Accepted"),
            "Programmed": ("True", "Programmed"),
            "Available": ("True", "Serving"),
            "Ready": ("True", "Ready"),
        },
    ),
    "nothing is there yet": (
        GatewaySeen(table=PublishedTable(), replicas=()),
        {
            "Programmed": ("False", "NotPublished"),
            "Available": ("False", "NotServing"),
            "Ready": ("False", "NotPublished"),
        },
    ),
    "a field is not acted on, and what runs goes on": (
        replace(WHOLE, refusals=(REFUSAL,)),
        {"Accepted": ("False", "NotSupported"), "Available": ("True", "Serving"), "Ready": ("False", "NotSupported")},
    ),
    "its Service is another's": (
        replace(WHOLE, clash=(REFUSAL,)),
        {"Accepted": ("False", "NameTaken"), "Available": ("True", "Serving"), "Ready": ("False", "NameTaken")},
    ),
    "its Secrets are out of reach": (
        replace(WHOLE, forbidden=(REFUSAL,)),
        {
            "Accepted": ("False", "SecretForbidden"),
            "Available": ("True", "Serving"),
            "Ready": ("False", "SecretForbidden"),
        },
    ),
    "no server was given": (
        GatewaySeen(has_server=False),
        {"Programmed": ("False", "NoServer"), "Ready": ("False", "NoServer")},
    ),
    "the server is away": (
        replace(WHOLE, replicas=None),
        {"Programmed": ("Unknown", "ServerAway"), "Available": ("True", "Serving"), "Ready": ("False", "ServerAway")},
    ),
    "nobody has read what is published": (replace(WHOLE, table=None), {"Programmed": ("Unknown", "ServerAway")}),
    "no replica lives": (replace(WHOLE, replicas=()), {"Programmed": ("False", "NoReplica")}),
    "a replica lags": (replace(WHOLE, replicas=LATE), {"Programmed": ("False", "NotAcknowledged")}),
    "one of two is ready": (
        replace(WHOLE, ready_pods=1, trouble="Pod main-b: CrashLoopBackOff"),
        {"Available": ("True", "Serving"), "Ready": ("True", "Ready")},
    ),
    "none is ready": (replace(WHOLE, ready_pods=0), {"Available": ("False", "NotServing")}),
}


@pytest.mark.parametrize(("seen", "want"), SCENES.values(), ids=SCENES.keys())
def test_conditions(seen: GatewaySeen, want: dict[str, tuple[str, str]]) -> None:
    """Each case by name; conditions that it does not name are not its point."""
    found = verdicts_of(_status(seen))
    assert [kind for kind in found if kind != "Stalled"] == ["Accepted", "Programmed", "Available", "Ready"]
    assert {kind: found[kind] for kind in want} == want


@pytest.mark.parametrize("seen", [scene[0] for scene in SCENES.values()], ids=SCENES.keys())
def test_a_status_that_says_the_same_keeps_its_times(seen: GatewaySeen) -> None:
    """Nothing is written while nothing changes, and what is written keeps to its bounds."""
    first = _status(seen)
    assert _status(seen, first, LATER) == first
    assert InferenceGatewayStatus.model_validate(first)


def test_a_spec_that_cannot_be_read() -> None:
    """It is said, beside what runs."""
    found = _status(WHOLE, sensitivityLevels=[])
    assert verdicts_of(found)["Accepted"] == ("False", "Invalid")
    assert "spec.sensitivityLevels" in found["conditions"][0]["message"]
    assert verdicts_of(found)["Available"] == ("True", "Serving")


def test_what_people_ask_first() -> None:
    """Where it is, how many serve, which table is out, who takes part."""
    found = _status(WHOLE)
    assert found["address"] == "http://main-gateway.gateway.svc:8000/v1"
    assert (found["replicas"], found["readyReplicas"]) == (2, 2)
    assert found["table"] == {"generation": 7, "hash": "a" * 64, "credentialVersion": "k1"}
    assert (found["attachedRoutes"], found["attachedConsumers"], found["attachedProviders"]) == (3, 2, 1)


def test_only_who_lags_says_what_it_has() -> None:
    """So that the list moves when somebody lags, not with each table."""
    found = _status(replace(WHOLE, replicas=LATE))
    assert found["liveReplicas"] == [
        {"pod": "main-a", "state": "Serving"},
        {"pod": "main-b", "state": "Serving", "generation": 6, "credentialVersion": "k0"},
    ]


def test_a_replica_that_nobody_hears_may_have_any_table() -> None:
    """Generation 0, no state, no keys."""
    found = _status(replace(WHOLE, replicas=(GatewayReplica("main-c"),)))
    assert found["liveReplicas"] == [{"pod": "main-c", "generation": 0, "credentialVersion": ""}]


def test_a_table_without_keys_asks_for_no_version() -> None:
    """What a replica has of them is then of no account."""
    found = _status(replace(WHOLE, table=PublishedTable(7, "a" * 64)))
    assert "credentialVersion" not in found["table"]
    assert all("credentialVersion" not in each for each in found["liveReplicas"])


def test_beyond_the_bound_those_that_lag_are_told() -> None:
    """A hundred, by pod."""
    crowd = [GatewayReplica(f"main-{number:03}", 7, "k1", "Serving") for number in range(150)]
    crowd[149] = replace(crowd[149], generation=1)
    found = _status(replace(WHOLE, replicas=tuple(crowd)))["liveReplicas"]
    assert len(found) == 100
    assert found[-1] == {"pod": "main-149", "state": "Serving", "generation": 1}
    assert found == sorted(found, key=lambda each: str(each["pod"]))


def test_a_new_table_is_told_once_all_have_it() -> None:
    """While acknowledgements are on their way the status tells of the table before; then all of it at once."""
    first = _status(WHOLE)
    published = replace(WHOLE, table=replace(TABLE, generation=8), settling=True)
    assert _status(published, first, LATER) == first
    arrived = tuple(replace(each, generation=8) for each in READY)
    second = _status(replace(published, replicas=arrived), first, LATER)
    assert second["table"]["generation"] == 8
    assert second["conditions"] == first["conditions"]


def test_a_replica_that_stays_behind_is_told_after_a_while() -> None:
    """And told to have recovered."""
    first = _status(WHOLE)
    behind = _status(replace(WHOLE, table=replace(TABLE, generation=8)), first, LATER)
    assert verdicts_of(behind)["Programmed"] == ("False", "NotAcknowledged")
    assert "main-a, main-b" in next(each for each in behind["conditions"] if each["type"] == "Programmed")["message"]
    assert verdicts_of(_status(WHOLE, behind, LATER))["Programmed"] == ("True", "Programmed")


def test_what_never_was_programmed_does_not_settle() -> None:
    """Kept is only a True of before."""
    fresh = GatewaySeen(table=PublishedTable(), replicas=(), settling=True)
    assert verdicts_of(_status(fresh))["Programmed"] == ("False", "NotPublished")


def test_a_restart_of_the_operator_is_not_seen() -> None:
    """Nothing was read yet, and what was said still goes."""
    first = _status(WHOLE)
    restarted = GatewaySeen(pods=2, ready_pods=2, settling=True)
    assert _status(restarted, first, LATER) == first


def test_while_the_server_is_away_the_last_word_stays() -> None:
    """Only the conditions say that it is of the past."""
    first = _status(WHOLE)
    away = _status(replace(WHOLE, replicas=None), first, LATER)
    assert (away["table"], away["liveReplicas"]) == (first["table"], first["liveReplicas"])
    assert verdicts_of(away)["Programmed"] == ("Unknown", "ServerAway")
