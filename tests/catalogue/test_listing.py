"""Rows of the catalogue, as the command line prints them."""

from penstock.api.formats import EngineName, Precision
from penstock.catalogue.engines import DEFAULT_VERSIONS
from penstock.catalogue.listing import list_accelerators, list_engines, list_models
from penstock.catalogue.model_table import model_table


def test_models_are_listed_once_each_with_a_source_and_a_confidence() -> None:
    rows = list_models()
    assert len(rows) == len(model_table().checkpoints) + len(model_table().totals)
    assert len({row.model for row in rows}) == len(rows)
    for row in rows:
        assert row.source.endswith("."), row.model
        assert row.confidence in {"high", "medium", "low"}
        assert 0 < row.active_parameters <= row.parameters, row.model
        assert row.weights_bytes > 10**8
        assert row.cache_bytes_per_token > 0
        assert row.max_context_tokens >= 2048


def test_a_checkpoint_whose_architecture_is_inferred_says_so() -> None:
    confidence = {row.model: row.confidence for row in list_models("flash")}
    assert confidence["inclusionAI/Ling-flash-2.0"] == "medium"
    assert confidence["inclusionAI/Ling-2.6-flash"] == "low"


def test_models_are_found_by_a_part_of_their_name() -> None:
    rows = {row.model: row for row in list_models("LLAMA-3.3-70b")}
    assert {"meta-llama/Llama-3.3-70B-Instruct", "nvidia/Llama-3.3-70B-Instruct-FP8"} <= set(rows)
    assert all("llama-3.3-70b" in name.lower() for name in rows)
    own, eight_bit = rows["meta-llama/Llama-3.3-70B-Instruct"], rows["nvidia/Llama-3.3-70B-Instruct-FP8"]
    assert (own.precision, own.size_is_published, own.cache_bytes_per_token) == (Precision.BF16, True, 327680)
    assert (eight_bit.precision, eight_bit.size_is_published) == (Precision.FP8, False)


def test_the_kind_of_attention_is_told_as_experts_say_it() -> None:
    kinds = {row.model: row.attention for row in list_models()}
    assert kinds["Qwen/Qwen3-8B"] == "GQA"
    assert kinds["google/gemma-3-27b-it"] == "GQA + window 1024"
    assert kinds["Qwen/Qwen3.5-27B"] == "GQA + linear"
    assert kinds["deepseek-ai/DeepSeek-V3.2"] == "MLA + sparse"
    assert kinds["tencent/Hy3"] == "not public"


def test_accelerators_that_are_never_planned_come_last_with_the_reason() -> None:
    rows = list_accelerators()
    planned = [row for row in rows if row.accelerator is not None]
    refused = [row for row in rows if row.accelerator is None]
    assert rows == (*planned, *refused)
    assert all(row.native and not row.reason for row in planned)
    assert {row.name for row in refused} >= {"Gaudi3", "TPU v5e", "TPU v6e"}
    assert all("no engine" in row.reason for row in refused)


def test_each_engine_has_one_default_release() -> None:
    rows = list_engines()
    defaults = {row.engine: row.version for row in rows if row.is_default}
    assert defaults == dict(DEFAULT_VERSIONS)
    assert all(row.flags > 100 and row.image.endswith(row.version) for row in rows)
    assert {row.engine for row in rows} == set(EngineName)
