"""What an answer says that it used, and what that costs."""

import pytest

from penstock_gateway.usage import Usage, usage_of_body
from penstock_policy.table import Price


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b'{"usage":{"prompt_tokens":3,"completion_tokens":2}}', Usage(3, 2)),
        (b'{"usage":{"prompt_tokens":3,"total_tokens":3}}', Usage(3, 0)),
        (b'{"usage":{"input_tokens":3,"output_tokens":2,"cache_creation_input_tokens":4}}', Usage(7, 2)),
        (b'{"usage":{"prompt_tokens":"3","completion_tokens":-2}}', Usage()),
        (b'{"usage":null}', None),
        (b"[]", None),
        (b"not JSON", None),
    ],
)
def test_usage_of_a_whole_answer(body: bytes, want: Usage | None) -> None:
    assert usage_of_body(body) == want


@pytest.mark.parametrize(
    ("usage", "price", "micros"),
    [
        (Usage(100, 50), Price(3_000_000, 6_000_000), 600),
        (Usage(1, 0), Price(150_000), 1),
        (Usage(0, 0), Price(150_000), 0),
        (Usage(100, 50), None, 0),
    ],
)
def test_costs_are_whole_and_never_too_low(usage: Usage, price: Price | None, micros: int) -> None:
    assert usage.cost(price) == micros
