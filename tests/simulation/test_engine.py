"""Simulated engines over real HTTP: API, life, metrics, limits and faults."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from penstock.simulation.command_line import parse
from penstock.simulation.engine import EXIT_CRASHED, EXIT_KILLED, EXIT_TERMINATED, EngineSeat, SimulatedEngine, main
from penstock.simulation.network import free_port
from penstock.simulation.serving import Timing
from penstock.workqueue.clock import SystemClock

FAST = Timing(load=0, warm_up=0, first_token=0.001, prompt_token=0, token=0)
VLLM = ("vllm", "serve", "Qwen/Qwen3-8B", "--served-model-name", "chat", "--shutdown-timeout", "30")
SGLANG = (
    *("python3", "-m", "sglang.launch_server", "--model-path", "Qwen/Qwen3-8B", "--served-model-name", "chat"),
    *("--host", "0.0.0.0", "--enable-metrics"),
)
COMMANDS = {"vllm": (VLLM, "0.33.0"), "sglang": (SGLANG, "0.5.23")}


@dataclass(frozen=True, slots=True)
class Running:
    """An engine, its life, and a client."""

    engine: SimulatedEngine
    life: asyncio.Task[int]
    session: aiohttp.ClientSession

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text."""
        async with self.session.get(path) as response:
            return response.status, await response.text()

    async def ask(self, content: str = "hello", **more: Any) -> tuple[int, dict[str, Any]]:
        """A chat completion that is not streamed."""
        body = {"model": "chat", "messages": [{"role": "user", "content": content}], **more}
        async with self.session.post("/v1/chat/completions", json=body) as response:
            return response.status, await response.json()

    async def stream(self, path: str = "/v1/chat/completions", **more: Any) -> list[Any]:
        """The events of a stream, the last one as its text."""
        prompt = {"prompt": "hello"} if path == "/v1/completions" else {"messages": [{"role": "user", "content": "hi"}]}
        async with self.session.post(path, json={"model": "chat", "stream": True, **prompt, **more}) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            lines = [line async for line in response.content if line.strip()]
        texts = [line.decode().removeprefix("data: ").strip() for line in lines]
        return [json.loads(text) if text.startswith("{") else text for text in texts]


@asynccontextmanager
async def running(name: str = "vllm", *more: str, timing: Timing = FAST, wait: bool = True) -> AsyncIterator[Running]:
    """An engine of that name until the block ends."""
    command, version = COMMANDS[name]
    seat = EngineSeat(host="127.0.0.1", port=free_port(), name="pod-1")
    settings = parse((*command, *more), version=version)
    engine = SimulatedEngine(settings, seat=seat, timing=timing, clock=SystemClock(), kv_tokens=1600)
    life = asyncio.create_task(engine.run())
    if wait:
        await engine.listening.wait()
        await asyncio.sleep(0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{engine.port}") as session:
        yield Running(engine, life, session)
    engine.kill()
    await life


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_completion_has_text_and_usage(name: str) -> None:
    async with running(name) as it:
        status, answer = await it.ask("a question of some length", max_tokens=5)
        assert status == 200
        assert answer["object"] == "chat.completion"
        assert answer["choices"][0]["finish_reason"] == "length"
        assert len(answer["choices"][0]["message"]["content"].split()) == 5
        assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        assert answer["system_fingerprint"] == "pod-1"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_a_stream_ends_with_usage_only_when_asked(path: str) -> None:
    async with running() as it:
        plain = await it.stream(path, max_tokens=3)
        asked = await it.stream(path, max_tokens=3, stream_options={"include_usage": True})
    assert plain[-1] == asked[-1] == "[DONE]"
    assert plain[-2]["choices"][0]["finish_reason"] == "length"
    assert asked[-2]["choices"] == []
    assert asked[-2]["usage"]["completion_tokens"] == 3
    roles = [event["choices"][0].get("delta", {}).get("role") for event in plain[:-1]]
    assert roles.count("assistant") == (1 if "chat" in path else 0)


async def test_models_tell_name_root_and_length() -> None:
    async with running("vllm", "--max-model-len", "4096") as it:
        _, text = await it.get("/v1/models")
    (model,) = json.loads(text)["data"]
    assert (model["id"], model["root"], model["max_model_len"]) == ("chat", "Qwen/Qwen3-8B", 4096)


async def test_a_prompt_that_is_too_long_is_the_clients_fault() -> None:
    async with running("vllm", "--max-model-len", "64") as it:
        status, answer = await it.ask("x" * 400)
        assert status == 400
        assert "maximum context length is 64 tokens" in answer["error"]["message"]
        status, _ = await it.ask("x" * 40, max_tokens=60)
        assert status == 400
        status, _ = await it.ask("x" * 40, max_tokens=54)
        assert status == 200


@pytest.mark.parametrize(("name", "status"), [("vllm", 404), ("sglang", 200)])
async def test_another_models_name(name: str, status: int) -> None:
    """SGLang answers to any name, vLLM only to its own."""
    async with running(name) as it:
        found, _ = await it.ask(model="other")
        assert found == status


async def test_nobody_listens_while_it_loads() -> None:
    async with running(timing=Timing(load=3600), wait=False) as it:
        await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientConnectorError):
            await it.get("/health")


