"""The gateway's figures: `decision_us`, three ratios of throughput, `added_ms_p50`, `added_ms_p99`.

The edge and LiteLLM bare run on the same backend in the same run, taking turns; the load comes from one more process of
the same two cores. LiteLLM runs in the gateway's own environment (`make gateway`). The third ratio is of a backend that
needs translation, for which both use LiteLLM. `bench.gateway_effect` adds how soon changes are in force.
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import secrets
import statistics
import sys
import tempfile
import time
import timeit
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from bench import gateway_effect
from bench.figures import figure, progress
from penstock.simulation.network import free_port
from penstock_policy.decision import Index, Request, decide
from penstock_policy.table import Backend, Consumer, Match, Price, Route, Rule, Share, Table
from penstock_policy.wire import encode

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parent.parent
_ENVIRONMENT = _ROOT / ".venv-gateway" / "bin" / "python"
_KEY = "sk-bench"
_ROUTES = frozenset({"bench/chat", "bench/translated"})
_TRANSLATED = "provider/bench/mistral/m"
_START_SECONDS = 120
_IN_FLIGHT = 16
_ROUNDS = 3


@dataclass(frozen=True)
class Target:
    """Something that answers chat requests."""

    name: str
    url: str
    model: str


def main(arguments: Sequence[str]) -> None:
    """Run it: `--keys N --rules N --seconds S`."""
    parser = argparse.ArgumentParser(prog="bench gateway-sync", description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rules", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5, help="of each round of each target")
    parser.add_argument("--changes", type=int, default=gateway_effect.Sizes.changes, help="of a Route")
    parser.add_argument("--drains", type=int, default=gateway_effect.Sizes.drains, help="of a deployment")
    parser.add_argument("--python", type=Path, default=_ENVIRONMENT, help="the environment with LiteLLM")
    parser.add_argument("--data", type=Path, default=None, help="a folder to work in; a temporary one otherwise")
    options = parser.parse_args(arguments)
    _measure_decision(options.rules)
    if not options.python.exists():
        progress(f"{options.python} is missing: `make gateway` makes it; the other figures are left out")
        return
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        asyncio.run(_run(options, Path(folder)))
    gateway_effect.measure(gateway_effect.Sizes(options.changes, options.drains), options.python, options.data)


def _table(url: str, keys: int, rules: int) -> Table:
    """One route whose last rule takes the requests, and the key that is used among many."""
    tasks = [Match(tasks=frozenset({f"task-{number}"})) for number in range(rules - 1)]
    chosen = tuple(_rule(number, match) for number, match in enumerate([*tasks, Match()]))
    hashes = [hashlib.sha256(f"sk-{number}".encode()).hexdigest() for number in range(keys - 1)]
    hashes.append(hashlib.sha256(_KEY.encode()).hexdigest())
    foreign = Rule("all", (Share(_TRANSLATED),))
    return Table(
        gateway="bench/main",
        generation=1,
        levels=("low", "high"),
        routes=(Route("bench/chat", ("chat",), chosen), Route("bench/translated", ("translated",), (foreign,))),
        backends=(
            Backend("deployment/bench/m", "Deployment", "OpenAI", "m", (url,), 1, price=Price(400_000, 400_000)),
            Backend(_TRANSLATED, "Provider", "mistral", "m", (url,), 1, price=Price(400_000, 400_000)),
        ),
        consumers=tuple(Consumer(f"bench/{n}", digest, _ROUTES) for n, digest in enumerate(hashes)),
    )


def _rule(number: int, match: Match) -> Rule:
    return Rule(f"rule-{number}", (Share("deployment/bench/m"),), match, countries=None)


def _measure_decision(rules: int) -> None:
    index = Index.of(_table("http://pod", 1, rules))
    request = Request("chat", index.table.consumers[0])
    count = 2000
    seconds = min(timeit.repeat(lambda: decide(index, request, 0.5), number=count, repeat=5)) / count
    figure("decision_us", seconds * 1e6, "us", rules=rules)


async def _run(options: argparse.Namespace, folder: Path) -> None:
    backend = free_port()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_process([sys.executable, "-m", "bench.backend", str(backend)], {}))
        url = f"http://127.0.0.1:{backend}"
        edge = await stack.enter_async_context(_edge(options, folder, url))
        bare = await stack.enter_async_context(_litellm(options.python, folder, url))
        direct = Target("direct", url, "m")
        async with aiohttp.ClientSession() as session:
            for target in (direct, edge, bare):
                await _until_answered(session, target)
            await _ratios(session, edge, bare, options.seconds)
            await _translated(session, edge, bare, options.seconds)
            await _added(session, edge, direct)


@contextlib.asynccontextmanager
async def _edge(options: argparse.Namespace, folder: Path, url: str) -> AsyncIterator[Target]:
    port, table = free_port(), folder / "table.json"
    table.write_bytes(encode(_table(url, options.keys, options.rules)))
    command = [str(options.python), "-m", "penstock_gateway", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--internal-port", str(free_port()), "--gateway", "bench/main", "--pod-uid", "bench"]
    command += ["--table-file", str(table), "--spool-dir", str(folder / "spool"), "--linger-seconds", "0"]
    # With one it translates; the file itself is for the paths that it hands on, of which none is asked.
    command += ["--litellm-config", str(folder / "litellm.yaml")]
    async with _process(command, {"PYTHONPATH": str(_ROOT / "operator")}):
        yield Target("edge", f"http://127.0.0.1:{port}", "chat")


@contextlib.asynccontextmanager
async def _litellm(python: Path, folder: Path, url: str) -> AsyncIterator[Target]:
    port, config = free_port(), folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n- model_name: chat\n  litellm_params: {{model: openai/m, api_base: {url}/v1, api_key: none}}\n"
        f"- model_name: translated\n  litellm_params: {{model: mistral/m, api_base: {url}/v1, api_key: none}}\n"
        f"general_settings: {{master_key: {_KEY}}}\n"
    )
    command = [str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    async with _process(command, quiet):
        yield Target("LiteLLM", f"http://127.0.0.1:{port}", "chat")


@contextlib.asynccontextmanager
async def _process(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[None]:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, cwd=_ROOT, stdout=quiet, stderr=quiet
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _until_answered(session: aiohttp.ClientSession, target: Target) -> None:
    progress(f"waiting for {target.name}")
    async with asyncio.timeout(_START_SECONDS):
        while True:
            with contextlib.suppress(aiohttp.ClientError, RuntimeError):
                await _ask(session, target, stream=False)
                return
            await asyncio.sleep(0.2)


async def _ask(session: aiohttp.ClientSession, target: Target, *, stream: bool) -> None:
    """One request; RuntimeError for any answer but a good one."""
    body = {"model": target.model, "stream": stream, "messages": [{"role": "user", "content": "word " * 100}]}
    headers = {"Authorization": f"Bearer {_KEY}"}
    async with session.post(f"{target.url}/v1/chat/completions", json=body, headers=headers) as answer:
        text = await answer.read()
        if answer.status != 200 or (stream and not text.rstrip().endswith(b"data: [DONE]")):
            message = f"{target.name} answered {answer.status}: {text[:200]!r}"
            raise RuntimeError(message)


async def _rate(session: aiohttp.ClientSession, target: Target, seconds: float, *, stream: bool) -> float:
    """Requests per second with some in flight."""
    end, done = time.monotonic() + seconds, 0

    async def work() -> None:
        nonlocal done
        while time.monotonic() < end:
            await _ask(session, target, stream=stream)
            done += 1

    started = time.monotonic()
    await asyncio.gather(*(work() for _ in range(_IN_FLIGHT)))
    return done / (time.monotonic() - started)


async def _ratios(session: aiohttp.ClientSession, edge: Target, bare: Target, seconds: float) -> None:
    for name, stream in (("throughput_ratio", False), ("stream_throughput_ratio", True)):
        await _ratio(name, session, (edge, bare), seconds, stream=stream)


async def _ratio(
    name: str, session: aiohttp.ClientSession, pair: tuple[Target, Target], seconds: float, *, stream: bool
) -> None:
    """The median of some rounds, each of both by turns."""
    rounds = []
    for _ in range(_ROUNDS):
        ours, theirs = [await _rate(session, target, seconds, stream=stream) for target in pair]
        rounds.append((ours / theirs, ours, theirs))
    ratio, ours, theirs = sorted(rounds)[_ROUNDS // 2]
    figure(name, ratio, "ratio", edge_per_second=round(ours, 1), litellm_per_second=round(theirs, 1))


async def _translated(session: aiohttp.ClientSession, edge: Target, bare: Target, seconds: float) -> None:
    ours, theirs = (replace(target, model="translated") for target in (edge, bare))
    for target in (ours, theirs):
        # The edge loads LiteLLM with the first such request.
        await _until_answered(session, target)
    await _ratio("translated_throughput_ratio", session, (ours, theirs), seconds, stream=False)


async def _added(session: aiohttp.ClientSession, edge: Target, direct: Target, count: int = 1000) -> None:
    """By turns, so that both see the same machine."""
    took: dict[str, list[float]] = {edge.name: [], direct.name: []}
    for _ in range(count):
        for target in (edge, direct) if secrets.randbelow(2) else (direct, edge):
            started = time.perf_counter()
            await _ask(session, target, stream=False)
            took[target.name].append((time.perf_counter() - started) * 1000)
    for name, share in (("added_ms_p50", 50), ("added_ms_p99", 99)):
        ours, theirs = (statistics.quantiles(took[target.name], n=100)[share - 1] for target in (edge, direct))
        figure(name, ours - theirs, "ms", edge_ms=round(ours, 3), direct_ms=round(theirs, 3))


if __name__ == "__main__":
    main(sys.argv[1:])
