"""The user's flags over the plan's: what wins, what is refused and with which cure."""

from dataclasses import dataclass

import pytest

from builders.plans import checkpoint, engine_request, plan
from penstock.api.formats import EngineName, Precision
from penstock.api.refusals import Refused
from penstock.catalogue.engines import flags_of, known_versions
from penstock.engines import ENGINES
from penstock.engines import sglang as sglang_module
from penstock.engines import vllm as vllm_module
from penstock.engines.contract import EngineContainer
from penstock.planner.plan import Plan


def container(engine: EngineName, *engine_args: str, planned: Plan | None = None) -> EngineContainer:
    """What the engine renders for these arguments."""
    return ENGINES[engine].container(engine_request(planned or plan(engine), *engine_args))


def tail(rendered: EngineContainer, count: int) -> tuple[str, ...]:
    """The last words: the user's come after the rendered ones."""
    return rendered.args[-count:]


@dataclass(frozen=True)
class Accepted:
    """Words that are accepted, and how the command line ends."""

    engine: EngineName
    said: tuple[str, ...]
    want: tuple[str, ...]
    overridden: tuple[str, ...] = ()


V, S = EngineName.VLLM, EngineName.SGLANG

ACCEPTED = {
    "value after the flag": Accepted(V, ("--block-size", "32"), ("--block-size", "32")),
    "value joined": Accepted(V, ("--block-size=32",), ("--block-size", "32")),
    "underscores": Accepted(V, ("--block_size=32",), ("--block-size", "32")),
    "switch": Accepted(V, ("--enforce-eager",), ("--enforce-eager",)),
    "negated switch": Accepted(V, ("--no-enable-prefix-caching",), ("--no-enable-prefix-caching",)),
    "switch turned off by its opposite": Accepted(V, ("--disable_prefix_caching",), ("--no-enable-prefix-caching",)),
    "switch turned on by its opposite": Accepted(V, ("--enable-cascade-attn",), ("--no-disable-cascade-attn",)),
    "short flag with the planned value": Accepted(
        V, ("-tp", "2"), ("--tensor-parallel-size", "2"), ("tensor-parallel-size",)
    ),
    "short flag that is rendered by its long name": Accepted(V, ("-cc.mode", "3"), ("--compilation-config.mode", "3")),
    "alias with the planned value, another way to write it": Accepted(
        V, ("--device-memory-utilization", "0.9"), ("--gpu-memory-utilization", "0.9"), ("gpu-memory-utilization",)
    ),
    "quantization of a quantised checkpoint": Accepted(V, ("-q", "fp8"), ("--quantization", "fp8")),
    "lowered": Accepted(V, ("--max-model-len", "4096"), ("--max-model-len", "4096"), ("max-model-len",)),
    "lowered as people write it": Accepted(V, ("--max-model-len=32K",), ("--max-model-len", "32K"), ("max-model-len",)),
    "lowered, with a decimal": Accepted(
        V, ("--max-model-len=25.6k",), ("--max-model-len", "25.6k"), ("max-model-len",)
    ),
    "lowered together": Accepted(
        V,
        ("--max-num-batched-tokens", "32", "--max-num-seqs", "16"),
        ("--max-num-batched-tokens", "32", "--max-num-seqs", "16"),
        ("max-num-seqs", "max-num-batched-tokens"),
    ),
    "JSON that loads nothing": Accepted(
        V,
        ("--structured-outputs-config", '{"backend": "xgrammar"}'),
        ("--structured-outputs-config", '{"backend": "xgrammar"}'),
    ),
    "text that speaks of plugins": Accepted(
        V, ("--chat-template", "a_plugin of mine"), ("--chat-template", "a_plugin of mine")
    ),
    "twice": Accepted(V, ("--seed", "1", "--seed", "2"), ("--seed", "1", "--seed", "2")),
    "list": Accepted(
        V,
        ("--cudagraph-capture-sizes", "1", "2", "4", "--enforce-eager"),
        ("--cudagraph-capture-sizes", "1", "2", "4", "--enforce-eager"),
    ),
    "keys of JSON keep their underscores": Accepted(
        V,
        ("--speculative-config.num_speculative_tokens", "3"),
        ("--speculative-config.num_speculative_tokens", "3"),
    ),
    "a value that begins with a dash stays one word": Accepted(V, ("--seed=-1",), ("--seed=-1",)),
    "a negative number": Accepted(V, ("--seed", "-1"), ("--seed=-1",)),
    "nothing is expanded": Accepted(
        V, ("--otlp-traces-endpoint=http://x/$(HF_TOKEN)",), ("--otlp-traces-endpoint", "http://x/$$(HF_TOKEN)")
    ),
    "nothing is expanded behind an escaped dollar": Accepted(
        V, ("--otlp-traces-endpoint=$$(HF_TOKEN)",), ("--otlp-traces-endpoint", "$$$$(HF_TOKEN)")
    ),
    "value that may be left out": Accepted(
        S, ("--model-checksum", "--disable-radix-cache"), ("--model-checksum", "--disable-radix-cache")
    ),
    "SGLang's beginning that everybody writes": Accepted(S, ("--tp", "2"), ("--tp-size", "2"), ("tp-size",)),
    "SGLang's other spelling": Accepted(S, ("--tensor_parallel_size=2",), ("--tp-size", "2"), ("tp-size",)),
    "SGLang lowered as its people write it": Accepted(
        S, ("--context-length", "8Ki"), ("--context-length", "8Ki"), ("context-length",)
    ),
    "SGLang lowered": Accepted(
        S, ("--max-running-requests", "8"), ("--max-running-requests", "8"), ("max-running-requests",)
    ),
}


