"""Which pod is next."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from builders.tables import backend, table
from penstock_gateway.pods import Pods, Standing
from penstock_policy.decision import Index
from penstock_policy.table import Backend

URLS = tuple(f"http://10.0.0.{number}:8000" for number in range(8))


def pods(*backends: Backend) -> Pods:
    """With a table that has these, or one with all URLs."""
    book = Pods(random=Random(1), now=lambda: 0.0)
    book.apply(Index.of(table(*backends or (backend("a", *URLS),))))
    return book


def move(book: Pods, *backends: Backend) -> None:
    """Apply another table."""
    book.apply(Index.of(table(*backends)))


def chosen(book: Pods, standing: Standing, session: str = "") -> str:
    pod = book.choose(standing, session, ())
    assert pod is not None
    return pod.endpoint


def test_the_least_busy_is_next_and_ties_are_drawn() -> None:
    book = pods()
    standing = book.of(backend("a", *URLS))
    for pod in list(standing.pods.values())[2:]:
        standing.took(pod)
    counts = Counter(chosen(book, standing) for _ in range(400))
    assert set(counts) == set(URLS[:2])
    assert min(counts.values()) > 150


def test_a_session_moves_only_when_its_pod_goes() -> None:
    book = pods()
    before = {str(n): chosen(book, book.of(backend("a", *URLS)), str(n)) for n in range(200)}
    move(book, backend("a", *URLS[1:]))
    after = {str(n): chosen(book, book.of(backend("a", *URLS[1:])), str(n)) for n in range(200)}
    assert {name for name in before if before[name] != after[name]} == {
        n for n, url in before.items() if url == URLS[0]
    }


def test_a_session_leaves_a_pod_that_is_much_busier() -> None:
    book = pods()
    standing = book.of(backend("a", *URLS[:2]))
    own = standing.pods[chosen(book, standing, "s")]
    for _ in range(2):
        standing.took(own)
    assert chosen(book, standing, "s") == own.endpoint
    standing.took(own)
    assert chosen(book, standing, "s") != own.endpoint


def test_open_circuits_are_left_alone() -> None:
    book = pods()
    standing = book.of(backend("a", *URLS[:2]))
    bad = standing.pods[URLS[0]]
    for _ in range(3):
        bad.breaker.failed(0.0)
    assert {chosen(book, standing, str(n)) for n in range(20)} == {URLS[1]}
    for _ in range(10):
        standing.breaker.failed(0.0)
    assert book.choose(standing, "", ()) is None


def test_what_stays_in_the_table_keeps_its_state() -> None:
    book = pods()
    standing = book.of(backend("a", *URLS))
    pod = standing.pods[URLS[1]]
    standing.took(pod)
    move(book, backend("a", *URLS[1:3]))
    assert book.of(backend("a", *URLS[1:3])).pods[URLS[1]] is pod
    assert (book.in_flight(), book.leaving()) == ({"a": 1}, {})


def test_what_left_the_table_is_forgotten_when_nobody_uses_it() -> None:
    book, one = pods(backend("a", URLS[0])), backend("a", URLS[0])
    standing = book.of(one)
    standing.took(standing.pods[URLS[0]])
    move(book, backend("b", URLS[1]))
    assert (book.in_flight(), book.leaving()) == ({"a": 1}, {URLS[0]: 1})
    standing.gave_back(next(iter(standing.leaving.values())))
    assert (book.in_flight(), book.leaving()) == ({}, {})
    move(book, backend("b", URLS[1]))
    assert book.of(one) is not standing


def test_a_pod_that_left_is_told_until_it_is_idle_and_gets_nothing_new() -> None:
    book = pods(backend("a", *URLS[:2]))
    standing = book.of(backend("a", *URLS[:2]))
    leaver = standing.pods[URLS[0]]
    for _ in range(2):
        standing.took(leaver)
    move(book, backend("a", URLS[1]))
    assert {chosen(book, standing, str(number)) for number in range(20)} == {URLS[1]}
    assert book.leaving() == {URLS[0]: 2}
    standing.gave_back(leaver)
    assert not book.vacated.is_set()
    standing.gave_back(leaver)
    assert book.vacated.is_set()
    assert (book.leaving(), standing.leaving) == ({}, {})


def test_a_pod_that_comes_back_leaves_no_more() -> None:
    """The same one: what is in flight there goes on counting."""
    book, both = pods(backend("a", *URLS[:2])), backend("a", *URLS[:2])
    standing = book.of(both)
    pod = standing.pods[URLS[0]]
    standing.took(pod)
    move(book, backend("a", URLS[1]))
    move(book, both)
    assert standing.pods[URLS[0]] is pod
    assert book.leaving() == {}
    standing.gave_back(pod)
    assert not book.vacated.is_set()


def test_a_pod_that_another_backend_still_has_is_not_leaving() -> None:
    """Adapters share the pods of their base."""
    base, adapter = backend("base", URLS[0]), backend("adapter", URLS[0])
    book = pods(base, adapter)
    for one in (base, adapter):
        book.of(one).took(book.of(one).pods[URLS[0]])
    move(book, base)
    assert book.leaving() == {}
    move(book, backend("c", URLS[1]))
    assert book.leaving() == {URLS[0]: 2}


def test_what_leaves_is_bounded_and_nothing_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_gateway.pods._MOST_LEAVING", 3)
    book = pods()
    standing = book.of(backend("a", *URLS))
    for pod in standing.pods.values():
        standing.took(pod)
    move(book, backend("b", "http://b"))
    assert book.leaving() == {URLS[0]: 1, URLS[1]: 1, "*": 6}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"endpoints": URLS[:2]}, True),
        ({"price": None}, True),
        ({"protocol": "Anthropic"}, False),
        ({"model": "other"}, False),
        ({"credential": "other"}, False),
        ({"countries": frozenset({"US"})}, False),
        ({"max_sensitivity": 0}, False),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_an_older_tables_backend_is_where_the_newer_one_says(change: dict[str, Any], *, same: bool) -> None:
    """Unless its name means something else now: then it is nowhere."""
    older = backend("a", *URLS)
    newer = replace(older, **change)
    assert pods(newer).now_of(older) == (newer if same else None)
    assert pods(backend("b", *URLS)).now_of(older) is None
