"""Bodies on their way: bytes where that is certain, anew where another reader could see another model."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_gateway.asked import Asked


def towards(body: bytes, model: str = "served") -> bytes:
    return Asked.read("chat/completions", body).towards(model)


def test_only_the_models_name_is_changed() -> None:
    """Spaces, order and odd numbers stay."""
    body = b'{ "n": 1.50, "model" : "chat",\n "seed": 12345678901234567890123 }'
    assert towards(body) == b'{ "n": 1.50, "model":"served",\n "seed": 12345678901234567890123 }'


def test_nothing_is_changed_where_the_name_is_the_same() -> None:
    body = b'{"model":"served", "n": 1.50}'
    assert towards(body) is body


def test_usage_is_asked_for_in_front() -> None:
    body = b' {"stream": true, "model":"served"}'
    assert towards(body) == b'{"stream_options":{"include_usage":true},"stream": true, "model":"served"}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"chat","model":"chat"}',
        b'{"model":"chat","x":{"model":"inner"}}',
        b'{"mod\\u0065l":"chat"}',
        b'{"model":"secret","mod\\u0065l":"chat"}',
        b'{"model":"other","model":"chat"}',
        b'{"model":"ch\\u0061t"}',
        b'{"model":"chat","messages":["\\"model\\":\\"chat\\""]}',
    ],
)
def test_no_reader_finds_another_model(body: bytes) -> None:
    """Whichever of two equal keys it takes."""

    def first(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return dict(reversed(pairs))

    changed = towards(body)
    assert json.loads(changed)["model"] == "served"
    assert json.loads(changed, object_pairs_hook=first)["model"] == "served"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("model"), inner, max_size=3),
    max_leaves=8,
)


@given(
    content=st.dictionaries(st.sampled_from(["messages", "tools", "x", "model\\", '"model"']), JSON),
    model=st.text(min_size=1),
    served=st.text(min_size=1),
    stream=st.booleans(),
    escaped=st.booleans(),
)
def test_all_else_stays(content: dict[str, object], model: str, served: str, *, stream: bool, escaped: bool) -> None:
    """Whatever the body holds, it is the same but for the model and our option."""
    asked = {**content, "model": model, "stream": stream}
    changed = json.loads(towards(json.dumps(asked, ensure_ascii=escaped).encode(errors="surrogatepass"), served))
    assert changed.pop("stream_options", None) == ({"include_usage": True} if stream else None)
    assert changed == {**asked, "model": served}
