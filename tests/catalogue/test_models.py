"""Facts of models: from the catalogue, and from a config.json of any kind."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.formats import Precision
from penstock.api.refusals import Refused
from penstock.catalogue.models import (
    AttentionKind,
    ConfigFacts,
    ModelFacts,
    built_in,
    built_in_names,
    facts_from_config,
)

GIB = 2**30
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}


def read(config: dict[str, Any], **known: Any) -> ModelFacts:
    return facts_from_config(ConfigFacts(model="acme/model", config=config, **known))


def llama(**changes: Any) -> dict[str, Any]:
    return LLAMA | changes


def test_a_plain_config_is_read_whole() -> None:
    facts = read(LLAMA, resolved_revision="abc")
    assert (facts.layers, facts.hidden, facts.query_heads, facts.kv_heads, facts.head_dim) == (32, 4096, 32, 8, 128)
    assert (facts.vocabulary, facts.intermediate, facts.max_context_tokens) == (128256, 14336, 131072)
    assert (facts.precision, facts.attention, facts.experts) == (Precision.BF16, AttentionKind.GQA, 0)
    assert facts.full_attention_layers == 32
    assert facts.parameters == pytest.approx(8.03e9, rel=0.001)
    assert facts.weights_bytes == pytest.approx(14.96 * GIB, rel=0.001)
    assert (facts.architecture, facts.resolved_revision, facts.source) == ("LlamaForCausalLM", "abc", "config")


def test_a_given_size_wins_over_the_formula() -> None:
    assert read(LLAMA, weights_bytes=123_456_789).weights_bytes == 123_456_789


def test_the_text_part_of_a_multimodal_config_counts() -> None:
    nested = {"architectures": ["X"], "text_config": LLAMA, "vision_config": {"hidden_size": 1024, "depth": 24}}
    assert read(nested).layers == 32
    assert read(nested).weights_bytes > read(LLAMA).weights_bytes


@pytest.mark.parametrize(
    "key", ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings"]
)
def test_a_missing_key_is_refused_by_name(key: str) -> None:
    config = {name: value for name, value in LLAMA.items() if name != key}
    with pytest.raises(Refused, match=f"no `{key}`") as refused:
        read(config)
    assert refused.value.refusals[0].field == "metadata.config"


@pytest.mark.parametrize("value", [-1, 0, "32", 3.5, True, 10**30, [32]], ids=repr)
def test_a_senseless_number_is_refused(value: Any) -> None:
    with pytest.raises(Refused, match="num_hidden_layers"):
        read(llama(num_hidden_layers=value))


def test_a_config_that_is_no_object_is_refused() -> None:
    with pytest.raises(Refused, match="not a JSON object"):
        facts_from_config(ConfigFacts(model="acme/model", config=["no"]))  # type: ignore[arg-type]


EXPERT_KEYS = {
    "DeepSeek's words": {"n_routed_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 1408},
    "Qwen's words": {"num_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 1408},
    "gpt-oss's words": {"num_local_experts": 64, "experts_per_token": 6, "intermediate_size": 1408},
    "Gemma's words": {"num_experts": 64, "top_k_experts": 6, "moe_intermediate_size": 1408},
}


@pytest.mark.parametrize("keys", EXPERT_KEYS.values(), ids=EXPERT_KEYS.keys())
def test_experts_under_every_name(keys: dict[str, Any]) -> None:
    facts = read(llama(**keys))
    assert (facts.experts, facts.experts_per_token, facts.expert_intermediate) == (64, 6, 1408)
    assert facts.moe_layers == 32
    assert facts.active_parameters < facts.parameters / 3


def test_dense_layers_before_the_experts() -> None:
    keys = {"n_routed_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 1408}
    assert read(llama(**keys, first_k_dense_replace=3)).moe_layers == 29
    assert read(llama(**keys, interleave_moe_layer_step=2)).moe_layers == 16
    assert read(llama(**keys, moe_layer_freq=[0] * 4 + [1] * 28)).moe_layers == 28


def test_latent_attention() -> None:
    facts = read(llama(kv_lora_rank=512, q_lora_rank=1536, qk_rope_head_dim=64, qk_nope_head_dim=128, v_head_dim=128))
    assert (facts.attention, facts.kv_lora_rank, facts.rope_head_dim) == (AttentionKind.MLA, 512, 64)


SLIDING = {
    "listed": {"layer_types": ["sliding_attention", "full_attention"] * 16, "sliding_window": 128},
    "by pattern": {"sliding_window": 128, "sliding_window_pattern": 2},
    "by a list of ones": {"hybrid_layer_pattern": [0, 1] * 16, "sliding_window": 128},
}


@pytest.mark.parametrize("keys", SLIDING.values(), ids=SLIDING.keys())
def test_sliding_windows(keys: dict[str, Any]) -> None:
    facts = read(llama(**keys))
    assert (facts.full_attention_layers, facts.sliding_layers, facts.sliding_window) == (16, 16, 128)


def test_a_window_that_no_layer_uses_is_no_window() -> None:
    facts = read(llama(sliding_window=4096))
    assert (facts.full_attention_layers, facts.sliding_layers, facts.sliding_window) == (32, 0, 0)


def test_recurrent_layers_keep_a_state_of_fixed_size() -> None:
    facts = built_in("Qwen/Qwen3.5-397B-A17B")
    assert facts is not None
    assert (facts.linear_layers, facts.full_attention_layers) == (45, 15)
    assert facts.state_bytes_per_sequence == pytest.approx(183.2 * 2**20, rel=0.001)


def test_code_of_the_repository_is_noticed() -> None:
    assert read(llama(auto_map={"AutoConfig": "configuration_acme.AcmeConfig"})).needs_remote_code
    assert not read(LLAMA).needs_remote_code


def test_attention_without_a_formula_needs_a_size() -> None:
    config = llama(model_type="deepseek_v4", head_dim=512, num_key_value_heads=1)
    with pytest.raises(Refused) as refused:
        read(config)
    assert refused.value.refusals[0].field == "metadata.weightsSize"
    assert read(config, weights_bytes=160 * GIB).weights_bytes == 160 * GIB


def test_draft_layers_are_part_of_the_file_but_not_of_what_is_loaded() -> None:
    facts = built_in("deepseek-ai/DeepSeek-R1")
    assert facts is not None
    assert facts.weights_bytes == pytest.approx(641.3 * GIB, rel=0.001)
    assert facts.loaded_bytes == pytest.approx(626.9 * GIB, rel=0.001)


SAMPLES = {
    "meta-llama/Llama-3.3-70B-Instruct": (Precision.BF16, 131.4),
    "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic": (Precision.FP8, 67.7),
    "nvidia/Llama-3.3-70B-Instruct-FP4": (Precision.NVFP4, 39.8),
    "casperhansen/llama-3.3-70b-instruct-awq": (Precision.INT4, 37.1),
    "Qwen/Qwen3-32B": (Precision.BF16, 61.0),
    "Qwen/Qwen3-8B": (Precision.BF16, 15.3),
    "deepseek-ai/DeepSeek-R1": (Precision.FP8, 641.3),
}


@pytest.mark.parametrize(("model", "want"), SAMPLES.items(), ids=SAMPLES.keys())
def test_the_models_of_the_samples_are_built_in(model: str, want: tuple[Precision, float]) -> None:
    facts = built_in(model)
    assert facts is not None
    assert facts.precision is want[0]
    assert facts.weights_bytes / GIB == pytest.approx(want[1], rel=0.005)


def test_every_entry_of_the_catalogue_can_be_read() -> None:
    assert len(built_in_names()) > 250
    for name in built_in_names():
        facts = built_in(name)
        assert facts is not None
        assert facts.model == name
        assert 0 < facts.active_parameters <= facts.parameters, name
        assert 0 < facts.loaded_bytes <= facts.weights_bytes, name
        assert facts.full_attention_layers + facts.sliding_layers > 0, name


def test_names_are_found_whatever_their_letter_case_and_nothing_else_is() -> None:
    assert built_in("qwen/qwen3-8b") is built_in("Qwen/Qwen3-8B")
    assert built_in("acme/unheard-of") is None


def test_lists_are_no_longer_than_any_model_is_deep() -> None:
    with pytest.raises(Refused, match="20000 entries"):
        read(llama(layer_types=["full_attention"] * 20_000))


_HOSTILE: list[Any] = [
    None,
    True,
    -1,
    0,
    7,
    2**70,
    1.5,
    "",
    "text",
    [],
    [None],
    [1, "x"],
    [[1]],
    {},
    {"quant_method": {}},
    {"a": {}},
]


@given(
    st.dictionaries(
        st.sampled_from([*LLAMA, "layer_types", "moe_layer_freq", "quantization_config", "num_experts", "text_config"]),
        st.sampled_from(_HOSTILE),
    )
)
def test_a_hostile_config_is_read_or_refused_and_never_breaks(changes: dict[str, Any]) -> None:
    try:
        facts = read(llama(**changes))
    except Refused:
        return
    assert facts.weights_bytes > 0


def test_short_convolutions_keep_a_state_and_no_cache() -> None:
    kinds = ["conv", "conv", "full_attention", "conv"] * 8
    facts = read(llama(layer_types=kinds, conv_L_cache=3))
    assert (facts.full_attention_layers, facts.linear_layers) == (8, 24)
    assert facts.state_bytes_per_sequence == 24 * 4096 * 3 * 2
    attention_only = read(LLAMA)
    assert facts.parameters - attention_only.parameters == pytest.approx(24 * (4 - 2.5) * 4096**2, rel=0.01)


def test_layers_that_share_a_cache_have_none_of_their_own() -> None:
    keys = {"sliding_window": 512, "sliding_window_pattern": 4}
    alone, sharing = read(llama(**keys)), read(llama(**keys, num_kv_shared_layers=16))
    assert (alone.full_attention_layers, alone.sliding_layers) == (8, 24)
    assert (sharing.full_attention_layers, sharing.sliding_layers) == (4, 12)
    assert sharing.parameters < alone.parameters


def test_layers_that_see_everything_may_have_heads_of_their_own() -> None:
    keys = {"sliding_window": 512, "sliding_window_pattern": 4, "head_dim": 128}
    plain = read(llama(**keys))
    wide = read(llama(**keys, global_head_dim=256, num_global_key_value_heads=2, attention_k_eq_v=True))
    # Eight layers: queries and outputs twice as wide, one projection of 2 x 256 for both keys and values.
    assert wide.parameters - plain.parameters == 8 * 4096 * (2 * 32 * 128 + 2 * 256 - 2 * 8 * 128)


def test_tables_of_every_layer_count_and_are_not_multiplied() -> None:
    keys = {"hidden_size_per_layer_input": 256, "vocab_size_per_layer_input": 262144}
    plain, tables = read(LLAMA), read(llama(**keys))
    assert tables.parameters - plain.parameters == 32 * 256 * (262144 + 3 * 4096)
    assert tables.active_parameters == plain.active_parameters


V4 = {
    "model_type": "deepseek_v4", "num_hidden_layers": 4, "hidden_size": 1024, "num_attention_heads": 8, "head_dim": 128,
    "vocab_size": 1000, "max_position_embeddings": 4096, "q_lora_rank": 256, "qk_rope_head_dim": 64, "o_lora_rank": 128,
    "o_groups": 4, "index_n_heads": 4, "index_head_dim": 32, "n_routed_experts": 8, "num_experts_per_tok": 2,
    "moe_intermediate_size": 512, "compress_ratios": [0, 4, 128, 4, 0], "num_nextn_predict_layers": 0,
}  # fmt: skip


def test_compressed_attention_is_counted_by_its_layers() -> None:
    layer = 1024 * (256 + 128) + 256 * 8 * 128 + 8 * 128 * 128 + 4 * 128 * 1024
    compressors = (2 + 1 + 2) * 2 * 1024 * 128
    indexers = 2 * (256 * 4 * 32 + 1024 * 4 + 2 * 2 * 1024 * 32)
    rest = 4 * 8 * 3 * 1024 * 512 + 4 * 1024 * 8 + 2 * 1000 * 1024
    assert read(V4).parameters == 4 * layer + compressors + indexers + rest


def test_experts_of_their_own_format_are_sized_by_it() -> None:
    eight = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    experts = 4 * 8 * 3 * 1024 * 512
    whole, mixed = read(V4 | eight), read(V4 | eight | {"expert_dtype": "fp4"})
    assert whole.weights_bytes - mixed.weights_bytes == pytest.approx(experts * (8.002 - 4.25) / 8, rel=0.001)


def test_compressed_attention_without_its_ratios_needs_a_size() -> None:
    config = {key: value for key, value in V4.items() if key != "compress_ratios"}
    with pytest.raises(Refused, match="cannot be computed"):
        read(config)
    assert read(config, weights_bytes=10**9).weights_bytes == 10**9


def test_draft_layers_may_stay_sixteen_bit() -> None:
    keys = {"model_type": "qwen3_next", "mtp_num_hidden_layers": 1}
    quantised = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    small = read(llama(**keys, quantization_config=quantised))
    kept = read(llama(**keys, quantization_config=quantised | {"exclude_modules": ["mtp*"]}))
    assert kept.loaded_bytes == small.loaded_bytes
    assert kept.weights_bytes > small.weights_bytes
