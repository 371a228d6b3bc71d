"""A table goes forward or not at all, whoever publishes."""

from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.problems import Problem
from penstock.server.publication import Envelope, Head, Publication, read_envelope, refusal, repeats

A, B, C = "a" * 8, "b" * 8, "c" * 8


def asked(*, term: int = 3, expected: str = A, digest: str = B, generation: int = 6) -> Publication:
    """A publication that may follow term 3, generation 5, hash A."""
    return Publication(term, expected, Envelope(gateway="ns/gw", hash=digest, generation=generation), b"")


@pytest.mark.parametrize(
    ("publication", "reason", "cure"),
    [
        pytest.param(asked(), None, "", id="next"),
        pytest.param(asked(term=9), None, "", id="next by a new leader"),
        pytest.param(asked(term=2), "StaleTerm", "another replica leads", id="deposed"),
        pytest.param(asked(term=2, digest=A), "StaleTerm", "stop publishing", id="deposed says what is there"),
        pytest.param(asked(expected=C), "Conflict", "publish anew", id="expects another"),
        pytest.param(asked(expected=""), "Conflict", "publish anew", id="expects none"),
        pytest.param(asked(generation=5), "StaleGeneration", "generation 6", id="the same generation"),
        pytest.param(asked(generation=4), "StaleGeneration", "generation 6", id="an older generation"),
        pytest.param(asked(digest=A, expected=C, generation=1), None, "", id="what is there already"),
    ],
)
def test_what_may_follow(publication: Publication, reason: str | None, cure: str) -> None:
    """Each refusal says what is there and what to do."""
    problem = refusal(Head(term=3, generation=5, hash=A), publication)
    assert (problem.reason if problem else None) == reason
    if problem:
        assert problem.status == 409
        assert cure in problem.cure
        assert problem.current is not None
        assert problem.current["generation"] == 5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b"", "body", id="nothing"),
        pytest.param(b"{", "body", id="half"),
        pytest.param(b"[]", "body", id="a list"),
        pytest.param(b"[" * 100_000, "body", id="deep"),
        pytest.param(b'{"gateway":"ns/gw","hash":"\xff","generation":1}', "body", id="not UTF-8"),
        pytest.param(b'{"gateway":"ns/gw","hash":"aaaaaaaa"}', "generation", id="no generation"),
        pytest.param(b'{"gateway":"ns/gw","hash":"aaaaaaaa","generation":"1"}', "generation", id="a text"),
        pytest.param(b'{"gateway":"ns/gw","hash":"aaaaaaaa","generation":0}', "generation", id="zero"),
        pytest.param(b'{"gateway":"ns/gw","hash":"aaaaaaaa","generation":1e30}', "generation", id="a float"),
        pytest.param(b'{"gateway":"ns/gw","hash":"no hex!!","generation":1}', "hash", id="no hash"),
        pytest.param(b'{"gateway":"ns/other","hash":"aaaaaaaa","generation":1}', "gateway", id="another gateway"),
    ],
)
def test_what_is_no_table(body: bytes, field: str) -> None:
    """The field that is wrong is named, with a cure."""
    with pytest.raises(Problem) as caught:
        read_envelope(body, "ns/gw")
    assert (caught.value.status, caught.value.field) == (422, field)
    assert caught.value.cure


def test_the_rest_of_a_table_is_not_looked_at() -> None:
    """Whatever it holds."""
    body = orjson.dumps({"gateway": "ns/gw", "hash": A, "generation": 1, "future": {"deep": [1, None]}})
    assert read_envelope(body, "ns/gw").generation == 1


@dataclass
class World:
    """What the database would hold, and what each publisher believes."""

    head: Head = field(default_factory=Head)
    believed: dict[int, tuple[str, int]] = field(default_factory=dict)


_steps = st.lists(
    st.tuples(
        st.integers(0, 4),  # the publisher's term
        st.sampled_from(["publish", "look"]),
        st.integers(0, 5),  # the table's content
        st.integers(-2, 3),  # how far it moves the generation
    ),
    max_size=40,
)


@given(_steps)
def test_no_interleaving_turns_anything_back(steps: list[tuple[int, str, int, int]]) -> None:
    """Publishers of several terms who believe old things, in any order: term and generation never fall."""
    world = World()
    for term, action, content, distance in steps:
        before = world.head
        digest, generation = world.believed.get(term, ("", 0))
        if action == "look":
            world.believed[term] = (before.hash, before.generation)
            continue
        envelope = Envelope.model_construct(gateway="ns/gw", hash=f"{content:08x}", generation=generation + distance)
        publication = Publication(term, digest, envelope, b"")
        problem = refusal(before, publication)
        seen = max(before.term, term)
        if problem is None and not repeats(before, publication):
            world.head = Head(seen, envelope.generation, envelope.hash)
            assert term == seen
            assert digest == before.hash
            assert world.head.generation > before.generation
        else:
            world.head = Head(seen, before.generation, before.hash)
        assert world.head.term >= before.term
        assert world.head.generation >= before.generation
