"""Command lines are read as the engines read them."""

import pytest

from penstock.api.formats import EngineName
from penstock.simulation.command_line import EngineSettings, UsageError, parse

VLLM = ("vllm", "serve", "Qwen/Qwen3-8B")
SGLANG = ("python3", "-m", "sglang.launch_server", "--model-path", "Qwen/Qwen3-8B")


def vllm(*words: str) -> EngineSettings:
    """Parse for vLLM's release of the catalogue."""
    return parse((*VLLM, *words), version="0.33.0")


def sglang(*words: str) -> EngineSettings:
    """Parse for SGLang's release of the catalogue."""
    return parse((*SGLANG, *words), version="0.5.23")


def test_vllm_words_become_settings() -> None:
    settings = vllm(
        *("--served-model-name", "chat", "alias", "--port", "9000", "--tensor-parallel-size", "4"),
        *("--max-model-len", "16384", "--max-num-seqs", "64", "--shutdown-timeout", "120"),
    )
    assert settings.engine is EngineName.VLLM
    assert (settings.model, settings.served_names) == ("Qwen/Qwen3-8B", ("chat", "alias"))
    assert (settings.port, settings.tensor_parallel) == (9000, 4)
    assert (settings.max_model_tokens, settings.max_sequences) == (16384, 64)
    assert settings.shutdown_seconds == 120


def test_sglang_words_become_settings() -> None:
    settings = sglang(
        *("--served-model-name", "chat", "--host", "0.0.0.0", "--port", "8000", "--tp-size", "2"),
        *("--context-length", "4096", "--max-running-requests", "8", "--enable-metrics"),
    )
    assert settings.engine is EngineName.SGLANG
    assert (settings.served_names, settings.port, settings.tensor_parallel) == (("chat",), 8000, 2)
    assert (settings.max_model_tokens, settings.max_sequences) == (4096, 8)
    assert settings.shutdown_seconds is None
    assert settings.serves_metrics


def test_defaults_are_the_engines_own() -> None:
    assert (vllm().port, vllm().reachable, vllm().serves_metrics, vllm().shutdown_seconds) == (8000, True, True, 0)
    assert (sglang().port, sglang().reachable, sglang().serves_metrics) == (30000, False, False)


@pytest.mark.parametrize(
    ("words", "want"),
    [
        pytest.param(("--max-model-len=8k",), 8000, id="equals-and-suffix"),
        pytest.param(("--max_model_len", "8K"), 8192, id="underscores"),
        pytest.param(("--no-enable-prefix-caching", "--max-model-len", "9"), 9, id="negated-switch"),
    ],
)
def test_spellings(words: tuple[str, ...], want: int) -> None:
    assert vllm(*words).max_model_tokens == want


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(
            (*VLLM, "--swap-space", "4"), "unrecognized arguments: --swap-space", id="flag-of-an-older-release"
        ),
        pytest.param((*VLLM, "--tp-size", "4"), "unrecognized arguments: --tp-size", id="flag-of-the-other-engine"),
        pytest.param((*VLLM, "second"), "unrecognized arguments: second", id="two-models"),
        pytest.param((*VLLM, "--port", "eighty"), "argument --port: invalid int value: 'eighty'", id="no-number"),
        pytest.param((*VLLM, "--port"), "argument --port: expected one argument", id="no-value"),
        pytest.param(("vllm", "serve"), "model_tag", id="no-model"),
        pytest.param(SGLANG[:3], "--model-path", id="no-sglang-model"),
        pytest.param(("sleep", "1"), "not a command of vLLM or SGLang", id="no-engine"),
    ],
)
def test_what_the_engine_would_not_take_ends_it(arguments: tuple[str, ...], says: str) -> None:
    version = "0.5.23" if arguments[0] == "python3" else "0.33.0"
    with pytest.raises(UsageError, match=says):
        parse(arguments, version=version)
