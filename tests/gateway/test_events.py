"""Streams on their way through, however the network cuts them."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_gateway.events import Events
from penstock_gateway.usage import Usage

USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


def event(content: object, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(content)}{end}".encode()


def stream(end: str = "\n\n") -> tuple[bytes, bytes]:
    """With and without the chunk of usage."""
    words = [event({"choices": [{"delta": {"content": word}}], "usage": None}, end) for word in ('a "usage"', "b")]
    tail = f"data: [DONE]{end}".encode()
    return b"".join([*words, event({"choices": [], "usage": USAGE}, end), tail]), b"".join([*words, tail])


@given(cuts=st.lists(st.integers(0, 400)), end=st.sampled_from(["\n\n", "\r\n\r\n"]), drops=st.booleans())
def test_what_goes_on_does_not_depend_on_the_cuts(cuts: list[int], end: str, *, drops: bool) -> None:
    whole, without = stream(end)
    events = Events(drops_usage=drops)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    passed = b"".join(events.feed(whole[a:b]) for a, b in pairwise(edges)) + events.end()
    assert passed == (without if drops else whole)
    assert events.usage == Usage(7, 3, 0)


def test_a_chunk_with_content_is_never_dropped() -> None:
    """As vLLM tells usage with each chunk."""
    chunk = event({"choices": [{"delta": {"content": "a"}}], "usage": USAGE})
    assert Events(drops_usage=True).feed(chunk) == chunk


def test_anthropics_counts_come_in_two_events() -> None:
    events = Events(drops_usage=False)
    begin = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 20}}}
    events.feed(b"event: message_start\n" + event(begin))
    events.feed(b"event: message_delta\n" + event({"type": "message_delta", "usage": {"output_tokens": 9}}))
    assert events.usage == Usage(25, 9, 20)


def test_responses_tell_usage_in_the_last_event() -> None:
    events = Events(drops_usage=False)
    told = {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}
    events.feed(event({"type": "response.completed", "response": {"usage": told}}))
    assert events.usage == Usage(5, 2, 4)


@pytest.mark.parametrize("odd", [b'data: "usage"', b"data: {usage", b'data: {"usage": 1}\n\n', b': "usage"\n\n'])
def test_what_is_no_event_goes_on_as_it_is(odd: bytes) -> None:
    events = Events(drops_usage=True)
    assert events.feed(odd) + events.end() == odd


def test_an_endless_event_does_not_fill_the_memory() -> None:
    events = Events(drops_usage=True)
    assert events.feed(b"x" * (2**20 + 1))
