"""What users may not put into a pod."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.pod_overrides import (
    REFUSED_LABEL_DOMAINS,
    REFUSED_VARIABLE_PREFIXES,
    is_refused_label,
    is_refused_variable,
)


@pytest.mark.parametrize(
    "name",
    [
        "AMD_SERIALIZE_KERNEL",
        "CUDA_VISIBLE_DEVICES",
        "HF_TOKEN",
        "HIP_VISIBLE_DEVICES",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "NCCL_DEBUG",
        "NVIDIA_VISIBLE_DEVICES",
        "PATH",
        "PYTHONPATH",
        "ROCR_VISIBLE_DEVICES",
        "SGLANG_ENABLE_TORCH_COMPILE",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
        "vllm_port",
    ],
)
def test_control_variables_are_refused(name: str) -> None:
    """Whatever the loader, the interpreter, the engine or its libraries obey, in either case."""
    assert is_refused_variable(name)


@pytest.mark.parametrize("name", ["LOG_LEVEL", "OTEL_SERVICE_NAME", "HTTPS_PROXY", "TZ", "MY_PATH", "OMP_NUM_THREADS"])
def test_other_variables_are_the_users(name: str) -> None:
    """The list names what it refuses; everything else is free."""
    assert not is_refused_variable(name)


@given(st.sampled_from(REFUSED_VARIABLE_PREFIXES), st.from_regex(r"[A-Za-z0-9_]{0,20}", fullmatch=True))
def test_a_prefix_refuses_whatever_follows(prefix: str, rest: str) -> None:
    """No name slips through by its end or its case."""
    assert is_refused_variable((prefix + rest).swapcase())


@pytest.mark.parametrize("domain", REFUSED_LABEL_DOMAINS)
def test_labels_of_our_domains_are_refused(domain: str) -> None:
    """The domain itself and everything below it."""
    assert is_refused_label(f"{domain}/name")
    assert is_refused_label(f"sub.{domain}/name")


@pytest.mark.parametrize(
    "key", ["team", "example.com/team", "notpenstock.dev/x", "penstock.dev", "k8s.io.example.com/x"]
)
def test_other_labels_are_the_users(key: str) -> None:
    """A name that only looks alike is nobody's."""
    assert not is_refused_label(key)