async def test_sglang_listens_while_it_warms_up_and_says_503() -> None:
    async with running("sglang", timing=Timing(load=0, warm_up=3600)) as it:
        assert (await it.get("/ready"))[0] == 503
        assert (await it.get("/health"))[0] == 503
        assert (await it.get("/v1/models"))[0] == 200


async def test_sglang_without_a_host_is_out_of_reach() -> None:
    async with running("sglang", "--host", "127.0.0.1") as it:
        with pytest.raises(aiohttp.ClientConnectorError):
            await it.get("/ready")


@pytest.mark.parametrize(
    ("name", "want"),
    [
        pytest.param(
            "vllm",
            (
                (
                    'vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="0",'
                    'kv_cache_size_tokens="1600",num_gpu_blocks="100"} 1.0'
                ),
                'vllm:num_requests_running{engine="0",model_name="chat"} 0.0',
                'vllm:prompt_tokens_total{engine="0",model_name="chat"} 2.0',
                'vllm:generation_tokens_total{engine="0",model_name="chat"} 4.0',
                'vllm:request_success_total{engine="0",finished_reason="length",model_name="chat"} 1.0',
                'vllm:time_to_first_token_seconds_count{engine="0",model_name="chat"} 1.0',
                'vllm:kv_cache_usage_perc{engine="0",model_name="chat"} 0.0',
            ),
            id="vllm",
        ),
        pytest.param(
            "sglang",
            (
                'sglang:max_total_num_tokens{engine_type="unified",model_name="chat",pp_rank="0",tp_rank="0"} 1600.0',
                'sglang:num_running_reqs{engine_type="unified",model_name="chat",pp_rank="0",tp_rank="0"} 0.0',
                'sglang:token_usage{engine_type="unified",model_name="chat",pp_rank="0",tp_rank="0"} 0.0',
                'sglang:generation_tokens_total{model_name="chat"} 4.0',
                'sglang:num_requests_total{model_name="chat"} 1.0',
            ),
            id="sglang",
        ),
    ],
)
async def test_metrics_have_the_engines_names_and_count(name: str, want: tuple[str, ...]) -> None:
    async with running(name) as it:
        await it.ask("12345678", max_tokens=4)
        _, text = await it.get("/metrics")
    assert [line for line in want if line not in text.splitlines()] == []


async def test_metrics_while_requests_run_and_wait() -> None:
    async with running("vllm", "--max-num-seqs", "1") as it:
        it.engine.faults.hang = True
        asking = [asyncio.create_task(it.ask("1234", max_tokens=15)) for _ in range(2)]
        _, text = await _until(it, r"requests_waiting\{.*\} 1\.0")
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    assert re.search(r"num_requests_running\{.*\} 1\.0", text)
    assert re.search(r"kv_cache_usage_perc\{.*\} 0\.01", text)


