"""The status of a provider: its key, what gateways make of it, and which of its models end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.attached import provider_custom, verdicts_of
from penstock.api.modelprovider import ModelProviderStatus
from penstock.api.refusals import Refusal
from penstock.reconcilers.provider_status import ProviderSeen, provider_status, seconds_until_deprecation
from penstock.reconcilers.secrets import KeyFact, KeyReason
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = KeyFact(("team", "openai"), "api-key", sha256="5a", value="sk-very-secret")
USED: dict[str, tuple[str, ...]] = {"large": ("team/b", "team/a")}


def _missing(reason: KeyReason) -> KeyFact:
    return KeyFact(("team", "openai"), "api-key", reason=reason)


def _problem(reason: ProblemReason, *, refuses: bool) -> Problem:
    refusal = Refusal("spec.url", "https://x", f"says {reason}", "Do otherwise")
    return Finding(reason, refusal, refuses=refuses).of(Kind.PROVIDER, "team/openai")


OUTSIDER = (_problem(ProblemReason.NOT_ADMITTED, refuses=True),)
LOOP = (_problem(ProblemReason.LOOP, refuses=True),)
UNKNOWN_LEVEL = (_problem(ProblemReason.LEVEL_UNKNOWN, refuses=False),)


def _models(*ends: datetime | None) -> list[dict[str, Any]]:
    """`large`, `next-1`, ... that end at these times."""
    names = ["large", *(f"next-{number}" for number in range(1, len(ends)))]
    return [
        {"name": name, "providerModel": name, **({"deprecationTime": end.isoformat()} if end else {})}
        for name, end in zip(names, ends, strict=True)
    ]


def _status(
    seen: ProviderSeen, before: dict[str, Any] | None = None, now: datetime = NOW, **spec: Any
) -> dict[str, Any]:
    return provider_status(provider_custom(before, **spec), seen, now=now)


SCENES: dict[str, tuple[ProviderSeen, dict[str, tuple[str, str]]]] = {
    "nobody has looked": (
        ProviderSeen(),
        {
            "Accepted": ("True", "Accepted"),
            "CredentialsResolved": ("Unknown", "Pending"),
            "Ready": ("False", "Pending"),
        },
    ),
    "its key is there, and no gateway": (
        ProviderSeen(key=KEY),
        {
            "Accepted": ("True", "Accepted"),
            "CredentialsResolved": ("True", "Found"),
            "Ready": ("True", "Ready"),
        },
    ),
    "a gateway takes it": (ProviderSeen({"a/a": ()}, KEY), {"Ready": ("True", "Ready")}),
    "no Secret": (
        ProviderSeen({"a/a": ()}, _missing(KeyReason.SECRET_NOT_FOUND)),
        {"CredentialsResolved": ("False", "SecretNotFound"), "Ready": ("False", "SecretNotFound")},
    ),
    "no such key": (
        ProviderSeen({"a/a": ()}, _missing(KeyReason.KEY_NOT_FOUND)),
        {"CredentialsResolved": ("False", "KeyNotFound"), "Ready": ("False", "KeyNotFound")},
    ),
    "no gateway admits it": (
        ProviderSeen({"a/a": OUTSIDER, "b/b": OUTSIDER}, KEY),
        {"Accepted": ("False", "NotAdmitted"), "Ready": ("False", "NotAdmitted")},
    ),
    "one gateway of two admits it": (
        ProviderSeen({"a/a": OUTSIDER, "b/b": ()}, KEY),
        {"Accepted": ("True", "Accepted"), "Ready": ("True", "Ready")},
    ),
    "the only gateway that admits it cannot use it": (
        ProviderSeen({"a/a": OUTSIDER, "b/b": LOOP}, KEY),
        {"Accepted": ("False", "Loop"), "Ready": ("False", "Loop")},
    ),
    "one gateway cannot use it, another does": (
        ProviderSeen({"a/a": LOOP, "b/b": ()}, KEY),
        {"Accepted": ("True", "PartlyAccepted"), "Ready": ("True", "Ready")},
    ),
    "something is read in its strictest sense": (
        ProviderSeen({"a/a": UNKNOWN_LEVEL}, KEY),
        {"Accepted": ("True", "PartlyAccepted"), "Ready": ("True", "Ready")},
    ),
}


@pytest.mark.parametrize(("seen", "want"), SCENES.values(), ids=SCENES.keys())
def test_conditions(seen: ProviderSeen, want: dict[str, tuple[str, str]]) -> None:
    """Each case by name; conditions that it does not name are not its point."""
    found = verdicts_of(_status(seen))
    assert [kind for kind in found if kind != "Stalled"] == ["Accepted", "CredentialsResolved", "Ready"]
    assert {kind: found[kind] for kind in want} == want


@pytest.mark.parametrize("seen", [scene[0] for scene in SCENES.values()], ids=SCENES.keys())
def test_a_status_that_says_the_same_keeps_its_times(seen: ProviderSeen) -> None:
    """Nothing is written while nothing changes, and what is written keeps to its bounds."""
    first = _status(seen)
    assert _status(seen, first, NOW + DAY) == first
    assert ModelProviderStatus.model_validate(first)


def test_a_spec_that_cannot_be_read() -> None:
    """Refused by field."""
    assert verdicts_of(_status(ProviderSeen(), models=[]))["Accepted"] == ("False", "Invalid")


def test_what_no_gateway_could_use() -> None:
    """Said before there is one."""
    found = _status(ProviderSeen(key=KEY), type="Bedrock")
    assert verdicts_of(found)["Accepted"] == ("False", "NotSupported")


@pytest.mark.parametrize("reason", [None, *KeyReason])
def test_no_key_is_told(reason: KeyReason | None) -> None:
    """Whatever is wrong with it."""
    key = KEY if reason is None else KeyFact(KEY.secret, KEY.key, reason=reason, value=KEY.value)
    assert KEY.value not in str(_status(ProviderSeen({"a/a": ()}, key)))


def test_models_that_end_within_ninety_days_are_told_with_their_users() -> None:
    """The next first, at the very day too; neither what comes later nor what is not announced."""
    ends = _models(NOW + 90 * DAY, NOW + 90 * DAY + timedelta(seconds=1), None, NOW + DAY)
    found = _status(ProviderSeen({"a/a": ()}, KEY, USED), models=ends)
    assert found["deprecations"] == [
        {"model": "next-3", "deprecationTime": "2026-11-22T12:00:00Z", "routes": [], "routeCount": 0},
        {"model": "large", "deprecationTime": "2027-02-19T12:00:00Z", "routes": ["team/a", "team/b"], "routeCount": 2},
    ]


ENDINGS: dict[str, tuple[timedelta, dict[str, tuple[str, ...]], tuple[str, str]]] = {
    "far": (91 * DAY, USED, ("Ready", "")),
    "near, used by two": (5 * DAY, USED, ("ModelsEnding", "'large' ends on 2026-11-26, and 2 Routes use it.")),
    "near, used by one": (
        5 * DAY,
        {"large": ("team/a",)},
        ("ModelsEnding", "'large' ends on 2026-11-26, and 1 Route uses it."),
    ),
    "near, used by nobody": (5 * DAY, {}, ("Ready", "")),
    "over": (-5 * DAY, USED, ("ModelsEnding", "'large' ended on 2026-11-16, and 2 Routes use it.")),
}


@pytest.mark.parametrize(("left", "used", "want"), ENDINGS.values(), ids=ENDINGS.keys())
def test_ready_says_what_ends(left: timedelta, used: Any, want: tuple[str, str]) -> None:
    """Only where somebody has to act: Routes still use it."""
    ready = _status(ProviderSeen({"a/a": ()}, KEY, used), models=_models(NOW + left))["conditions"][-1]
    assert (ready["status"], ready["reason"], ready["message"]) == ("True", *want)


def test_a_status_does_not_move_with_the_days() -> None:
    """From the first day of ninety to the last."""
    seen, ends = ProviderSeen({"a/a": ()}, KEY, USED), _models(NOW + 90 * DAY)
    first = _status(seen, models=ends)
    for passed in (1, 45, 89):
        assert _status(seen, first, NOW + passed * DAY, models=ends) == first


def test_of_many_routes_the_first_are_named() -> None:
    """And all are counted."""
    many = {"large": [f"team/r-{number:03}" for number in reversed(range(40))]}
    found = _status(ProviderSeen({"a/a": ()}, KEY, many), models=_models(NOW))["deprecations"][0]
    assert (found["routes"][0], len(found["routes"]), found["routeCount"]) == ("team/r-000", 16, 40)


def test_a_restart_of_the_operator_is_not_seen() -> None:
    """Before a table is made, who uses what and what gateways say stays as it is."""
    many = {"large": [f"team/r-{number:03}" for number in range(40)]}
    first = _status(ProviderSeen({"a/a": UNKNOWN_LEVEL}, KEY, many), models=_models(NOW + DAY))
    assert _status(ProviderSeen(key=KEY), first, models=_models(NOW + DAY)) == first


def test_a_key_that_went_is_told_without_a_table_too() -> None:
    """Nothing else of it moves."""
    first = _status(ProviderSeen({"a/a": ()}, KEY))
    gone = _status(ProviderSeen(key=_missing(KeyReason.SECRET_NOT_FOUND)), first)
    assert verdicts_of(gone)["CredentialsResolved"] == ("False", "SecretNotFound")


WAITS: dict[str, tuple[tuple[datetime | None, ...], float | None]] = {
    "nothing is announced": ((None,), None),
    "one comes near tomorrow": ((NOW + 91 * DAY,), 86_400.0),
    "one ends in an hour": ((NOW + timedelta(hours=1),), 3600.0),
    "all have ended": ((NOW, NOW - DAY), None),
    "the first of them": ((NOW + 93 * DAY, NOW + 2 * DAY), 172_800.0),
}


@pytest.mark.parametrize(("ends", "want"), WAITS.values(), ids=WAITS.keys())
def test_when_to_look_again(ends: tuple[datetime | None, ...], want: float | None) -> None:
    """As a model comes near its end, and as it ends."""
    parsed = provider_custom(models=_models(*ends)).parsed
    assert parsed is not None
    assert seconds_until_deprecation(parsed.spec, NOW) == want
