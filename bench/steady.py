"""`steady_api_writes`, `steady_cpu`: what the operator does when nothing changes, and what a burst costs it."""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.figures import figure, progress
from bench.fleet import GPUS_PER_NODE, deployments, nodes, pool
from bench.memory_server import memory_server
from bench.operator_process import OperatorProcess, operator_process
from bench.population import install_crds, make_namespace, populate
from penstock.cluster.client import Client

__all__ = ["main"]

_SETTLE_SECONDS = 5.0
_LIMIT_SECONDS = 900


def main(arguments: Sequence[str]) -> None:
    """Run it: `--deployments N --seconds S`."""
    parser = argparse.ArgumentParser(prog="bench steady", description=__doc__)
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--data", type=Path, default=None, help="a folder to work in; a temporary one otherwise")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        asyncio.run(_run(Path(folder), options.deployments, options.seconds))


async def _run(folder: Path, count: int, seconds: float) -> None:
    async with memory_server(folder) as kubeconfig, await Client.connect(kubeconfig=str(kubeconfig)) as client:
        await install_crds(client)
        for namespace in ("measured", "penstock-system"):
            await make_namespace(client, namespace)
        await populate(client, [pool(), *nodes(-(-count // GPUS_PER_NODE))])
        async with operator_process(kubeconfig, folder / "operator.log") as operator:
            await operator.until_ready()
            progress(f"creating {count} deployments beside a running operator")
            await populate(client, deployments(count, "measured"))
            await until_quiet(operator, count)
            await _report_creation(operator, count)
            await _report_steady(operator, count, seconds)


async def until_quiet(operator: OperatorProcess, count: int) -> None:
    """Until every deployment was visited and nothing was written for some seconds."""
    async with asyncio.timeout(_LIMIT_SECONDS):
        quiet, before = 0.0, -1.0
        while quiet < _SETTLE_SECONDS:
            await asyncio.sleep(1.0)
            sample = await operator.sample()
            visited = sample.total("controller_runtime_reconcile_total", 'controller="modeldeployment"')
            quiet = quiet + 1.0 if sample.writes == before and visited >= count else 0.0
            before = sample.writes


async def _report_creation(operator: OperatorProcess, count: int) -> None:
    sample = await operator.sample()
    lag = sample.quantile("penstock_event_loop_lag_seconds", 0.99) * 1000
    figure("loop_lag_p99_ms", lag, "ms", deployments=count, during="first creation")
    figure("rss_mib", operator.rss_mib, "MiB", deployments=count, during="first creation")


async def _report_steady(operator: OperatorProcess, count: int, seconds: float) -> None:
    progress(f"nothing changes for {seconds:.0f} s")
    before, cpu = await operator.sample(), operator.cpu_seconds
    await asyncio.sleep(seconds)
    after = await operator.sample()
    figure("steady_api_writes", after.writes - before.writes, "writes", deployments=count, seconds=seconds)
    figure("steady_cpu", (operator.cpu_seconds - cpu) / seconds, "fraction", deployments=count, seconds=seconds)
