"""Which pod is next."""

from collections import Counter
from random import Random

from builders.tables import backend, table
from penstock_gateway.pods import Pods, Standing
from penstock_policy.decision import Index

URLS = tuple(f"http://10.0.0.{number}:8000" for number in range(8))


def pods() -> Pods:
    return Pods(random=Random(1), now=lambda: 0.0)


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
    standing = book.of(backend("a", *URLS[:2]))
    pod = standing.pods[URLS[1]]
    standing.took(pod)
    assert book.of(backend("a", *URLS[1:3])).pods[URLS[1]] is pod
    assert book.in_flight() == {"a": 1}


def test_what_left_the_table_is_forgotten_when_nobody_uses_it() -> None:
    book, index = pods(), Index.of(table(backend("b", URLS[0])))
    standing = book.of(backend("a", URLS[0]))
    standing.took(standing.pods[URLS[0]])
    book.forget(index)
    assert book.in_flight() == {"a": 1}
    standing.gave_back(standing.pods[URLS[0]])
    book.forget(index)
    assert book.of(backend("a", URLS[0])) is not standing
