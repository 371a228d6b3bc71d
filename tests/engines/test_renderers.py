"""Both engines on both vendors: flags that exist, times that add up, nothing secret."""

from dataclasses import replace

import pytest

from builders.plans import checkpoint, engine_request, plan
from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Vendor
from penstock.catalogue.engines import flags_of, known_versions
from penstock.engines import ENGINES
from penstock.engines.contract import EngineContainer, WeightsLocation
from penstock.engines.lifecycle import startup_seconds
from penstock.planner.plan import Plan

V, S = EngineName.VLLM, EngineName.SGLANG
ACCELERATORS = {"NVIDIA": "H100-SXM-80GB", "AMD": "MI300X"}
RELEASES = [(engine, version) for engine in EngineName for version in known_versions(engine)]
TEARDOWN_SECONDS = {Vendor.NVIDIA: 20, Vendor.AMD: 60}
"""SGLang looks every 5 s whether it is drained, then waits 15 s for its schedulers."""


def render(planned: Plan, *engine_args: str, remote_code: bool = False, drain_seconds: int = 120) -> EngineContainer:
    request = engine_request(planned, *engine_args, remote_code=remote_code, drain_seconds=drain_seconds)
    return ENGINES[planned.engine].container(request)


def value(rendered: EngineContainer, flag: str) -> str:
    """The word behind a flag."""
    return rendered.args[rendered.args.index(flag) + 1]


def variable(rendered: EngineContainer, name: str) -> str:
    """The value of an environment variable."""
    (found,) = (each["value"] for each in rendered.environment if each["name"] == name)
    return str(found)


@pytest.mark.parametrize("accelerator", ACCELERATORS.values(), ids=ACCELERATORS.keys())
@pytest.mark.parametrize(("engine", "version"), RELEASES)
def test_every_rendered_flag_exists(engine: EngineName, version: str, accelerator: str) -> None:
    planned = plan(engine, accelerator, engine_version=version, expert_parallel=True, attention_ranks=2)
    location = WeightsLocation("org/model", "main", "runai_streamer", "/cache")
    request = engine_request(planned, remote_code=True, weights=location)
    known = flags_of(engine, version)
    words = ENGINES[engine].container(request).args
    flags = [word.removeprefix("--") for word in words if word.startswith("--")]
    assert len(flags) == len(set(flags))
    for index, word in enumerate(words):
        if word.startswith("--"):
            name = word.removeprefix("--")
            assert name in known.values, name
            followed = index + 1 < len(words) and not words[index + 1].startswith("--")
            assert followed == known.takes_value(name), name


@pytest.mark.parametrize("engine", EngineName)
def test_what_decides_memory_is_said(engine: EngineName) -> None:
    rendered = render(plan(engine))
    names = {
        V: ("--max-model-len", "--max-num-seqs", "--max-num-batched-tokens", "--gpu-memory-utilization"),
        S: ("--context-length", "--max-running-requests", "--chunked-prefill-size", "--mem-fraction-static"),
    }[engine]
    assert [value(rendered, name) for name in names[:3]] == ["32768", "64", "8192"]
    assert 0 < float(value(rendered, names[3])) <= 0.9
    assert value(rendered, "--kv-cache-dtype") == "auto"


def test_sglang_fraction_leaves_out_activations_and_overheads() -> None:
    """90 % of 80 GiB less 4 and 2 GiB is 66 of the 78 GiB that the start leaves, rounded down."""
    assert value(render(plan(S)), "--mem-fraction-static") == "0.84"


def test_expert_parallel_is_said_only_where_planned() -> None:
    assert "--enable-expert-parallel" in render(plan(V, expert_parallel=True)).args
    assert "--enable-expert-parallel" not in render(plan(V)).args
    assert value(render(plan(S, expert_parallel=True, tensor_parallel=8)), "--ep-size") == "8"
    assert "--ep-size" not in render(plan(S)).args


@pytest.mark.parametrize("engine", EngineName)
def test_remote_code_only_where_allowed(engine: EngineName) -> None:
    assert "--trust-remote-code" not in render(plan(engine)).args
    assert "--trust-remote-code" in render(plan(engine), remote_code=True).args


@pytest.mark.parametrize("engine", EngineName)
def test_pipeline_parallel_is_said(engine: EngineName) -> None:
    flag = {V: "--pipeline-parallel-size", S: "--pp-size"}[engine]
    assert value(render(plan(engine, pipeline_parallel=2)), flag) == "2"


