"""Namespaces whose lists are refused: when they are done without, what is told, and what is decided there."""

import logging

import pytest

from penstock.cluster.barred import Barred
from penstock.cluster.errors import Forbidden, Unavailable
from penstock.cluster.resources import PODS, SECRETS, SERVICES
from penstock.cluster.scope import Extent
from penstock.errors import ClusterError

TEAM = Extent("team")
NO = Forbidden("listing pods in team: 403 forbidden", status=403)


def test_the_third_refusal_in_a_row_is_believed() -> None:
    """The ones before may be an API server's that has just started."""
    barred = Barred()
    assert [barred.failed(PODS, TEAM, NO) for _ in range(4)] == [False, False, True, True]


def test_an_answer_begins_the_count_anew() -> None:
    """In a row."""
    barred = Barred()
    barred.failed(PODS, TEAM, NO)
    barred.failed(PODS, TEAM, NO)
    barred.answered(PODS, TEAM)
    assert not barred.failed(PODS, TEAM, NO)


OTHERS: dict[str, tuple[Extent, ClusterError]] = {
    "the whole cluster": (Extent(), NO),
    "another error": (TEAM, Unavailable("no connection")),
}


@pytest.mark.parametrize(("extent", "error"), OTHERS.values(), ids=OTHERS.keys())
def test_what_is_never_done_without(extent: Extent, error: ClusterError) -> None:
    """A list of the whole cluster, and one that only fails."""
    barred = Barred()
    assert not any(barred.failed(PODS, extent, error) for _ in range(10))
    assert not barred


def test_it_is_told_once_with_the_cure(caplog: pytest.LogCaptureFixture) -> None:
    """Which value of the chart, by what is refused; and when it is over."""
    barred = Barred()
    with caplog.at_level(logging.INFO):
        for kind in (PODS, SECRETS):
            for _ in range(9):
                barred.failed(kind, TEAM, NO)
        barred.answered(PODS, TEAM)
    told = [each.getMessage() for each in caplog.records]
    assert len(told) == 3
    assert "`watchNamespaces`" in told[0]
    assert "`secretNamespaces`" in told[1]
    assert all("'team'" in each for each in told[:2])
    assert "pods in team" in told[2]


def test_nothing_is_decided_where_something_is_refused() -> None:
    """From the first refusal on, and not for want of Secrets: those have conditions of their own."""
    barred = Barred()
    barred.failed(SECRETS, TEAM, NO)
    assert not barred.holds("team")
    barred.failed(PODS, TEAM, NO)
    assert barred.holds("team")
    assert not barred.holds("other")
    assert not barred.holds("")
    barred.answered(PODS, TEAM)
    assert not barred.holds("team")


def test_what_was_known_once_is_not_hidden() -> None:
    """Its records are old and still better than none."""
    barred = Barred()
    barred.answered(PODS, TEAM)
    barred.failed(PODS, TEAM, NO)
    assert not barred.hides("team")
    barred.failed(SERVICES, TEAM, NO)
    assert barred.hides("team")
    assert barred
