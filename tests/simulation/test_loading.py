"""Simulated engines load for as long as their weights ask for, and hold the tokens that fit."""

from penstock.catalogue.accelerators import by_name
from penstock.simulation.command_line import parse
from penstock.simulation.loading import Machine, kv_tokens_of, timing_of

H100 = by_name("H100-SXM-80GB")


def test_larger_weights_load_longer_and_decode_slower() -> None:
    small = parse(("vllm", "serve", "Qwen/Qwen3-8B"), version="0.33.0")
    large = parse(("vllm", "serve", "Qwen/Qwen3-32B"), version="0.33.0")
    one = Machine(H100, 1)
    assert timing_of(small, one).load < timing_of(large, one).load < 120
    assert timing_of(small, one).token < timing_of(large, one).token


def test_more_gpus_decode_faster() -> None:
    settings = parse(("vllm", "serve", "Qwen/Qwen3-32B"), version="0.33.0")
    assert timing_of(settings, Machine(H100, 4)).token < timing_of(settings, Machine(H100, 2)).token


def test_the_cache_is_what_is_left_and_unknown_models_have_no_figure() -> None:
    known = parse(("vllm", "serve", "Qwen/Qwen3-8B", "--max-model-len", "8192"), version="0.33.0")
    unknown = parse(("vllm", "serve", "nobody/knows"), version="0.33.0")
    tokens = kv_tokens_of(known, Machine(H100, 1))
    assert tokens is not None
    assert 200_000 < tokens < 600_000
    assert kv_tokens_of(unknown, Machine(H100, 1)) is None
    assert timing_of(unknown, Machine(H100, 1)).load > timing_of(known, Machine(H100, 1)).load