@pytest.mark.parametrize("case", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(case: Accepted) -> None:
    rendered = container(case.engine, *case.said)
    assert tail(rendered, len(case.want)) == case.want
    assert rendered.overridden == case.overridden
    for name in case.overridden:
        assert sum(word == f"--{name}" for word in rendered.args) == 1


@dataclass(frozen=True)
class Turned:
    """Words that are refused, where, and what the refusal says."""

    engine: EngineName
    said: tuple[str, ...]
    says: str
    at: int = 0
    precision: Precision = Precision.FP8


REFUSED = {
    "reserved": Turned(V, ("--port", "9000"), "listens on"),
    "reserved, joined": Turned(V, ("--trust_remote_code=true",), "spec.remoteCode: Allow"),
    "reserved, by a short form": Turned(V, ("-dp", "2"), "spec.replicas"),
    "reserved, negated": Turned(V, ("--no-trust-remote-code",), "spec.remoteCode: Allow"),
    "reserved, a part of its JSON": Turned(V, ("--kv-transfer-config.kv_role", "kv_both"), "spec.disaggregation"),
    "reserved, with more dashes": Turned(V, ("---trust-remote-code",), "belongs to no flag"),
    "reserved, behind a value that may be left out": Turned(
        S, ("--model-checksum", "--trust-remote-code"), "spec.remoteCode: Allow", at=1
    ),
    "reserved, behind a flag that needs a value": Turned(
        V, ("--tokenizer", "--trust-remote-code"), "spec.remoteCode: Allow", at=1
    ),
    "reserved, inside JSON": Turned(
        V, ("--mm-processor-kwargs", '{"trust_remote_code": true}'), "spec.remoteCode: Allow"
    ),
    "reserved, inside JSON with escapes": Turned(
        V, ("--mm-processor-kwargs", '{"trust\\u005fremote_code": true}'), "spec.remoteCode: Allow"
    ),
    "reserved, by its opposite": Turned(V, ("--disable-lora",), "spec.adapters"),
    "plugin inside JSON": Turned(
        V, ("--structured-outputs-config", '{"reasoning_parser_plugin": "/cache/x.py"}'), "outside the image"
    ),
    "plugin by a dotted key": Turned(
        V, ("--structured-outputs-config.reasoning_parser_plugin=/cache/x.py",), "outside the image"
    ),
    "class by a dotted key": Turned(V, ("--ec-manager-config.encoder_cache_manager_cls", "a.B"), "outside the image"),
    "logging that calls whatever a file says": Turned(
        V, ("--logging-config.pylogging_config_file=/cache/x.json",), "outside the image"
    ),
    "deletes what others read": Turned(S, ("--delete-ckpt-after-loading",), "Other replicas"),
    "token": Turned(V, ("--hf-token=secret",), "spec.credentialsRef"),
    "another process": Turned(S, ("--sidecar", "/bin/sh"), "outside the image"),
    "code that requests bring": Turned(S, ("--enable-custom-logit-processor",), "outside the image"),
    "unknown": Turned(V, ("--max-model-length", "9"), "Did you mean `--max-model-len`"),
    "unknown, near nothing": Turned(V, ("--qqqqqqqq",), "the engine's own help"),
    "beginning of a reserved flag": Turned(V, ("--trust-rem",), "has no such flag"),
    "beginning of a reserved flag of SGLang": Turned(S, ("--trust-remote",), "has no such flag"),
    "beginning of a planned flag": Turned(V, ("--tensor-par", "8"), "has no such flag"),
    "negated flag with a value": Turned(V, ("--no-max-model-len",), "has no such flag"),
    "plain switch negated": Turned(V, ("--no-aggregate-engine-logging",), "has no such flag"),
    "negated switch where the engine has no such form": Turned(S, ("--no-enable-metrics",), "has no such flag"),
    "dotted where the engine has no such form": Turned(S, ("--watermark-config.x", "1"), "has no such flag"),
    "contradicts the plan": Turned(V, ("-tp", "4"), "the plan was made with 2"),
    "contradicts the plan, joined": Turned(V, ("--gpu-memory-utilization=0.95",), "the plan was made with 0.90"),
    "contradicts the plan by a word": Turned(V, ("--kv-cache-dtype", "fp8"), "the plan was made with auto"),
    "switch that the plan decided": Turned(V, ("-ep",), "the plan was made without it"),
    "expert parallel of SGLang": Turned(S, ("--ep", "2"), "the plan was made with 1"),
    "above the ceiling": Turned(V, ("--max-num-seqs", "65"), "memory for 64 at most"),
    "above the ceiling as people write it": Turned(V, ("--max-model-len", "1M"), "memory for 32768 at most"),
    "fewer tokens in a batch than sequences": Turned(
        V, ("--max-num-batched-tokens", "32"), "at least `--max-num-seqs`, 64"
    ),
    "whole prompts in a batch": Turned(V, ("--no-enable-chunked-prefill",), "the plan was made with it"),
    "unit that the flag does not take": Turned(V, ("--max-num-seqs", "1k"), "Write it out, 64 at most"),
    "unit that this engine's flag does not take": Turned(S, ("--chunked-prefill-size", "8k"), "Write it out, 8192"),
    "unit of the other engine": Turned(S, ("--context-length", "8K"), "Write it out, 32768"),
    "decimal of a binary unit": Turned(V, ("--max-model-len", "1.5K"), "Write it out, 32768"),
    "the same letter is less in SGLang, and still too much": Turned(S, ("--context-length", "1M"), "32768 at most"),
    "no number": Turned(V, ("--max-model-len", "auto"), "memory for 32768 at most"),
    "less than nothing": Turned(V, ("--max-model-len=-1",), "memory for 32768 at most"),
    "twice the weights": Turned(V, ("--dtype", "float32"), "the checkpoint as it is"),
    "quantised while it loads": Turned(V, ("-q", "fp8"), "spec.variants", precision=Precision.BF16),
    "quantised while it loads by SGLang": Turned(S, ("--quantization=fp8",), "spec.variants", precision=Precision.FP16),
    "no value": Turned(V, ("--block-size",), "needs a value"),
    "value of a switch": Turned(V, ("--enforce-eager=true",), "takes no value"),
    "word without a flag": Turned(V, ("--enforce-eager", "true"), "belongs to no flag", at=1),
    "word at the beginning": Turned(V, ("Qwen/Qwen3-8B",), "belongs to no flag"),
    "the end of options": Turned(V, ("--", "x"), "belongs to no flag"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_refused(case: Turned) -> None:
    planned = plan(case.engine, checkpoint=checkpoint(case.precision))
    with pytest.raises(Refused) as refused:
        container(case.engine, *case.said, planned=planned)
    (refusal,) = (each for each in refused.value.refusals if each.field == f"spec.engineArgs[{case.at}]")
    assert case.says in f"{refusal.reason} {refusal.cure}"


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(Refused) as refused:
        container(V, "--port", "1", "--nonsense", "-tp", "8")
    assert [each.field for each in refused.value.refusals] == [f"spec.engineArgs[{index}]" for index in (0, 2, 3)]


def test_a_refused_token_is_not_repeated() -> None:
    """Refusals end in the status, where everybody who sees the deployment reads them."""
    with pytest.raises(Refused) as refused:
        container(V, "--hf-token=secret", "--api-key", "secret")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("engine", [V, S])
def test_no_beginning_of_a_reserved_flag_passes(engine: EngineName) -> None:
    """Argparse completes an unambiguous beginning; whatever is no flag itself must be refused."""
    reserved = vllm_module._RESERVED if engine is V else sglang_module._RESERVED
    known = flags_of(engine, plan(engine).engine_version)
    aliases = {"O", "tp", "pp", "dp"}
    for name in reserved:
        for end in range(1, len(name)):
            beginning = name[:end].rstrip("-")
            if beginning in known.values or beginning in aliases:
                continue
            with pytest.raises(Refused):
                container(engine, f"--{beginning}" if end % 2 else f"--{beginning}=x")


@pytest.mark.parametrize("engine", [V, S])
def test_reserved_flags_exist_by_their_first_spelling(engine: EngineName) -> None:
    """A rule for a flag that no release has would guard nothing."""
    reserved = vllm_module._RESERVED if engine is V else sglang_module._RESERVED
    releases = [flags_of(engine, version) for version in known_versions(engine)]
    for name in reserved:
        assert any(name in release.values and name not in release.aliases for release in releases), name
