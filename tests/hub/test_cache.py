"""The hub's answer as a ConfigMap's text, and back."""

import base64
import zlib

import pytest

from penstock.hub.cache import decode_answer, encode_answer
from penstock.hub.client import HubAnswer
from penstock.hub.errors import MalformedModel

ANSWER = HubAnswer({"model_type": "llama", "num_hidden_layers": 2}, 5000, "abc", {"BF16": 5000})


def test_an_answer_survives() -> None:
    assert decode_answer(encode_answer(ANSWER)) == ANSWER


def test_unknown_parts_survive() -> None:
    answer = HubAnswer({}, None, None)
    assert decode_answer(encode_answer(answer)) == answer


def test_the_same_answer_is_the_same_text() -> None:
    """Whatever the order of its keys, so that nothing is written again."""
    turned = HubAnswer(dict(reversed(list(ANSWER.config.items()))), 5000, "abc", {"BF16": 5000})
    assert encode_answer(turned) == encode_answer(ANSWER)


def test_a_long_config_is_packed_and_survives() -> None:
    layers = {f"model.layers.{number}.mlp": {"quant_algo": "NVFP4"} for number in range(10_000)}
    answer = HubAnswer({"quantization_config": {"quantized_layers": layers}}, 1, None)
    text = encode_answer(answer)
    assert len(text) < 200_000
    assert decode_answer(text) == answer


def test_what_no_config_map_holds_is_refused() -> None:
    noise = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(900_000))
    with pytest.raises(MalformedModel, match="cannot be kept"):
        encode_answer(HubAnswer({"noise": noise}, 1, None))


WORTHLESS = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "another version": '{"version":2,"config":{},"weightsBytes":1,"resolvedRevision":null,"dtypeBytes":{}}',
    "no config": '{"version":1,"config":null,"weightsBytes":1,"resolvedRevision":null,"dtypeBytes":{}}',
    "a size that is text": '{"version":1,"config":{},"weightsBytes":"1","resolvedRevision":null,"dtypeBytes":{}}',
    "types that are text": '{"version":1,"config":{},"weightsBytes":1,"resolvedRevision":null,"dtypeBytes":{"a":"b"}}',
    "packed nonsense": "zlib:!!!!",
    "packed, cut short": "zlib:" + base64.b64encode(zlib.compress(b"{}" * 99)[:20]).decode(),
    "a bomb": "zlib:" + base64.b64encode(zlib.compress(b" " * (64 * 2**20))).decode(),
}


@pytest.mark.parametrize("text", WORTHLESS.values(), ids=WORTHLESS.keys())
def test_what_cannot_be_read_back_is_asked_for_again(text: str) -> None:
    assert decode_answer(text) is None