async def _until(it: Running, pattern: str) -> tuple[int, str]:
    """Metrics, as soon as they say that."""
    while True:
        found = await it.get("/metrics")
        if re.search(pattern, found[1]):
            return found


async def test_sigterm_drains_what_is_in_flight_and_refuses_more() -> None:
    async with running(timing=Timing(load=0, first_token=0.05, token=0)) as it:
        asking = asyncio.create_task(it.ask(max_tokens=2))
        await _until(it, r"requests_running\{.*\} 1\.0")
        it.engine.terminate()
        await asyncio.sleep(0)
        assert (await it.get("/health"))[0] == 200
        assert (await it.ask())[0] == 503
        assert (await asking)[0] == 200
        assert await it.life == 0


async def test_without_a_shutdown_timeout_sigterm_breaks_what_is_in_flight() -> None:
    """The default of vLLM itself, and why Penstock always sets it."""
    async with running("vllm", "--shutdown-timeout", "0") as it:
        it.engine.faults.hang = True
        asking = asyncio.create_task(it.ask())
        await _until(it, r"requests_running\{.*\} 1\.0")
        it.engine.terminate()
        with pytest.raises(aiohttp.ClientError):
            await asking
        assert await it.life == 0


async def test_sigterm_while_it_loads_ends_it_at_once() -> None:
    async with running(timing=Timing(load=3600), wait=False) as it:
        it.engine.terminate()
        assert await it.life == EXIT_TERMINATED


async def test_a_kill_breaks_connections() -> None:
    async with running() as it:
        it.engine.faults.hang = True
        asking = asyncio.create_task(it.ask())
        await _until(it, r"requests_running\{.*\} 1\.0")
        it.engine.kill()
        with pytest.raises(aiohttp.ClientError):
            await asking
        assert await it.life == EXIT_KILLED


async def test_faults_errors_and_slowness() -> None:
    async with running() as it:
        it.engine.faults.error = True
        assert (await it.ask())[0] == 500
        assert (await it.get("/health"))[0] == 200
        it.engine.faults.error = False
        assert (await it.ask())[0] == 200


async def test_fault_a_stream_breaks_in_the_middle() -> None:
    async with running() as it:
        it.engine.faults.disconnect_after = 2
        with pytest.raises(aiohttp.ClientError):
            await it.stream()


async def test_fault_a_crash_after_loading() -> None:
    async with running(wait=False) as it:
        it.engine.faults.fails_to_load = True
        assert await it.life == EXIT_CRASHED


async def test_an_address_that_is_taken_is_a_crash() -> None:
    async with running() as first:
        settings = first.engine.settings
        seat = EngineSeat(host="127.0.0.1", port=first.engine.port)
        second = SimulatedEngine(settings, seat=seat, timing=FAST, clock=SystemClock())
        assert await second.run() == EXIT_CRASHED


def test_as_a_process_it_serves_until_sigterm() -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "penstock.simulation.engine", "--load-seconds", "3600", "--"]
    process = subprocess.Popen([*command, *VLLM, "--port", port], stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 30
        while not _catches(process.pid, signal.SIGTERM) and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == EXIT_TERMINATED
    finally:
        process.kill()
        process.communicate()


def _catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal, by the kernel's word."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_as_a_process_it_refuses_what_its_release_does_not_have() -> None:
    command = [sys.executable, "-m", "penstock.simulation.engine", "--", *VLLM, "--swap-space", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "unrecognized arguments: --swap-space" in done.stderr


def test_as_a_command_it_takes_the_pods_name_and_its_load_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[EngineSeat, Timing]] = []

    async def run(_: object, seat: EngineSeat, timing: Timing) -> int:
        started.append((seat, timing))
        return 0

    monkeypatch.setattr("penstock.simulation.engine._run", run)
    monkeypatch.setenv("PENSTOCK_SIMULATED_LOAD_SECONDS", "2.5")
    with pytest.raises(SystemExit) as ended:
        main(["--listen", "0.0.0.0", "--name", "chat-0", "--", *VLLM])
    assert ended.value.code == 0
    assert started == [(EngineSeat(host="0.0.0.0", name="chat-0"), Timing(load=2.5))]
