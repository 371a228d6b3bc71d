"""How old a gateway's token is."""

from datetime import UTC, datetime, timedelta

import pytest

from penstock.reconcilers.token_age import assumed_issue, issued_at

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PERIOD = timedelta(days=30)


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ("2026-11-01T00:00:00+00:00", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T00:00:00Z", datetime(2026, 11, 1, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        ("2026-11-01T00:00:00", None),
        ("2026-12-01T00:00:00+00:00", None),
    ],
)
def test_what_the_annotation_says(stated: str, found: datetime | None) -> None:
    assert issued_at(stated, NOW) == found


def test_undated_tokens_are_spread_over_the_period() -> None:
    """A hundred gateways: no day of the next thirty has more than a tenth of them, and each keeps its place."""
    due = [assumed_issue(f"uid-{number}", NOW, PERIOD) + PERIOD for number in range(100)]
    days = [(each - NOW).days for each in due]
    assert min(days) >= 0
    assert max(days) < 30
    assert max(days.count(day) for day in range(30)) <= 10
    assert assumed_issue("uid-1", NOW, PERIOD) == assumed_issue("uid-1", NOW, PERIOD)