RANKS: dict[EngineName, dict[str, str]] = {
    # vLLM counts one rank's GPUs and requests, SGLang those of all ranks.
    V: {
        "--tensor-parallel-size": "2",
        "--data-parallel-size": "4",
        "--max-num-seqs": "16",
        "--max-num-batched-tokens": "8192",
    },
    S: {"--tp-size": "8", "--attn-dp-size": "4", "--max-running-requests": "64", "--chunked-prefill-size": "32768"},
}


@pytest.mark.parametrize("engine", EngineName)
def test_attention_ranks_are_said_as_each_engine_counts_them(engine: EngineName) -> None:
    rendered = render(plan(engine, tensor_parallel=8, attention_ranks=4, expert_parallel=True))
    assert {flag: value(rendered, flag) for flag in RANKS[engine]} == RANKS[engine]
    assert not {"--data-parallel-size", "--attn-dp-size"} & set(render(plan(engine)).args)


@pytest.mark.parametrize("accelerator", ACCELERATORS.values(), ids=ACCELERATORS.keys())
@pytest.mark.parametrize("engine", EngineName)
@pytest.mark.parametrize("drain_seconds", [0, 120, 3600])
def test_drain_adds_up(engine: EngineName, accelerator: str, drain_seconds: int) -> None:
    """Endpoints go, requests finish, the engine is torn down: all within the grace period."""
    planned = plan(engine, accelerator)
    drain = render(planned, drain_seconds=drain_seconds).drain
    vendor = engine_request(planned).vendor
    assert drain.pre_stop_seconds >= 5
    assert drain.engine_seconds == drain_seconds
    assert drain.pre_stop_seconds + drain.engine_seconds + TEARDOWN_SECONDS[vendor] <= drain.grace_seconds


def test_vllm_drains_as_long_as_it_may() -> None:
    """Its default of 0 breaks every stream at a stop."""
    assert value(render(plan(V), drain_seconds=90), "--shutdown-timeout") == "90"


@pytest.mark.parametrize("engine", EngineName)
def test_startup_budget_grows_with_the_weights(engine: EngineName) -> None:
    small, large = (plan(engine, checkpoint=checkpoint(weights_bytes=size)) for size in (16 * 10**9, 700 * 10**9))
    assert startup_seconds(small) < startup_seconds(large)
    for planned in (small, large):
        rendered = render(planned)
        probe = rendered.startup_probe
        assert probe["periodSeconds"] * probe["failureThreshold"] >= rendered.startup_seconds
        reading = planned.checkpoint.weights_bytes / 200e6
        assert rendered.startup_seconds > reading


@pytest.mark.parametrize("weights_bytes", [1, 34 * 10**9, 10**12])
def test_vllm_gives_up_before_the_kubelet_does(weights_bytes: int) -> None:
    rendered = render(plan(V, checkpoint=checkpoint(weights_bytes=weights_bytes)))
    probe = rendered.startup_probe
    budget = probe["periodSeconds"] * probe["failureThreshold"]
    assert 0 < int(variable(rendered, "VLLM_ENGINE_READY_TIMEOUT_S")) < budget


def test_sglang_is_not_killed_while_its_health_check_generates() -> None:
    """It waits up to 20 s for the scheduler; readiness asks elsewhere."""
    rendered = render(plan(S))
    assert rendered.liveness_probe["timeoutSeconds"] > 20
    assert rendered.readiness_probe["httpGet"]["path"] == "/ready"


@pytest.mark.parametrize("engine", EngineName)
def test_a_busy_engine_is_not_killed(engine: EngineName) -> None:
    probe = render(plan(engine)).liveness_probe
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 60


def test_amd_uses_its_own_kernels() -> None:
    assert variable(render(plan(V, "MI300X")), "VLLM_ROCM_USE_AITER") == "1"
    assert variable(render(plan(S, "MI300X")), "SGLANG_USE_AITER") == "1"
    assert "AITER" not in str(render(plan(V)).environment)


@pytest.mark.parametrize("engine", EngineName)
def test_shared_memory_grows_with_the_gpus(engine: EngineName) -> None:
    sizes = [render(plan(engine, tensor_parallel=count)).shared_memory_bytes for count in (1, 8)]
    assert sizes[0] > 64 * 2**20
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("engine", EngineName)
def test_nothing_secret_is_an_argument(engine: EngineName) -> None:
    words = " ".join(render(plan(engine)).args).lower()
    assert not any(secret in words for secret in ("token ", "api-key", "password", "hf_"))


@pytest.mark.parametrize("engine", EngineName)
def test_the_same_request_renders_the_same(engine: EngineName) -> None:
    planned = plan(engine)
    assert render(planned) == render(replace(planned))
