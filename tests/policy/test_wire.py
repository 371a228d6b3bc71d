"""Tables over the wire: the same bytes for the same content, and nothing is believed that is not whole."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.decisions import table
from penstock_policy.table import Backend, Consumer, Limits, Match, Price, Route, Rule, Share, Table
from penstock_policy.wire import TableError, decode, digest_of, encode

TEXT = st.text(max_size=6)
TEXTS = st.frozensets(TEXT, max_size=3)
NUMBERS = st.integers(0, 10**15)
MATCHES = st.builds(
    Match,
    TEXTS,
    st.frozensets(st.integers(0, 9)),
    TEXTS,
    TEXTS,
    st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
    NUMBERS,
    st.none() | NUMBERS,
)
LIMITS = st.builds(Limits, st.none() | st.floats(0, 1e6), st.none() | st.floats(0, 1e6), st.integers(1, 9))
SHARES = st.lists(st.builds(Share, TEXT, st.integers(0, 1000)), max_size=3).map(tuple)
NAMES = st.lists(TEXT, max_size=3).map(tuple)
RULES = st.builds(
    Rule, TEXT, SHARES, MATCHES, NAMES, st.none() | TEXTS, st.none() | NUMBERS, LIMITS, st.sampled_from(["", "odd"])
)
ROUTES = st.builds(Route, TEXT, NAMES, st.lists(RULES, max_size=2).map(tuple))
BACKENDS = st.builds(
    Backend,
    *(TEXT, TEXT, TEXT, TEXT, NAMES, st.integers(0, 9), TEXTS, NAMES, TEXT),
    context_tokens=st.none() | NUMBERS,
    price=st.none() | st.builds(Price, NUMBERS, NUMBERS),
)
CONSUMERS = st.builds(Consumer, TEXT, TEXT, TEXTS, TEXT, TEXT, NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS)
TABLES = st.builds(
    Table,
    *(TEXT, NUMBERS, NAMES, TEXT, TEXT),
    routes=st.lists(ROUTES, max_size=2).map(tuple),
    backends=st.lists(BACKENDS, max_size=2).map(tuple),
    consumers=st.lists(CONSUMERS, max_size=2).map(tuple),
)


@given(TABLES)
def test_a_table_comes_back_as_it_was(made: Table) -> None:
    """Whatever it holds."""
    assert decode(encode(made)) == made


@given(TABLES, st.data())
def test_half_a_table_is_none(made: Table, data: st.DataObject) -> None:
    """Wherever it was cut."""
    document = encode(made)
    with pytest.raises(TableError):
        decode(document[: data.draw(st.integers(0, len(document) - 1))])


def test_what_decides_alike_has_one_digest() -> None:
    """The generation says when, not what."""
    assert digest_of(table()) == digest_of(table(generation=8))
    assert digest_of(table()) != digest_of(table(levels=("low", "high")))


def test_the_digest_stands_in_the_document() -> None:
    """The server and the replicas know a table by it."""
    document = json.loads(encode(table()))
    assert document["hash"] == digest_of(table())
    assert (document["gateway"], document["generation"], document["format"]) == ("gateway/main", 7, 1)


def test_keys_are_in_no_repr() -> None:
    """Not even their hashes: a repr ends in a log."""
    assert "key_sha256" not in repr(table())


def edited(edit: Any) -> bytes:
    """A document with the hash that fits it, as one that means harm would make it."""
    document = json.loads(encode(table()))
    edit(document)
    loose: Any = {key: value for key, value in document.items() if key not in {"format", "generation", "hash"}}
    text = json.dumps(loose, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return json.dumps({**document, "hash": hashlib.sha256(text.encode()).hexdigest()}).encode()


def test_a_field_of_a_later_version_is_passed_over() -> None:
    """An older replica goes on with what it understands."""
    assert decode(edited(lambda document: document["backends"][0].update(colour="red"))) == table()


MALFORMED: dict[str, tuple[Any, str]] = {
    "a later format": (lambda document: document.update(format=2), "format: 2 is not 1"),
    "no levels": (lambda document: document.pop("levels"), "levels: is required"),
    "a number for a name": (
        lambda document: document["backends"][1].update(model=3),
        r"backends\[1\].model: must be str",
    ),
    "true for a number": (
        lambda document: document["backends"][0].update(max_sensitivity=True),
        r"backends\[0\].max_sensitivity: must be int",
    ),
    "an object for a list": (lambda document: document.update(routes={}), "routes: must be a list"),
    "a list for an object": (lambda document: document["routes"].append([]), r"routes\[1\]: must be an object"),
    "half a pair": (
        lambda document: document["routes"][0]["rules"][0].update(match={"headers": [["a"]]}),
        "headers.*must be a list of 2",
    ),
}


@pytest.mark.parametrize(("edit", "words"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_table_names_the_place(edit: Any, words: str) -> None:
    """And is refused whole."""
    with pytest.raises(TableError, match=words):
        decode(edited(edit))


def test_content_that_was_changed_on_its_way() -> None:
    """The hash tells."""
    with pytest.raises(TableError, match="hash"):
        decode(encode(table()).replace(b"US", b"DE"))


def test_not_a_table_at_all() -> None:
    """Neither an answer of another server nor deep nesting crashes a replica."""
    for document in (b"", b"<html>", b"[]", b"3", b"[" * 100_000, b'{"format":1,"gateway":"\\ud800"}'):
        with pytest.raises(TableError):
            decode(document)


def test_prices_and_defaults_are_left_out_where_they_say_nothing() -> None:
    """Tables of thousands of backends stay small."""
    lean = replace(table().backends[0], price=None)
    document = json.loads(encode(replace(table(), backends=(lean,))))
    assert {"price", "credential", "context_tokens", "operations"}.isdisjoint(document["backends"][0])
